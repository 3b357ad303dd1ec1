"""Azure Machine Learning: the online endpoints of the workspaces of a subscription, and how each lets callers in.

The target is ``azureml:SUBSCRIPTION``, or ``azureml:SUBSCRIPTION/RESOURCE-GROUP/WORKSPACE`` for one workspace; a
URL in front of ``/subscriptions/`` names another cloud's management host. Credentials come from the chain of Azure's
SDK (environment, workload identity, managed identity, the command lines), and are read by nothing else. Only GETs are
sent. Interface: Azure Resource Manager, Microsoft.MachineLearningServices 2024-04-01.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from inventory.model import Declaration, DeclarationState
from scanner.io.api import Api, ApiError
from scanner.sources.documents import open_api
from scanner.sources.reading import Context, SourceError, owner_in, source_of_declarations

MANAGEMENT = "https://management.azure.com"
VERSION = "2024-04-01"
_PROVIDER = "providers/Microsoft.MachineLearningServices/workspaces"
_GONE = {"deleting", "failed", "canceled"}


def read(context: Context) -> Iterator[Declaration]:
    """Every online endpoint with its deployments, traffic, mirrored traffic and way of letting callers in."""
    base, path = _place(context)
    api = open_api(context, {"Authorization": f"Bearer {_token(context, base)}"}, base)
    try:
        workspaces = [{"id": path}] if "/workspaces/" in path else _pages(api, f"{path}/{_PROVIDER}", base)
        for workspace in workspaces:
            place = str(workspace.get("id"))
            for endpoint in _pages(api, f"{place}/onlineEndpoints", base):
                deployments = list(_pages(api, f"{endpoint.get('id')}/deployments", base))
                yield _endpoint(context, place.rpartition("/")[2], endpoint, deployments)
    except ApiError as error:
        raise SourceError(_sentence(context, error)) from error
    finally:
        context.requests += api.calls


def _place(context: Context) -> tuple[str, str]:
    """The management host, and the path of the subscription or workspace."""
    rest = context.rest.rstrip("/")
    if "://" in rest:
        parts = urlsplit(rest)
        return f"{parts.scheme}://{parts.netloc}", parts.path
    words = rest.split("/")
    if len(words) not in {1, 3} or not all(words):
        raise SourceError(f"{context.source}: write azureml:SUBSCRIPTION or azureml:SUBSCRIPTION/GROUP/WORKSPACE")
    path = f"/subscriptions/{words[0]}"
    return MANAGEMENT, path if len(words) == 1 else f"{path}/resourceGroups/{words[1]}/{_PROVIDER}/{words[2]}"


def _token(context: Context, base: str) -> str:
    try:
        from azure.core.exceptions import AzureError
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError as error:
        raise SourceError("Azure ML needs Azure's identity SDK: install gnomon with its extra 'azure'") from error
    try:
        with DefaultAzureCredential() as credential:
            return str(credential.get_token(f"{base}/.default").token)
    except (AzureError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise SourceError(
            f"{context.source}: no Azure credentials were found ({first}): log in by `az login`"
        ) from error


def _pages(api: Api, path: str, base: str) -> Iterator[dict[str, Any]]:
    """Every item of a listing. Its next page must be of the same host: the token is for that one alone."""
    query: dict[str, str] = {"api-version": VERSION}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    while True:
        page = api.get(path, **query)
        items = page.get("value") if isinstance(page, dict) else None
        if not isinstance(items, list):
            raise ApiError(f"what it answers to {path} is no list of Azure's")
        yield from (item for item in items if isinstance(item, dict))
        following = page.get("nextLink")
        if not following:
            return
        parts = urlsplit(str(following))
        if f"{parts.scheme}://{parts.netloc}" != base:
            raise ApiError(f"the next page of {path} is on another host, {parts.netloc}")
        path, query = parts.path, dict(parse_qsl(parts.query))
        here = (path, tuple(sorted(query.items())))
        if here in seen:
            raise ApiError(f"{path} gives the same page again and again")
        seen.add(here)


def _endpoint(
    context: Context, workspace: str, endpoint: dict[str, Any], deployments: list[dict[str, Any]]
) -> Declaration:
    name, told = str(endpoint.get("name")), endpoint.get("properties") or {}
    traffic: dict[str, Any] = told.get("traffic") or {}
    by_share = sorted(deployments, key=lambda one: -float(traffic.get(str(one.get("name")), 0) or 0))
    main: dict[str, Any] = (by_share[0].get("properties") or {}) if by_share else {}
    state = str(told.get("provisioningState") or "unknown").lower()
    urls = [str(told["scoringUri"])] if told.get("scoringUri") else []
    model, version = _model(main.get("model"))
    return context.declaration(
        f"{workspace}/{name}",
        name,
        urls=tuple(urls),
        state=DeclarationState.RETIRED if state in _GONE else DeclarationState.ACTIVE,
        product="azure-ml",
        model=model,
        model_version=version,
        artifact=main.get("model"),
        image=main.get("environmentId"),
        owner=owner_in((endpoint.get("tags") or {}).items()),
        details=tuple(_details(told, deployments, state)),
    )


def _model(text: object) -> tuple[str | None, str | None]:
    """Name and version in a model's id (``…/models/NAME/versions/N``) or reference (``azureml:NAME:N``)."""
    if not isinstance(text, str) or not text:
        return None, None
    if "/models/" in text:
        name, _, version = text.rpartition("/models/")[2].partition("/versions/")
        return name, version or None
    name, _, version = text.removeprefix("azureml:").partition(":")
    return name, version or None


def _details(told: dict[str, Any], deployments: list[dict[str, Any]], state: str) -> Iterator[str]:
    yield f"authentication {told.get('authMode') or 'unknown'}"
    yield f"public network access {told.get('publicNetworkAccess') or 'unknown'}"
    if state != "succeeded":
        yield f"state {state}"
    for what, shares in (("traffic", told.get("traffic")), ("mirrored traffic", told.get("mirrorTraffic"))):
        if shares:
            yield f"{what} " + ", ".join(f"{name} {share} %" for name, share in sorted(shares.items()))
    for one in deployments:
        inner = one.get("properties") or {}
        said = [str(inner[key]) for key in ("endpointComputeType", "instanceType") if inner.get(key)]
        egress = inner.get("egressPublicNetworkAccess")
        said += [f"egress {egress}"] if egress else []
        yield f"deployment {one.get('name')}: {', '.join(said) or 'nothing is told of it'}"


def _sentence(context: Context, error: ApiError) -> str:
    if error.status in {401, 403}:
        return f"{context.source} does not let us read ({error}): give the identity the role Reader, or log in again"
    return f"{context.source} was not read to the end: {error}"


prepare = source_of_declarations(read)
