"""MLflow: the registered models and their versions, and the endpoints of a deployments server.

Credentials are MLflow's own: ``MLFLOW_TRACKING_TOKEN``, or ``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``.
A version is a model that may be served, not an endpoint, unless a tag of it says where it is served.
Read-only. Interface: MLflow REST API 2.0.
"""

import base64
import os
from collections.abc import Iterator
from typing import Any

from inventory.model import Declaration, DeclarationKind, DeclarationState
from scanner.io.api import Api, ApiError
from scanner.sources.reading import Context, SourceError, owner_in, served_at, source_of_declarations

PAGE = 200
_API = "/api/2.0/mlflow"
_ARCHIVED = "archived"


def read(context: Context) -> Iterator[Declaration]:
    """Every version of every registered model, then what a deployments server serves."""
    try:
        api = Api(context.rest, _credentials(), allow_public=context.scope.allow_public)
    except ApiError as error:
        raise SourceError(f"{context.source}: {error}; write mlflow:http://HOST:PORT") from error
    try:
        models = {str(one.get("name")): one for one in _pages(api, "registered-models")}
        for version in _pages(api, "model-versions"):
            yield _version(context, version, models.get(str(version.get("name")), {}))
        yield from _deployments(api, context)
    except ApiError as error:
        raise SourceError(_sentence(context, error)) from error
    finally:
        context.requests += api.calls


def _credentials() -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _pages(api: Api, what: str) -> Iterator[dict[str, Any]]:
    """Every item of a paged search."""
    path, items = f"{_API}/{what}/search", what.replace("-", "_")
    return api.pages(
        path, items, parameter="page_token", following="next_page_token", foreign="not MLflow's", max_results=PAGE
    )  # fmt: skip


def _version(context: Context, version: dict[str, Any], model: dict[str, Any]) -> Declaration:
    name, number = str(version.get("name")), str(version.get("version"))
    tags = [*_tags(version), *_tags(model)]
    urls = served_at(tags)
    retired = str(version.get("current_stage", "")).lower() == _ARCHIVED
    aliases = [str(one.get("alias")) for one in model.get("aliases", []) if str(one.get("version")) == number]
    return context.declaration(
        f"{name}/{number}",
        name,
        kind=DeclarationKind.ENDPOINT if urls else DeclarationKind.MODEL,
        state=DeclarationState.RETIRED if retired else DeclarationState.ACTIVE,
        urls=urls,
        model=name,
        model_version=number,
        artifact=version.get("source"),
        owner=owner_in(tags),
        details=tuple(f"alias {alias}" for alias in aliases),
    )


def _tags(item: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(tag.get("key")), str(tag.get("value"))) for tag in item.get("tags", []) if isinstance(tag, dict)]


def _deployments(api: Api, context: Context) -> Iterator[Declaration]:
    """The endpoints of a deployments server (also called AI gateway) at the same URL; most servers are none."""
    try:
        page = api.get("/api/2.0/endpoints/")
    except ApiError as error:
        if error.status in {404, 405}:
            return
        raise
    for one in page.get("endpoints", []) if isinstance(page, dict) else []:
        path = str(one.get("endpoint_url") or f"/gateway/{one.get('name')}/invocations")
        url = path if "://" in path else f"{context.rest.rstrip('/')}{path}"
        served = one.get("model") or {}
        yield context.declaration(
            f"endpoint/{one.get('name')}",
            str(one.get("name")),
            urls=(url,),
            model=str(served.get("name") or ""),
            details=(f"provider {served.get('provider')}",),
        )


def _sentence(context: Context, error: ApiError) -> str:
    if error.status in {401, 403}:
        advice = "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, to a reader's"
        return f"{context.source} does not let us read ({error}): {advice}"
    return f"{context.source} was not read to the end: {error}"


prepare = source_of_declarations(read)
