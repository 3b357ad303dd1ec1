from scanner.exchange import Answer, Request
from scanner.lexicon import words_of
from scanner.routes import (
    HIDDEN,
    PROXIED,
    SELF,
    USUAL,
    asks_for_key,
    candidates,
    linked_bases,
    mentioned,
    of_things,
    siblings,
    signposts,
    told_posts,
)


def page(body: str, media: str = "text/html", status: int = 200) -> Answer:
    return Answer(Request("GET", "/", "/"), status=status, headers=(("content-type", media),), body=body.encode())


def test_what_a_page_mentions_comes_first() -> None:
    root = page('<form action="/classify-leaf"></form><script src="/static/predict.js"></script>')
    paths = candidates([root], most=5)
    assert paths[0] == "/classify-leaf"
    assert "/static/predict.js" not in paths
    assert len(paths) == 5


def test_json_listings_are_read() -> None:
    assert list(mentioned([page('{"routes": ["/v2/embed-text", "/about"]}', "application/json")])) == ["/v2/embed-text"]


def test_without_a_word_the_usual_paths_are_tried() -> None:
    assert candidates([page("<h1>Hello</h1>")], most=99) == USUAL


def test_paths_with_parameters_are_never_tried() -> None:
    assert all("{" not in path for path in candidates([page('"/predict/{id}"')], most=99))


def test_links_to_folders_are_other_applications() -> None:
    links = '<a href="/grafana/">g</a><a href="jupyter/">j</a><a href="/static/">s</a><a href="http://x/y/">x</a>'
    assert linked_bases(page(links)) == ("/grafana", "/jupyter")


def test_what_a_short_json_document_lists_may_be_a_base_too() -> None:
    assert linked_bases(page('{"apps": ["/nlp"], "docs": "/rentals/docs"}', "application/json")) == ("/rentals", "/nlp")
    assert linked_bases(page('{"next": "http://x/y", "about": "n/a"}', "application/json")) == ()


def test_pages_beside_the_routes_are_read_and_routes_are_not() -> None:
    listing = page('{"routes": ["/v1/score", "/v1/health", "/models"]}', "application/json")
    assert signposts([listing]) == ("/v1/health", "/models")


def test_a_page_that_tells_its_callers_to_bring_a_key() -> None:
    told = page("Send your <code>X-API-Key</code> with every call.")
    assert asks_for_key([page("hello"), told]) is told
    assert asks_for_key([page("the key to success")]) is None


def test_no_usual_path_or_prefix_names_a_data_set() -> None:
    words = {word for path in (*USUAL, *PROXIED, *map("".join, HIDDEN)) for word in words_of(path)}
    assert words.isdisjoint({"iris", "wine", "titanic", "mnist", "digits", "housing", "churn", "penguins"})


def test_siblings() -> None:
    assert siblings("/predict") == ("/predict_batch", "/predict/batch")
    assert siblings("/predict/") == ()


def test_a_page_about_a_model_says_where_to_post() -> None:
    said = page("<h1>Leaf disease</h1>Powered by PyTorch. POST <code>/api/diagnose</code> an image.")
    assert "/api/diagnose" in list(mentioned([said]))
    form = page("<h1>An image classifier</h1><form method=post action='/upload'>")
    assert "/upload" in list(mentioned([form]))


def test_a_page_about_something_else_says_nothing_by_its_forms() -> None:
    assert list(mentioned([page("<h1>Sign up</h1><form method=post action='/join'> POST /api/orders")])) == []


def test_only_a_form_that_posts_tells_of_a_post() -> None:
    assert told_posts([page("<h1>Image classifier</h1><form method='POST' action='/upload'>")]) == ("/upload",)
    assert told_posts([page("<h1>Image classifier</h1><form action='/search'>")]) == ()
    assert told_posts([page("<h1>Newsletter</h1><form method='POST' action='/join'>")]) == ()


def test_what_a_service_calls_itself_becomes_paths() -> None:
    said = Answer(Request("GET", "/"), status=200, headers=(("content-type", "application/json"),),
                  body=b'{"service": "churn-service", "model": "x"}')  # fmt: skip
    assert list(of_things([said])) == ["/churn/predict", "/churn", "/predict/churn"]


def test_below_a_base_the_verb_follows_at_once() -> None:
    assert all(path.count("/") == 1 for path in candidates([], most=40, below=True))


def test_the_usual_paths_are_ranked_once_each_and_none_twice() -> None:
    assert len(set(USUAL)) == len(USUAL)
    assert USUAL[0] == "/predict"
    assert set(SELF).isdisjoint({"/health"})
