"""MLflow: the registered models and their versions, and the endpoints of a deployments server.

Credentials are MLflow's own: ``MLFLOW_TRACKING_TOKEN``, or ``MLFLOW_TRACKING_USERNAME`` and ``_PASSWORD``.
A version is a model that may be served, not an endpoint, unless a tag of it says where it is served. What it takes is
read from the signature in its MLmodel file, of the versions that an alias names or that are the newest.
Read-only. Interface: MLflow REST API 2.0.
"""

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

import yaml

from inventory.model import MOST_INPUTS, Declaration, DeclarationKind, DeclarationState
from scanner.exchange import clean
from scanner.io.api import Api, ApiError
from scanner.sources.reading import Context, SourceError, owner_in, served_at, source_of_declarations

PAGE = 200
MOST_SIGNATURES = 1000
"""Versions of one server whose signatures are read."""

_API = "/api/2.0/mlflow"
_FILE = "/model-versions/get-artifact"
_ARCHIVED = "archived"


def read(context: Context) -> Iterator[Declaration]:
    """Every version of every registered model, then what a deployments server serves."""
    try:
        api = Api(context.rest, _credentials(), allow_public=context.scope.allow_public)
    except ApiError as error:
        raise SourceError(f"{context.source}: {error}; write mlflow:http://HOST:PORT") from error
    try:
        models = {str(one.get("name")): one for one in _pages(api, "registered-models")}
        signatures = Signatures(api)
        for version in _pages(api, "model-versions"):
            model = models.get(str(version.get("name")), {})
            yield _version(context, version, model, signatures.inputs(version, model))
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


class Signatures:
    """What versions take, asked of the server one by one, and of no further one once it fails at that."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._left = MOST_SIGNATURES

    def inputs(self, version: dict[str, Any], model: dict[str, Any]) -> tuple[str, ...]:
        """The names of what a version takes; none where nobody asked, it has no signature or that has no names."""
        number = str(version.get("version"))
        serving = {str(one.get("version")) for key in ("aliases", "latest_versions") for one in model.get(key) or []}
        if number not in serving or self._left <= 0:
            return ()
        self._left -= 1
        try:
            written = self._api.text(_FILE, {"name": str(version.get("name")), "version": number, "path": "MLmodel"})
        except ApiError as error:
            # Without such a file it answers 404 at once; a server that cannot reach its artifacts takes long each time.
            if error.status != 404:
                self._left = 0
            return ()
        return inputs_in(written)


def inputs_in(written: str) -> tuple[str, ...]:
    """The names of the inputs in an MLmodel file, which is YAML with JSON in it, and may be anything."""
    try:
        said = yaml.safe_load(written)["signature"]["inputs"]
        columns = json.loads(said) if isinstance(said, str) else said
        named = [clean(str(one["name"]), 60) for one in columns if "name" in one]
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
        return ()
    return tuple(dict.fromkeys(named))[:MOST_INPUTS]


def _version(context: Context, version: dict[str, Any], model: dict[str, Any], inputs: tuple[str, ...]) -> Declaration:
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
        inputs=inputs,
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
