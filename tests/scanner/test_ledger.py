import pytest

from inventory.model import Listener
from scanner.exchange import Answer, Request
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger

KNOWLEDGE = load_knowledge()
LISTENER = Listener(site="lab", address="192.0.2.1", port=80)
OTHER = Listener(site="lab", address="192.0.2.2", port=80)


def refused(method: str, path: str, relative: str = "", ledger: Ledger | None = None) -> str | None:
    return (ledger or Ledger(KNOWLEDGE)).refusal(LISTENER, Request(method, path, relative))  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "get", ""])
def test_only_harmless_methods_go_out(method: str) -> None:
    assert refused(method, "/anything") is not None


@pytest.mark.parametrize(
    "path",
    [
        "/health", "/health?x=1", "/Health/", "/3/Ping", "/3/Shutdown", "/flush_cache", "/health_generate",
        "/terminate",
        "/shutdown", "/voila/render/a.ipynb", "/start_profile", "/sleep", "/api/v1/auto_login",
        "/v2/repository/models/x/load",
        "/gradio_api/queue/join", "/_dash-update-component", "/management/stop", "/webhook/x", "/register_worker",
        "/v1/config/reload", "/_stcore/stream", "/sse",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_acts_is_refused_whatever_the_product(method: str, path: str) -> None:
    assert refused(method, path)


def test_a_rule_holds_under_a_base_path_too() -> None:
    assert refused("GET", "/llm/health", "/health")
    assert refused("GET", "/llm/health", "/llm/health") is None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_seldons_prediction_paths_are_asked_with_options_only(method: str) -> None:
    assert refused(method, "/predict")
    assert refused("OPTIONS", "/predict") is None


@pytest.mark.parametrize("path", ["x", "http://evil/", "/a b", "/a\r\nHost: b", "/\x7f", "/é", ""])
def test_a_target_that_could_smuggle_is_refused(path: str) -> None:
    assert refused("GET", path)


def test_a_conditional_rule_wakes_and_settles_for_its_listener_only() -> None:
    ledger = Ledger(KNOWLEDGE)
    root = Request("GET", "/", "/")
    assert ledger.refusal(LISTENER, root) is None
    canary = Request("GET", "/-/routes", "/-/routes")
    body = b"<html><title>404: Not Found</title><body>404: Not Found</body></html>"
    ledger.record(LISTENER, Answer(canary, status=404, body=body))
    assert "session" in str(ledger.refusal(LISTENER, root))
    assert ledger.refusal(OTHER, root) is None
    script = Request("HEAD", "/static/js/bokeh.min.js", "/static/js/bokeh.min.js")
    ledger.record(LISTENER, Answer(script, status=404))
    assert ledger.refusal(LISTENER, root) is None


def test_the_ledger_keeps_an_account() -> None:
    ledger = Ledger(KNOWLEDGE, keep=2)
    ledger.record(LISTENER, Answer(Request("GET", "/", "/"), status=200, body=b"abc", milliseconds=1.26))
    for _ in range(3):
        ledger.refusal(LISTENER, Request("GET", "/3/Ping", "/3/Ping"))
    assert (ledger.requests, dict(ledger.methods), len(ledger.refusals)) == (1, {"GET": 1}, 2)
    (asked,) = ledger.close(LISTENER)
    assert (asked.method, asked.path, asked.status, asked.bytes, asked.milliseconds) == ("GET", "/", 200, 3, 1.3)
    assert asked.digest is not None
    assert ledger.asked(LISTENER) == ()
