"""Azure ML and Vertex AI: their own SDKs find an identity on loopback, and the interface is spoken by a double."""

from typing import Any

import pytest
from interfaces import LAB, LOCATION, SUBSCRIPTION, TOKEN, azure, vertex

from inventory.model import DeclarationState, ScanStatus


def test_azures_endpoints_are_read_with_what_lets_callers_in(read, identified, declared_store, tmp_path) -> None:
    registry = identified
    registry.answer = lambda path, headers: azure(registry.url, path)
    scan, found = read(f"azureml:{registry.url}{SUBSCRIPTION}")
    assert (scan.status, scan.reason, set(found)) == (ScanStatus.COMPLETE, None, {"lab/churn", "lab/old", "lab/empty"})
    churn, old, empty = found["lab/churn"], found["lab/old"], found["lab/empty"]
    assert (churn.urls, churn.places) == (("http://127.0.0.9:9000/churn/score",), ("127.0.0.9:9000",))
    assert (churn.model, churn.model_version, churn.owner) == ("churn", "3", "risk")
    assert churn.artifact == f"{LAB}/models/churn/versions/3"
    assert churn.details == (
        "authentication Key",
        "public network access Enabled",
        "traffic blue 90 %, green 10 %",
        "mirrored traffic green 5 %",
        "deployment green: nothing is told of it",
        "deployment blue: Managed, DS3, egress Disabled",
    )
    assert (old.state, old.model, old.model_version) == (DeclarationState.RETIRED, "old", "7")
    assert empty.urls == ()
    asked = [(path, headers) for path, headers in registry.asked if not path.startswith("/identity")]
    assert {headers["authorization"] for _, headers in asked} == {f"Bearer {TOKEN}"}
    assert scan.requests == len(asked)
    kept = (tmp_path / "inventory.db").read_bytes() + (tmp_path / "inventory.db-wal").read_bytes()
    assert TOKEN.encode() not in kept
    one, same = read(f"azureml:{registry.url}{LAB}")
    assert (one.status, set(same)) == (ScanStatus.COMPLETE, set(found))


def test_vertex_endpoints_are_read_with_their_models(read, identified) -> None:
    registry = identified
    registry.answer = lambda path, headers: vertex(path)
    scan, found = read(f"vertex:{registry.url}{LOCATION}")
    assert (scan.status, scan.reason, set(found)) == (ScanStatus.COMPLETE, None, {"77", "78"})
    live, private = found["77"], found["78"]
    assert (live.name, live.model, live.model_version, live.owner) == ("churn-live", "churn", "3", "ana")
    assert (live.artifact, live.image) == ("gs://bucket/churn", "registry.example/sk:1")
    assert live.details == (
        "reached from everywhere, by whoever Google's IAM lets in",
        "deployed older, 10 % of the traffic",
        "deployed newer, 90 % of the traffic, as sa@p1",
        "requests and answers are logged",
    )
    assert private.urls[0].startswith("https://78.europe-west4.example/v1/projects/p1/")
    assert private.details == ("reached from a private network", "nothing is deployed")
    asked = [headers for path, headers in registry.asked if path.startswith("/v1/")]
    assert {headers["authorization"] for headers in asked} == {f"Bearer {TOKEN}"}
    assert scan.requests == len(asked) == 3


WAYS = [
    ((401, {}, {}), "does not let us read"),
    ((403, {}, {}), "give the identity the role"),
    ((429, {}, {"Retry-After": "1"}), "it answered 429"),
    ((200, b"<html>", {}), "the answer is not JSON"),
    ((200, ["no"], {}), "is no list of"),
    ((200, b'{"value": [', {"Content-Length": "1000"}), "failed: "),
]


@pytest.mark.parametrize(("answer", "said"), WAYS)
@pytest.mark.parametrize("source", ["azureml", "vertex"])
def test_what_is_not_read_to_the_end_withdraws_nothing(read, identified, source, answer, said) -> None:
    registry = identified
    target = f"{source}:{registry.url}{SUBSCRIPTION if source == 'azureml' else LOCATION}"

    def whole(path: str) -> tuple[int, Any, dict[str, str]]:
        return azure(registry.url, path) if source == "azureml" else vertex(path)

    registry.answer = lambda path, headers: whole(path)
    _, before = read(target)
    interface = ("/subscriptions", "/v1/")
    registry.answer = lambda path, headers: answer if path.startswith(interface) else whole(path)
    scan, after = read(target)
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert set(after) == set(before) != set()


def test_a_next_page_on_another_host_gets_no_token(read, identified) -> None:
    registry = identified
    elsewhere = {"value": [], "nextLink": "http://127.0.0.9:1/subscriptions/s1?api-version=2024-04-01"}
    registry.answer = lambda path, headers: (
        (200, elsewhere, {}) if path.startswith("/subscriptions") else azure(registry.url, path)
    )
    scan, _ = read(f"azureml:{registry.url}{SUBSCRIPTION}")
    assert "is on another host, 127.0.0.9:1" in (scan.reason or "")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("azureml:a/b", "write azureml:SUBSCRIPTION"),
        ("vertex:p", "write vertex:PROJECT/REGION"),
        ("vertex:p/r/x", "write"),
    ],
)
def test_a_target_that_names_no_place_says_the_form(read, identified, target, said) -> None:
    scan, found = read(target)
    assert (scan.status, found) == (ScanStatus.INCOMPLETE, {})
    assert said in (scan.reason or "")
    assert identified.asked == []


@pytest.mark.parametrize(("source", "said"), [("azureml", "no Azure credentials"), ("vertex", "no Google credentials")])
def test_without_credentials_it_says_how_to_log_in(read, identified, monkeypatch, source, said) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    identified.answer = lambda path, headers: (400, {"error": "invalid_request"}, {})
    place = SUBSCRIPTION if source == "azureml" else LOCATION
    scan, _ = read(f"{source}:{identified.url}{place}")
    assert said in (scan.reason or "")
    assert "log in by" in (scan.reason or "")
