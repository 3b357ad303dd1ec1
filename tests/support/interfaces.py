"""The interfaces of registries and clouds as they answer and page, with a few things in each."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answered = tuple[int, Any, dict[str, str]]

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


def azure(base: str, path: str) -> Answered:
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


def vertex(path: str) -> Answered:
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


MLFLOW_MODELS = [
    {"name": f"model-{number}", "tags": [{"key": "team", "value": f"team-{number % 3}"}], "aliases": []}
    for number in range(5)
]
MLFLOW_MODELS[0]["aliases"] = [{"alias": "champion", "version": "2"}]
MLFLOW_VERSIONS = [
    {"name": f"model-{number}", "version": "1", "current_stage": "None", "source": f"models:/m-{number}"}
    for number in range(5)
] + [
    {
        "name": "model-0", "version": "2", "current_stage": "Production", "source": "s3://bucket/2",
        "tags": [
            {"key": "serving_url", "value": "http://user:s3cret@127.0.0.9:8000/m"}, {"key": "owner", "value": "ana"},
        ],
    },
    {"name": "model-1", "version": "9", "current_stage": "Archived", "source": "s3://bucket/9"},
]  # fmt: skip
MLFLOW_PAGE = 2


def mlflow(path: str, headers: dict[str, str]) -> Answered:
    """As the REST API 2.0 answers: the token of the next page is absent on the last one."""
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    for name, items in (("registered-models", MLFLOW_MODELS), ("model-versions", MLFLOW_VERSIONS)):
        if parts.path == f"/api/2.0/mlflow/{name}/search":
            start = int(query.get("page_token", ["0"])[0])
            page = {name.replace("-", "_"): items[start : start + MLFLOW_PAGE]}
            if start + MLFLOW_PAGE < len(items):
                page["next_page_token"] = str(start + MLFLOW_PAGE)
            return 200, page, {}
    return 404, {"error_code": "ENDPOINT_NOT_FOUND"}, {}


KONG_PAGES = {
    "/services": [
        {"id": "s1", "name": "iris", "protocol": "http", "host": "127.0.0.9", "port": 8000, "path": "/v1",
         "tags": ["owner:ana"]},
        {"id": "s2", "name": "churn", "protocol": "http", "host": "churn-upstream", "port": 80},
    ],
    "/routes": [
        {"id": "r1", "name": "iris", "hosts": ["ml.example.com"], "paths": ["/iris"], "protocols": ["https"],
         "service": {"id": "s1"}},
        {"id": "r2", "name": "churn", "hosts": ["churn.example.com"], "service": {"id": "s2"}},
    ],
    "/upstreams": [{"id": "u1", "name": "churn-upstream"}],
    "/upstreams/u1/targets": [{"target": "127.0.0.8:80"}, {"target": "127.0.0.7:81"}],
}  # fmt: skip


def kong(path: str, headers: dict[str, str]) -> Answered:
    """As Kong's Admin API pages: one item a page, with the path of the next."""
    name, _, at = path.partition("?offset=")
    items, start = KONG_PAGES[name], int(at or 0)
    following = f"{name}?offset={start + 1}" if start + 1 < len(items) else None
    return 200, {"data": items[start : start + 1], "next": following}, {}
