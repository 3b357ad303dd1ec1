"""The machine, by transcripts: recorded from real servers, or written from what a product's source says."""

import json
from pathlib import Path

import pytest

from inventory.model import Identified, Kind, Posture, Postured
from scanner.authoring import Transcript, read_transcript
from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.identify import Subject, identify
from scanner.knowledge import Knowledge, load_knowledge

TRANSCRIPTS = Path(__file__).parent.parent / "data" / "transcripts"
FILES = sorted(TRANSCRIPTS.glob("*.yaml"))


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    return load_knowledge()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_transcript_comes_to_what_it_expects(path: Path, knowledge: Knowledge) -> None:
    transcript = read_transcript(path)
    findings, asked = transcript.replay(knowledge, Limits())
    identified = {f.base_path: f.fact for f in findings if isinstance(f.fact, Identified)}
    postures = {f.base_path: f.fact for f in findings if isinstance(f.fact, Postured)}
    assert transcript.expect
    assert len(identified) == len(transcript.expect)
    for expected in transcript.expect:
        fact = identified[expected["base_path"]]
        assert fact.product == expected["product"]
        assert fact.kind == expected["kind"]
        assert fact.is_model_endpoint == expected["is_model_endpoint"]
        assert postures[expected["base_path"]].posture == expected["posture"]
    assert len(asked) == len(set(asked))
    assert len(asked) <= Limits().requests


def test_every_signature_has_a_transcript(knowledge: Knowledge) -> None:
    named = {expected["product"] for path in FILES for expected in read_transcript(path).expect}
    assert set(knowledge.signatures) <= named


def test_every_posture_that_was_decided_names_a_request_that_was_sent(knowledge: Knowledge) -> None:
    for path in FILES:
        findings, asked = read_transcript(path).replay(knowledge, Limits())
        for finding in findings:
            if isinstance(finding.fact, Postured) and finding.fact.posture is not Posture.UNKNOWN:
                assert finding.fact.decided_by in asked, path


def test_confidence_is_calibrated_over_the_transcripts(knowledge: Knowledge) -> None:
    buckets: dict[float, list[bool]] = {}
    for path in FILES:
        transcript = read_transcript(path)
        expected = {e["base_path"]: e for e in transcript.expect}
        for finding in transcript.replay(knowledge, Limits())[0]:
            if isinstance(finding.fact, Identified) and finding.fact.confidence >= 0.9:
                right = finding.fact.kind == expected[finding.base_path]["kind"]
                buckets.setdefault(round(finding.fact.confidence, 1), []).append(right)
    assert all(abs(sum(right) / len(right) - bucket) <= 0.1 for bucket, right in buckets.items())


def ask(
    knowledge: Knowledge, answers: dict[str, Answer], limits: Limits | None = None
) -> tuple[list[Identified], tuple[str, ...]]:
    transcript = Transcript(origin="test", port=8000, expect=(), answers=answers)
    findings, asked = transcript.replay(knowledge, limits or Limits())
    return [f.fact for f in findings if isinstance(f.fact, Identified)], asked


def answer(text: str, status: int, body: str = "", media: str = "text/html", **headers: str) -> Answer:
    method, path = text.split(" ", 1)
    request = Request(method, path, path)  # type: ignore[arg-type]
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(request, status=status, headers=(("content-type", media), *named), body=body.encode())


FASTAPI = answer("GET /-/routes", 404, '{"detail":"Not Found"}', "application/json", server="uvicorn")
WERKZEUG = "The requested URL was not found on the server. If you entered the URL manually please check"
FLASK = answer("GET /-/routes", 404, WERKZEUG, server="gunicorn")


def book(*answers: Answer) -> dict[str, Answer]:
    return {str(a.request): a for a in answers}


