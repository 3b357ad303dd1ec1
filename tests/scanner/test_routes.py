from scanner.exchange import Answer, Request
from scanner.routes import USUAL, candidates, linked_bases, mentioned, siblings


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
    assert linked_bases(page(links, "application/json")) == ()


def test_siblings() -> None:
    assert siblings("/predict") == ("/predict_batch", "/predict/batch")
    assert siblings("/predict/") == ()
