"""MLflow's registry over HTTP: pages, stages, tags, credentials, and everything that can go wrong on the way."""

import base64
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from interfaces import MLFLOW_MODELS, mlflow

from inventory.model import DeclarationKind, DeclarationState, ScanStatus
from scanner.sources.mlflow import inputs_in


def test_every_version_of_every_page_is_read(read, registry) -> None:
    registry.answer = mlflow
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, scan.reason, scan.account.answered) == (ScanStatus.COMPLETE, None, 1)
    assert set(found) == {*(f"model-{n}/1" for n in range(5)), "model-0/2", "model-1/9"}
    assert scan.requests == len(registry.asked) == 3 + 4 + 1 + 1
    served, retired, plain = found["model-0/2"], found["model-1/9"], found["model-3/1"]
    assert (served.kind, served.owner, served.details) == (DeclarationKind.ENDPOINT, "ana", ("alias champion",))
    assert (served.urls, served.places) == (("http://127.0.0.9:8000/m",), ("127.0.0.9:8000",))
    assert (retired.state, retired.artifact) == (DeclarationState.RETIRED, "s3://bucket/9")
    assert (plain.kind, plain.state, plain.owner) == (DeclarationKind.MODEL, DeclarationState.ACTIVE, "team-0")
    assert "s3cret" not in served.model_dump_json()


def test_what_is_deleted_there_is_withdrawn_here_by_a_complete_scan_only(read, registry, declared_store) -> None:
    registry.answer = mlflow
    read(f"mlflow:{registry.url}")
    registry.answer = lambda path, headers: mlflow(path, headers) if "page_token" not in path else (500, {}, {})
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, len(found)) == (ScanStatus.INCOMPLETE, 7)
    registry.answer = lambda path, headers: without("model-3", *mlflow(path, headers))
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, len(found), "model-3/1" in found) == (ScanStatus.COMPLETE, 6, False)
    assert len(declared_store.declarations.list(withdrawn=True)) == 7


def without(name: str, status: int, page: Any, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
    """A page from which a model was deleted."""
    found = {key: [one for one in items if one["name"] != name] for key, items in page.items() if key.endswith("s")}
    return status, page | found, headers


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"),
        (
            {"MLFLOW_TRACKING_USERNAME": "ana", "MLFLOW_TRACKING_PASSWORD": "pw-Qx81"},
            f"Basic {base64.b64encode(b'ana:pw-Qx81').decode()}",
        ),
        ({}, None),
    ],
)
def test_credentials_are_mlflows_own_and_kept_nowhere(
    read, registry, declared_store, monkeypatch, tmp_path, environment, expected
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    registry.answer = mlflow
    read(f"mlflow:{registry.url}")
    assert {headers.get("authorization") for _, headers in registry.asked} == {expected}
    kept = (tmp_path / "inventory.db").read_bytes() + (tmp_path / "inventory.db-wal").read_bytes()
    for secret in filter(None, (expected, *environment.values())):
        assert secret.encode() not in kept or secret == "ana"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}, {}), "set MLFLOW_TRACKING_TOKEN"),
        ((403, {}, {}), "does not let us read (it answered 403"),
        ((429, {}, {"Retry-After": "1"}), "it answered 429"),
        ((302, {}, {"Location": "http://127.0.0.1:1/"}), "it answered 302"),
        ((200, b"<html>login</html>", {}), "the answer is not JSON"),
        ((200, b"[" * 100_000, {}), "the answer is not JSON"),
        ((200, ["no", "mapping"], {}), "is not MLflow's"),
        ((200, {"registered_models": "x"}, {}), "is not MLflow's"),
        ((200, {"registered_models": [], "next_page_token": "again"}, {}), "the same page again and again"),
        ((200, b'{"registered_models": [', {"Content-Length": "1000"}), "failed: "),
    ],
)
def test_what_is_not_read_to_the_end_says_so_and_withdraws_nothing(read, registry, answer, said) -> None:
    registry.answer = mlflow
    read(f"mlflow:{registry.url}")
    registry.asked.clear()
    registry.answer = lambda path, headers: answer
    scan, found = read(f"mlflow:{registry.url}")
    assert scan.status is ScanStatus.INCOMPLETE
    assert said in (scan.reason or "")
    assert len(found) == 7
    assert len(registry.asked) <= 4