def test_a_post_only_route_of_a_bare_flask_service_is_a_model(knowledge: Knowledge) -> None:
    (fact,), asked = ask(knowledge, book(FLASK, answer("OPTIONS /api/v1/predict", 200, allow="POST, OPTIONS")))
    assert (fact.product, fact.kind, fact.is_model_endpoint) == ("flask", Kind.MODEL_ENDPOINT, True)
    assert [(r.method, r.path) for r in fact.inference_routes] == [("POST", "/api/v1/predict")]
    assert not any(request.startswith("GET") and "predict" in request for request in asked)


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/forecast", "GET, HEAD, OPTIONS"), ("/score", "GET, HEAD"), ("/predict", "OPTIONS")],
)
def test_a_route_without_post_is_no_model(knowledge: Knowledge, path: str, allow: str) -> None:
    (fact,), _ = ask(knowledge, book(FLASK, answer(f"OPTIONS {path}", 200, allow=allow)))
    assert not fact.is_model_endpoint
    assert fact.kind is Kind.ORDINARY_WEB


def test_a_host_that_answers_every_options_alike_shows_no_route(knowledge: Knowledge) -> None:
    everywhere = {f"OPTIONS {p}": answer(f"OPTIONS {p}", 204, allow="GET, POST") for p in ("/-/routes", "/predict")}
    (fact,), asked = ask(knowledge, {**book(FLASK), **everywhere})
    assert not fact.is_model_endpoint
    assert [text for text in asked if text.startswith("OPTIONS")] == ["OPTIONS /predict", "OPTIONS /-/routes"]


def test_words_on_a_page_become_routes_to_try(knowledge: Knowledge) -> None:
    root = answer("GET /", 200, "<h1>Tumour model</h1>Send scans to <code>/segment-scan</code>.")
    route = answer("OPTIONS /segment-scan", 405, allow="POST")
    (fact,), _ = ask(knowledge, book(FLASK, root, route))
    assert [r.path for r in fact.inference_routes] == ["/segment-scan"]


def test_the_routes_of_a_django_debug_page_are_read(knowledge: Knowledge) -> None:
    page = "Using the URLconf defined in x, Django tried these URL patterns"
    page += "<li>\n<code>\n ml/risk-score/\n </code></li>"
    canary = answer("GET /-/routes", 404, page)
    route = answer("OPTIONS /ml/risk-score/", 405, allow="POST")
    (fact,), asked = ask(knowledge, book(canary, route))
    assert (fact.product, fact.is_model_endpoint) == ("django", True)
    assert len(asked) <= 10


def test_a_car_dealers_list_of_models_is_no_model(knowledge: Knowledge) -> None:
    cars = '{"models":[{"id":1,"name":"Estate 2.0","price":31000}]}'
    (fact,), _ = ask(knowledge, book(FASTAPI, answer("GET /v1/models", 200, cars, "application/json")))
    assert not fact.is_model_endpoint


def test_where_a_visit_would_run_a_notebook_only_the_head_is_asked(knowledge: Knowledge) -> None:
    policy = "frame-ancestors 'self'; report-uri /api/security/csp-report"
    redirect = answer("GET /-/routes", 302, location="/voila/files/-/routes", content_security_policy=policy)
    (fact, *_), asked = ask(knowledge, book(redirect))
    assert fact.product == "voila"
    assert "GET /" not in asked


def test_ray_serve_is_asked_nothing_but_its_own_routes(knowledge: Knowledge) -> None:
    (fact,), asked = ask(knowledge, book(answer("GET /-/routes", 200, '{"/": "app"}', "application/json")))
    assert (fact.product, asked) == ("ray-serve", ("GET /-/routes",))


def test_a_host_that_echoes_requests_is_a_catch_all(knowledge: Knowledge) -> None:
    token, reverse = "0123456789ab", "ba9876543210"
    paths = ("/-/routes", f"/{token}/{reverse}", "/", "/v1/models", "/info", "/v2", "/openapi.json")
    echoes = [answer(f"GET {p}", 200, f'{{"path": "{p}"}}', "application/json") for p in paths]
    (fact,), _ = ask(knowledge, book(*echoes))
    assert (fact.catch_all, fact.kind) == (True, Kind.ORDINARY_WEB)


