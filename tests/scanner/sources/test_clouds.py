"""Azure ML and Vertex AI: their own SDKs find an identity on loopback, and the interface is spoken by a double."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from registries import Registry

from inventory.model import DeclarationState, ScanStatus

SUBSCRIPTION = "/subscriptions/s1"
WORKSPACES = f"{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/workspaces"
LAB = f"{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/lab"
LOCATION = "/v1/projects/p1/locations/europe-west4"
TOKEN = "t0ken-of-the-cloud"


def endpoint(name: str, **told: Any) -> dict[str, Any]:
    properties = {
        "scoringUri": f"http://127.0.0.9:9000/{name}/score",
        "authMode": "Key",
        "provisioningState": "Succeeded",
    }
    return {
        "id": f"{LAB}/onlineEndpoints/{name}",
        "name": name,
        "tags": {"team": "risk"},
        "properties": properties | told,
    }


ENDPOINTS = [
    endpoint("churn", traffic={"blue": 90, "green": 10}, mirrorTraffic={"green": 5}, publicNetworkAccess="Enabled"),
    endpoint("old", provisioningState="Deleting", authMode="AMLToken"),
    endpoint("empty", scoringUri=None),
]
DEPLOYMENTS = {
    "churn": [
        {"name": "green", "properties": {"model": f"{LAB}/models/churn/versions/4"}},
        {
            "name": "blue",
            "properties": {
                "model": f"{LAB}/models/churn/versions/3", "endpointComputeType": "Managed", "instanceType": "DS3",
                "egressPublicNetworkAccess": "Disabled", "environmentId": f"{LAB}/environments/sk/versions/1",
            },
        },
    ],
    "old": [{"name": "only", "properties": {"model": "azureml:old:7"}}],
    "empty": [],
}  # fmt: skip


def azure(base: str, path: str) -> tuple[int, Any, dict[str, str]]:
    """As Azure Resource Manager pages: one item a page, with an absolute link to the next."""
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    if parts.path == "/identity":
        return 200, {"access_token": TOKEN, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}, {}
    assert query["api-version"] == ["2024-04-01"]
    lists = {WORKSPACES: [{"id": LAB, "name": "lab"}], f"{LAB}/onlineEndpoints": ENDPOINTS}
    lists |= {f"{LAB}/onlineEndpoints/{name}/deployments": found for name, found in DEPLOYMENTS.items()}
    if parts.path not in lists:
        return 404, {}, {}
    start = int(query.get("$skipToken", ["0"])[0])
    page: dict[str, Any] = {"value": lists[parts.path][start : start + 1]}
    if start + 1 < len(lists[parts.path]):
        page["nextLink"] = f"{base}{parts.path}?api-version=2024-04-01&$skipToken={start + 1}"
    return 200, page, {}


@pytest.fixture(scope="module")
def double() -> Iterator[Registry]:
    """One for all tests: Google's library reads the place of the metadata server once, when it is imported."""
    running = Registry()
    yield running
    running.close()


@pytest.fixture
def identified(double, monkeypatch, tmp_path):
    """No identity of this machine's is used: the managed identity and the metadata server are the double's."""
    registry = double
    registry.asked.clear()
    monkeypatch.setattr("scanner.io.api.time.sleep", lambda seconds: None)
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    host = registry.url.removeprefix("http://")
    told = {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path), "IDENTITY_ENDPOINT": f"{registry.url}/identity",
            "IDENTITY_HEADER": "s3cret", "GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return registry


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


VERTEX = {
    f"{LOCATION}/models": [
        {
            "name": "projects/1/locations/r/models/9", "displayName": "churn", "versionId": "2",
            "artifactUri": "gs://bucket/churn", "containerSpec": {"imageUri": "registry.example/sk:1"},
        }
    ],
    f"{LOCATION}/endpoints": [
        {
            "name": f"{LOCATION.removeprefix('/v1/')}/endpoints/77", "displayName": "churn-live",
            "labels": {"owner": "ana"},
            "deployedModels": [
                {"id": "a", "model": "projects/1/locations/r/models/8", "displayName": "older"},
                {"id": "b", "model": "projects/1/locations/r/models/9", "displayName": "newer", "modelVersionId": "3",
                 "serviceAccount": "sa@p1"},
            ],
            "trafficSplit": {"a": 10, "b": 90}, "predictRequestResponseLoggingConfig": {"enabled": True},
        },
        {
            "name": f"{LOCATION.removeprefix('/v1/')}/endpoints/78", "network": "projects/1/global/networks/n",
            "dedicatedEndpointDns": "78.europe-west4.example",
        },
    ],
}  # fmt: skip


def vertex(path: str) -> tuple[int, Any, dict[str, str]]:
    """As Vertex AI pages, one item a page; and as the metadata server of Google's machines answers."""
    parts = urlsplit(path)
    flavor = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
    if parts.path.startswith("/computeMetadata") or parts.path == "/":
        if parts.path.endswith("/token"):
            return 200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}, flavor
        if parts.path.endswith("/project-id"):
            return 200, b"p1", {"Metadata-Flavor": "Google", "Content-Type": "text/plain"}
        return 200, {"email": "sa@p1", "scopes": ["x"], "aliases": ["default"]}, flavor
    if parts.path not in VERTEX:
        return 404, {}, {}
    items = VERTEX[parts.path]
    start = int(parse_qs(parts.query).get("pageToken", ["0"])[0])
    page: dict[str, Any] = {parts.path.rpartition("/")[2]: items[start : start + 1]}
    if start + 1 < len(items):
        page["nextPageToken"] = str(start + 1)
    return 200, page, {}


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
