"""What every source of declarations promises, held against each of them on the wire or in files.

Credentials that have expired, throttling, half a page and then a reset, an answer with nothing in it: nothing that was
declared is given up for any of them, the reason says which source it was and what to do, and another registry of the
same scope is read all the same.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from amazon import SAGEMAKER_READS, aws_error, sagemaker_endpoint
from interfaces import LOCATION, SUBSCRIPTION, TOKEN, azure, kong, mlflow, vertex
from weights import Weights

from inventory.model import ScanStatus
from scanner.sources import SOURCES

SECRET = "s3cret-that-was-planted"
CATALOGUE = "name,url,owner\niris,http://127.0.0.9:8000,ana\nchurn,http://127.0.0.9:8001,bo\n"
NGINX = "events {} http { server { listen 80; server_name a.example; location / { proxy_pass http://127.0.0.9:1; } } }"
HAPROXY = "frontend web\n  bind :80\n  default_backend b\nbackend b\n  server one 127.0.0.9:8000\n"
ENVOY_ROUTES = {
    "@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump",
    "static_route_configs": [{"route_config": {"name": "ways", "virtual_hosts": [
        {"name": "ml", "domains": ["ml.example"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "one"}}]},
    ]}}],
}  # fmt: skip
ENVOY_CLUSTERS = {
    "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
    "static_clusters": [{"cluster": {"name": "one", "load_assignment": {"endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.9", "port_value": 1}}}},
    ]}]}}}],
}  # fmt: skip
ENVOY = {"configs": [ENVOY_CLUSTERS, ENVOY_ROUTES]}
FAULTS = ("expired", "throttled", "reset", "empty")


@dataclass
class Registered:
    """A registry in working order. ``suffer`` puts a fault in it; ``calls`` are those that were made, as it knows them.

    ``nothing`` is what its working interface answers where there is nothing in it.
    """

    target: str
    suffer: Callable[[str], None]
    calls: list[str] = field(default_factory=list)
    reads: Callable[[str], bool] = lambda call: call == "GET"


def over_http(target: str, registry: Any, whole: Any, of_interface: Callable[[str], bool], nothing: Any) -> Registered:
    """A registry whose interface is spoken by a double. A reset comes after the first page."""

    def suffer(fault: str) -> None:
        pages = iter([fault == "reset" and target.partition(":")[0] != "envoy"])

        def answer(path: str, headers: dict[str, str]) -> Any:
            if not of_interface(path) or next(pages, False):
                return whole(path, headers)
            return {
                "expired": (401, {}, {}),
                "throttled": (429, {}, {"Retry-After": "1"}),
                "reset": (200, b'{"value": [{', {"Content-Length": "4000"}),
                "empty": (200, nothing(path), {}),
            }[fault]

        registry.answer = answer

    registry.answer = whole
    return Registered(target, suffer, registry.methods)


def in_file(prefix: str, path: Path, text: str, nothing: str) -> Registered:
    """A registry in a file: what is an expired credential elsewhere is a file that is no more, a reset half a file."""
    path.write_text(text)

    def suffer(fault: str) -> None:
        if fault in {"expired", "throttled"}:
            path.unlink()
        else:
            path.write_text(nothing if fault == "empty" else text[: len(text) // 2 + 1])

    return Registered(f"{prefix}:{path}", suffer)


@pytest.fixture(params=[name for name in SOURCES if name not in {"", "listen", "k8s"}])
def known(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    """Each source in working order. A source without a line here fails."""
    return MAKERS[request.param](request, tmp_path, monkeypatch)


def _mlflow(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("registry")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
    return over_http(f"mlflow:{registry.url}", registry, mlflow, lambda path: True, lambda path: {})


def _azureml(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("identified")
    return over_http(
        f"azureml:{registry.url}{SUBSCRIPTION}", registry, lambda path, headers: azure(registry.url, path),
        lambda path: path.startswith("/subscriptions"), lambda path: {"value": []},
    )  # fmt: skip


def _vertex(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("identified")
    return over_http(
        f"vertex:{registry.url}{LOCATION}", registry, lambda path, headers: vertex(path),
        lambda path: path.startswith("/v1/"), lambda path: {},
    )  # fmt: skip


def _kong(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("registry")
    monkeypatch.setenv("KONG_ADMIN_TOKEN", SECRET)
    return over_http(f"kong:{registry.url}", registry, kong, lambda path: True, lambda path: {"data": []})


def _envoy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("registry")
    dump = lambda path, headers: (200, ENVOY, {})  # noqa: E731 - one of many
    return over_http(f"envoy:{registry.url}", registry, dump, lambda path: True, lambda path: {"configs": [{}]})


def _sagemaker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    sagemaker_endpoint(request.getfixturevalue("aws"), "iris")
    between = request.getfixturevalue("between")
    nothing = json.dumps({"Endpoints": []}).encode()
    faults = {
        "expired": aws_error("ExpiredTokenException"),
        "throttled": aws_error("ThrottlingException"),
        "reset": (200, b'{"Endpoints": [{"EndpointName": "i', 4000),
        "empty": (200, nothing, len(nothing)),
    }

    def suffer(fault: str) -> None:
        between.fault = lambda operation: faults[fault] if operation == "ListEndpoints" else None

    return Registered("sagemaker:eu-west-1", suffer, between.asked, lambda call: call in {*SAGEMAKER_READS, "Query"})


def _wandb(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registered:
    registry = request.getfixturevalue("registry")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    held = Weights(key=SECRET)
    for number in range(3):
        held.add("acme", "churn", number)
    registry.post = held.post

    def suffer(fault: str) -> None:
        pages = iter([fault == "reset"])

        def post(path: str, headers: dict[str, str], body: bytes) -> Any:
            if next(pages, False):
                return held.post(path, headers, body)
            return {
                "expired": (401, {"errors": [{"message": "user is not logged in"}]}, {}),
                "throttled": (429, {}, {"Retry-After": "1"}),
                "reset": (200, b'{"data": [{', {"Content-Length": "4000"}),
                "empty": Weights(key=SECRET, collections={"acme": []}).post(path, headers, body),
            }[fault]

        registry.post = post

    return Registered(f"wandb:{registry.url}/acme", suffer, registry.methods, _is_query)


def _is_query(call: str) -> bool:
    verb, _, body = call.partition(" ")
    return verb == "POST" and str(json.loads(body)["query"]).lstrip().startswith("query ")


MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path, pytest.MonkeyPatch], Registered]] = {
    "mlflow": _mlflow,
    "azureml": _azureml,
    "vertex": _vertex,
    "kong": _kong,
    "envoy": _envoy,
    "sagemaker": _sagemaker,
    "wandb": _wandb,
    "catalogue": lambda request, folder, patch: in_file("catalogue", folder / "a.csv", CATALOGUE, ""),
    "nginx": lambda request, folder, patch: in_file("nginx", folder / "n.conf", NGINX, "events {} http {}"),
    "haproxy": lambda request, folder, patch: in_file("haproxy", folder / "h.cfg", HAPROXY, ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_gives_up_what_was_declared(read, known: Registered, fault: str, caplog) -> None:
    scan, before = read(known.target)
    assert (scan.status, scan.reason, scan.whole) == (ScanStatus.COMPLETE, None, (known.target,))
    known.suffer(fault)
    scan, after = read(known.target)
    assert scan.status is ScanStatus.INCOMPLETE
    assert set(after) == set(before) != set()
    reason = scan.reason or ""
    assert known.target in reason
    assert any(
        word in reason for word in ("scan it again", "log in again", "set ", "give ", "write ", "mend ", "`gnomon")
    )
    assert not [secret for secret in (SECRET, TOKEN) if secret in reason or secret in caplog.text]


def test_it_only_reads_and_keeps_no_credential(read, known: Registered, tmp_path: Path) -> None:
    read(known.target)
    assert all(known.reads(call) for call in known.calls)
    assert known.calls or known.target.partition(":")[2].startswith("/")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("inventory.db*"))
    assert not [secret for secret in (SECRET, TOKEN, "s3cret-planted") if secret.encode() in kept]


def test_a_registry_that_fails_holds_up_no_other_of_its_scope(read, tmp_path: Path, declared_store) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    for file in (good, bad):
        file.write_text(CATALOGUE.replace("iris", f"iris-{file.stem}").replace("churn", f"churn-{file.stem}"))
    targets = (f"catalogue:{good}", f"catalogue:{bad}")
    _, before = read(*targets)
    assert len(before) == 4
    bad.unlink()
    good.write_text("name,url\nchurn-good,http://127.0.0.9:8001\n")
    scan, after = read(*targets)
    assert (scan.status, scan.whole) == (ScanStatus.INCOMPLETE, targets[:1])
    assert set(after) == {"churn-good", "iris-bad", "churn-bad"}


def test_a_person_says_that_a_registry_is_empty_and_is_believed(read, tmp_path: Path, declared_store) -> None:
    from inventory.model import utc_now

    file = tmp_path / "a.csv"
    file.write_text(CATALOGUE)
    read(f"catalogue:{file}")
    file.write_text("name,url\n")
    scan, found = read(f"catalogue:{file}")
    assert (scan.status, len(found)) == (ScanStatus.INCOMPLETE, 2)
    assert f"`gnomon declared withdraw catalogue:{file}`" in (scan.reason or "")
    assert declared_store.declarations.withdraw_all(f"catalogue:{file}", "ana", "moved", utc_now()) == 2
    scan, found = read(f"catalogue:{file}")
    assert (scan.status, found) == (ScanStatus.COMPLETE, {})
    with pytest.raises(LookupError, match="declares nothing"):
        declared_store.declarations.withdraw_all(f"catalogue:{file}", "ana", "moved", utc_now())
    file.write_text(CATALOGUE)
    scan, found = read(f"catalogue:{file}")
    assert (scan.status, len(found)) == (ScanStatus.COMPLETE, 2)