def test_titles_reach_no_terminal_raw(knowledge: Knowledge) -> None:
    root = answer("GET /", 200, "<title>\x1b[2J\x1b]0;owned\x07 Shop \u202egnp</title>")
    (fact,), _ = ask(knowledge, book(FLASK, root))
    assert fact.title is not None
    assert fact.title.isprintable()


def test_a_redirect_leads_to_no_other_host(knowledge: Knowledge) -> None:
    away = answer("GET /", 302, location="http://198.51.100.7/predict")
    _, asked = ask(knowledge, book(FLASK, away))
    assert "GET /predict" not in asked


def test_a_notebook_under_a_prefix_is_found_by_its_policy(knowledge: Knowledge) -> None:
    policy = "frame-ancestors 'self'; report-uri /team/lab/api/security/csp-report"
    canary = answer("GET /-/routes", 404, "<title>Jupyter Server</title>", content_security_policy=policy)
    inner = answer("GET /team/lab/-/routes", 404, "<title>Jupyter Server</title>", content_security_policy=policy)
    version = answer("GET /team/lab/api", 200, '{"version": "2.17.0"}', "application/json")
    status = answer("GET /team/lab/api/status", 403, '{"message": "Forbidden"}', "application/json")
    transcript = Transcript("test", 8888, (), book(canary, inner, version, status))
    findings, _ = transcript.replay(knowledge, Limits())
    found = {f.base_path: f.fact for f in findings if isinstance(f.fact, Identified)}
    postures = {f.base_path: f.fact.posture for f in findings if isinstance(f.fact, Postured)}
    assert found["/team/lab"].product == "jupyter-server"
    assert found["/team/lab"].version == "2.17.0"
    assert postures["/team/lab"] is Posture.PROTECTED


def test_what_speaks_no_http_has_no_findings(knowledge: Knowledge) -> None:
    machine = identify(knowledge, Limits(), Subject(6379, "0" * 12))
    request = next(machine)
    with pytest.raises(StopIteration) as stop:
        machine.send(Answer(request, outcome="invalid-http", raw=b"-ERR unknown"))
    assert stop.value.value == ()


def test_a_host_that_stalls_is_left_alone_and_inconclusive(knowledge: Knowledge) -> None:
    machine = identify(knowledge, Limits(), Subject(80, "0" * 12))
    request = next(machine)
    with pytest.raises(StopIteration) as stop:
        machine.send(Answer(request, status=200, headers=(("server", "Apache"),), outcome="timeout"))
    fact = stop.value.value[0].fact
    assert (fact.kind, fact.conclusive) == (Kind.ORDINARY_WEB, False)


def test_the_cap_on_requests_holds(knowledge: Knowledge) -> None:
    _, asked = ask(knowledge, book(FASTAPI), Limits(requests=9))
    assert len(asked) == 9


def postured(knowledge: Knowledge, *answers: Answer) -> Postured:
    findings, _ = Transcript("test", 8000, (), book(*answers)).replay(knowledge, Limits())
    return next(f.fact for f in findings if isinstance(f.fact, Postured))


SHOWN = answer("OPTIONS /predict", 200, allow="POST, OPTIONS")
PAGE = answer("GET /", 200, '{"service": "rent model", "health": "/health", "info": "/info"}', "application/json")


def test_a_route_alone_says_nothing_of_who_may_call_it(knowledge: Knowledge) -> None:
    assert postured(knowledge, FLASK, SHOWN).posture is Posture.UNKNOWN


def test_a_page_that_speaks_to_strangers_speaks_for_the_routes_beside_it(knowledge: Knowledge) -> None:
    assert postured(knowledge, FLASK, SHOWN, PAGE) == Postured(posture=Posture.OPEN, decided_by="GET /")


def test_a_page_that_only_greets_says_nothing_of_the_routes(knowledge: Knowledge) -> None:
    greeting = answer("GET /", 200, '{"message": "welcome"}', "application/json")
    assert postured(knowledge, FLASK, SHOWN, greeting).posture is Posture.UNKNOWN