def test_throttling_is_waited_for(read, registry) -> None:
    throttled = iter([True, True])
    registry.answer = lambda path, headers: (
        (429, {}, {"Retry-After": "2"}) if next(throttled, False) else mlflow(path, headers)
    )
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, len(found)) == (ScanStatus.COMPLETE, 7)


def test_one_source_that_fails_keeps_no_other_from_being_read(read, registry) -> None:
    registry.answer = mlflow
    scan, found = read("mlflow:http://127.0.0.1:1", f"mlflow:{registry.url}")
    assert (scan.status, len(found)) == (ScanStatus.INCOMPLETE, 7)
    assert (scan.account.planned, scan.account.answered, scan.account.refused) == (2, 1, 1)


def test_a_public_registry_needs_a_word(read) -> None:
    scan, found = read("mlflow:http://1.1.1.1:5000")
    assert (scan.status, found) == (ScanStatus.INCOMPLETE, {})
    assert "1.1.1.1 has the public address 1.1.1.1: add --allow-public" in (scan.reason or "")


def test_endpoints_of_a_deployments_server(read, registry) -> None:
    served = {"name": "m", "provider": "p"}
    listed = {"endpoints": [{"name": "chat", "endpoint_url": "/gateway/chat/invocations", "model": served}]}
    registry.answer = lambda path, headers: (200, listed, {}) if path == "/api/2.0/endpoints/" else (200, {}, {})
    _, found = read(f"mlflow:{registry.url}")
    assert found["endpoint/chat"].urls == (f"{registry.url}/gateway/chat/invocations",)
    assert found["endpoint/chat"].model == "m"


SIGNED = """
artifact_path: model
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "double", "name": "income"}]'
  outputs: '[{"type": "long"}]'
"""


@pytest.mark.parametrize(
    ("answer", "inputs", "asked"),
    [
        ((200, SIGNED.encode(), {}), ("age", "income"), 1),
        ((404, b"", {}), (), 1),
        ((500, b"", {}), (), 1),
        ((200, b"signature: {inputs: [", {}), (), 1),
    ],
)
def test_what_a_version_that_an_alias_names_takes_is_read_from_its_signature(
    read, registry, answer, inputs, asked
) -> None:
    def answered(path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        return answer if path.startswith("/model-versions/get-artifact") else mlflow(path, headers)

    registry.answer = answered
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, scan.reason) == (ScanStatus.COMPLETE, None)
    assert {key: one.inputs for key, one in found.items() if one.inputs} == ({"model-0/2": inputs} if inputs else {})
    files = [path for path, _ in registry.asked if path.startswith("/model-versions")]
    assert files == ["/model-versions/get-artifact?name=model-0&version=2&path=MLmodel"] * asked


def test_a_server_that_cannot_reach_its_artifacts_is_asked_for_one_signature_only(read, registry) -> None:
    models = [one | {"latest_versions": [{"version": "1"}]} for one in MLFLOW_MODELS]

    def answered(path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if path.startswith("/model-versions/get-artifact"):
            return 500, {}, {}
        whole = path.startswith("/api/2.0/mlflow/registered-models/search")
        return (200, {"registered_models": models}, {}) if whole else mlflow(path, headers)

    registry.answer = answered
    scan, found = read(f"mlflow:{registry.url}")
    assert (scan.status, len(found)) == (ScanStatus.COMPLETE, 7)
    assert sum(path.startswith("/model-versions") for path, _ in registry.asked) == 1


@given(
    st.text()
    | st.binary().map(lambda data: data.decode("latin1"))
    | st.builds("signature: {{inputs: {}}}".format, st.text())
)
def test_no_file_that_a_registry_keeps_is_an_error(written: str) -> None:
    assert isinstance(inputs_in(written), tuple)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ('[{"name": "a"}, {"name": "b"}, {"name": "a"}]', ("a", "b")),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}]', ()),
        ('[{"name": "\\u001b[31mred"}]', ("[31mred",)),
        ('{"name": "a"}', ()),
        ("not JSON", ()),
    ],
)
def test_a_signature_names_columns_or_none(columns: str, names: tuple[str, ...]) -> None:
    assert inputs_in(yaml.safe_dump({"signature": {"inputs": columns}})) == names