def test_what_answers_in_the_form_of_http_and_is_none_has_no_findings(knowledge: Knowledge) -> None:
    machine = identify(knowledge, Limits(), Subject(8554, "0123456789ab"))
    rtsp = Answer(next(machine), status=400, raw=b"RTSP/1.0 400 Bad Request\r\n\r\n")
    with pytest.raises(StopIteration) as stop:
        machine.send(rtsp)
    assert stop.value.value == ()


def test_a_neighbour_that_asks_for_a_login_speaks_for_the_routes(knowledge: Knowledge) -> None:
    locked = answer("GET /info", 401, '{"error": "no key"}', "application/json")
    assert postured(knowledge, FLASK, SHOWN, PAGE, locked) == Postured(
        posture=Posture.PROTECTED, decided_by="GET /info"
    )


@pytest.mark.parametrize(
    "sign",
    [
        answer("GET /", 200, "<h1>Rent model</h1> Send your X-API-Key in a header."),
        answer("OPTIONS /predict", 200, allow="POST", access_control_allow_headers="content-type, x-api-key"),
        answer("OPTIONS /predict", 200, allow="POST", vary="Accept, Authorization"),
    ],
)
def test_a_word_about_keys_leaves_the_posture_open_to_question(knowledge: Knowledge, sign: Answer) -> None:
    assert postured(knowledge, FLASK, SHOWN, PAGE, sign).posture is Posture.UNKNOWN


def test_a_path_that_a_root_lists_is_looked_into(knowledge: Knowledge) -> None:
    root = answer("GET /", 200, '{"apps": ["/valuation/v2"]}', "application/json")
    inner = answer("GET /valuation/v2/-/routes", 404, WERKZEUG, server="gunicorn")
    route = answer("OPTIONS /valuation/v2/predict", 200, allow="POST, OPTIONS")
    facts, _ = ask(knowledge, book(FLASK, root, inner, route))
    assert [r.path for fact in facts for r in fact.inference_routes] == ["/valuation/v2/predict"]


def test_behind_a_login_routes_are_seen_where_options_passes_it(knowledge: Knowledge) -> None:
    wall = answer("GET /-/routes", 401, "{}", "application/json")
    (fact,), _ = ask(knowledge, book(wall, answer("OPTIONS /predict", 405, allow="POST")))
    assert fact.is_model_endpoint
    assert postured(knowledge, wall, answer("OPTIONS /predict", 405, allow="POST")).posture is Posture.PROTECTED


NGINX = answer(
    "GET /-/routes", 404, "<center><h1>404 Not Found</h1></center><hr><center>nginx</center>", server="nginx"
)


def test_a_404_unlike_the_roots_shows_an_application_below_a_prefix(knowledge: Knowledge) -> None:
    inner = [answer(f"GET /v1{path}", 404, WERKZEUG, server="nginx") for path in ("/models", "/-/routes", "/")]
    route = answer("OPTIONS /v1/score", 200, allow="POST, OPTIONS", server="nginx")
    facts, _ = ask(knowledge, book(NGINX, *inner, route))
    assert [(fact.product, r.path) for fact in facts for r in fact.inference_routes] == [("flask", "/v1/score")]


@pytest.mark.parametrize("prefix", ["/ml", "/api", "/serving", "/ml/fraud"])
def test_a_description_below_a_usual_prefix_is_found(knowledge: Knowledge, prefix: str) -> None:
    described = json.dumps({
        "openapi": "3.1.0", "info": {"title": "x", "version": "1"},
        "paths": {"/predict": {"post": {"operationId": "predict_predict_post"}}},
    })  # fmt: skip
    below = answer(f"GET {prefix}/openapi.json", 200, described, "application/json")
    facts, _ = ask(knowledge, book(NGINX, below))
    assert [r.path for fact in facts for r in fact.inference_routes] == [f"{prefix}/predict"]


@pytest.mark.parametrize("place", ["/serving/v2/openapi.json", "/api/schema", "/ml/schema"])
def test_a_description_that_a_service_keeps_apart_is_found(knowledge: Knowledge, place: str) -> None:
    base = place.rpartition("/")[0]
    described = json.dumps({
        "openapi": "3.1.0", "info": {"title": "x"}, "paths": {f"{base}/predict": {"post": {"summary": "Predict"}}},
    })  # fmt: skip
    kept = answer(f"GET {place}", 200, described, "application/json")
    facts, asked = ask(knowledge, book(FASTAPI, kept))
    assert [r.path for fact in facts for r in fact.inference_routes] == [f"{base}/predict"]
    assert len(asked) <= Limits().requests


def test_a_page_of_documentation_says_where_the_description_is(knowledge: Knowledge) -> None:
    page = "<script>SwaggerUIBundle({url: '/internal/api-7.json', dom_id: '#ui'})</script>"
    described = '{"openapi": "3.1.0", "info": {"title": "x"}, "paths": {"/tumour": {"post": {"summary": "Predict"}}}}'
    facts, _ = ask(
        knowledge,
        book(
            FASTAPI,
            answer("GET /docs", 200, page),
            answer("GET /internal/api-7.json", 200, described, "application/json"),
        ),
    )
    assert facts[0].schema_digest is not None


def test_a_form_on_a_page_about_a_model_tells_its_route_where_options_tells_nothing(knowledge: Knowledge) -> None:
    page = answer("GET /", 200, "<title>Tumour classifier</title><form method=post action=/classify-scan>")
    deaf = answer("OPTIONS /-/routes", 501)
    (fact,), asked = ask(knowledge, book(FLASK, page, deaf))
    assert [r.path for r in fact.inference_routes] == ["/classify-scan"]
    assert not any("classify-scan" in request for request in asked)


def test_a_route_with_a_name_in_it_is_listed_with_its_parameter(knowledge: Knowledge) -> None:
    (fact,), _ = ask(knowledge, book(FLASK, answer("OPTIONS /models/-/predict", 200, allow="POST, OPTIONS")))
    assert [r.path for r in fact.inference_routes] == ["/models/{name}/predict"]


@pytest.mark.parametrize(
    ("said", "is_model"),
    [
        ('{"service": "churn", "model": "resnet18"}', True),
        ('{"message": "leaf disease model is running"}', True),
        ('{"model": "RT-88", "firmware": "3.1", "serial": "x"}', False),
        ('{"message": "welcome"}', False),
        ('{"service": "3D models of trains"}', False),
    ],
)
def test_a_service_that_calls_itself_a_model_in_json_is_one_though_its_route_stays_hidden(
    knowledge: Knowledge, said: str, is_model: bool
) -> None:
    (fact,), asked = ask(knowledge, book(FLASK, answer("GET /", 200, said, "application/json")))
    assert fact.is_model_endpoint is is_model
    assert fact.inference_routes == ()
    assert len([text for text in asked if text.startswith("OPTIONS")]) > 6


def test_a_page_for_people_that_speaks_of_models_is_none(knowledge: Knowledge) -> None:
    (fact,), _ = ask(knowledge, book(FLASK, answer("GET /", 200, "<p>Our churn model is running. Read the blog.")))
    assert not fact.is_model_endpoint


LOADED = '{"status": "healthy", "model_loaded": true}'
UNKNOWN = answer("GET /-/routes", 404, '{"error": "nothing here"}', "application/json")


@pytest.mark.parametrize(
    ("missing", "page", "is_model"),
    [
        (FLASK, LOADED, True),
        (UNKNOWN, LOADED, True),
        (FLASK, '{"status": "healthy", "database": "up"}', False),
        (UNKNOWN, '{"status": "healthy", "model": "X10"}', False),
    ],
)
def test_a_page_of_health_tells_a_model_whose_route_is_not_found(
    knowledge: Knowledge, missing: Answer, page: str, is_model: bool
) -> None:
    health = answer("GET /api/health", 200, page, "application/json")
    (fact,), asked = ask(knowledge, book(missing, health))
    assert fact.is_model_endpoint is is_model
    assert "GET /health" not in asked
