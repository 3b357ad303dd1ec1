"""Weights & Biases: the versions of the models in the registries of an organisation.

The target is ``wandb:ORGANISATION`` at the hosted service, or ``wandb:https://HOST/ORGANISATION`` at a server of
one's own. The key is W&B's own: ``WANDB_API_KEY``, else what netrc (``NETRC``, ``~/.netrc``) holds of the host. A
version is a model that may be served, not an endpoint, unless its metadata or a tag says where it is served. Only
GraphQL queries are sent. Interface: W&B's GraphQL, as version 0.30 of its client uses it.
"""

import base64
import json
import netrc
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from inventory.model import Declaration, DeclarationKind, DeclarationState
from scanner.io.api import Api, ApiError
from scanner.sources.reading import Context, SourceError, owner_in, served_at, source_of_declarations

HOSTED = "https://api.wandb.ai"
PAGE = 100
MOST_PAGES = 10_000
_FORMS = "wandb:ORGANISATION or wandb:https://HOST/ORGANISATION"
_PATH = "/graphql"
_PREFIX = "wandb-registry-"
_RETIRED = {"archived", "retired", "deprecated"}
_MODEL = {"model", "models"}

_COLLECTIONS = """
query ModelCollections($organisation: String!, $after: String, $first: Int) {
  viewer { id }
  organization(name: $organisation) {
    orgEntity {
      artifactCollections(collectionTypes: [PORTFOLIO], after: $after, first: $first) {
        pageInfo { endCursor hasNextPage }
        edges { node {
          name
          project { name entity { name } }
          defaultArtifactType { name }
          tags { edges { node { name } } }
        } }
      }
    }
  }
}
"""

_VERSIONS = """
query ModelVersions($organisation: String!, $after: String, $first: Int, $runs: Boolean!) {
  viewer { id }
  organization(name: $organisation) {
    orgEntity {
      artifactMemberships(after: $after, first: $first) {
        pageInfo { endCursor hasNextPage }
        edges { node {
          versionIndex
          aliases { alias }
          artifactCollection { name project { name entity { name } } }
          artifact {
            state
            metadata
            versionIndex
            artifactType { name }
            tags { name }
            artifactSequence { name project { name entity { name } } }
            createdBy @include(if: $runs) { ... on Run { name } }
          }
        } }
      }
    }
  }
}
"""


class _NotShownError(ApiError):
    """The server knows the key and shows it no such organisation."""


@dataclass(frozen=True)
class _Collection:
    """A collection of a registry. ``types`` are the words in its type's name, ``tags`` its own."""

    entity: str
    project: str
    name: str
    types: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """What names it within the organisation."""
        return self.project, self.name


def read(context: Context) -> Iterator[Declaration]:
    """Every version of every collection of models. What the key is not shown is counted, and said to be missing."""
    base, organisation = _place(context)
    key = _key(context, base)
    basic = base64.b64encode(f"api:{key}".encode()).decode()
    headers, public = {"Authorization": f"Basic {basic}"}, context.scope.allow_public
    try:
        api = Api(base, headers, allow_public=public, secrets=(key, basic))
    except ApiError as error:
        raise SourceError(f"{context.source}: {error}; write {_FORMS}") from error
    try:
        hidden = yield from _models(context, api, organisation)
    except ApiError as error:
        raise SourceError(_sentence(context, base, error)) from error
    finally:
        context.requests += api.calls
    if hidden:
        context.shortfalls.append(
            f"{context.source} does not show this key everything (entries without content: {hidden}): use the key of "
            "somebody who sees every registry"
        )


def _models(context: Context, api: Api, organisation: str) -> Generator[Declaration, None, int]:
    """The versions; returns how many entries were there without content."""
    hidden = 0
    collections: dict[tuple[str, str], _Collection] = {}
    for node in _pages(api, _COLLECTIONS, "artifactCollections", organisation):
        collection = _collection(node)
        if collection is None:
            hidden += 1
        else:
            collections[collection.place] = collection
    for node in _pages(api, _VERSIONS, "artifactMemberships", organisation, runs=True):
        artifact, linked = node.get("artifact"), _collection(node.get("artifactCollection"))
        collection = collections.get(linked.place, linked) if linked is not None else None
        types = (collection.types if collection else None) or _words(artifact, "artifactType")
        if types and not types & _MODEL:
            continue
        if not types or collection is None or not artifact or node.get("versionIndex") is None:
            hidden += 1
        else:
            yield _version(context, collection, node, artifact)
    return hidden


def _place(context: Context) -> tuple[str, str]:
    """The base URL of the server, and the organisation."""
    base, _, organisation = context.rest.rstrip("/").rpartition("/")
    if "://" not in context.rest:
        base, organisation = HOSTED, context.rest
    if not _host(base) or not organisation or "/" in organisation or set(context.rest) & set("?#"):
        raise SourceError(f"{context.source}: write {_FORMS}")
    if "@" in base:
        raise SourceError(f"{context.source}: leave user and password out of the URL, the key is read from elsewhere")
    return base, unquote(organisation)


def _key(context: Context, base: str) -> str:
    """The key for a host: the environment's, unless that says which other host it is for; else netrc's."""
    host = _host(base)
    meant = os.environ.get("WANDB_BASE_URL")
    given = os.environ.get("WANDB_API_KEY", "").strip()
    if given and (not meant or _host(meant) == host):
        return given
    found = _in_netrc(context, host)
    if not found:
        but = f"; the one in WANDB_API_KEY is for WANDB_BASE_URL, {_host(meant)}" if given and meant else ""
        raise SourceError(
            f"{context.source}: no key for {host} was found{but}: set WANDB_API_KEY, or log in by `wandb login --host "
            f"{base}`"
        )
    return found


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _in_netrc(context: Context, host: str) -> str | None:
    """The password of the host in netrc; the entry for any host is not for this one."""
    named = os.environ.get("NETRC")
    for path in map(Path, [named] if named else ["~/.netrc", "~/_netrc"]):
        try:
            place = path.expanduser()
        except RuntimeError:  # whoever runs this has no home, and no file in it
            continue
        if not place.is_file():
            continue
        try:
            entry = netrc.netrc(str(place)).hosts.get(host)
        except (netrc.NetrcParseError, OSError, UnicodeError):
            # What cannot be read of it may be a password: neither its text nor the error's is shown.
            raise SourceError(f"{context.source}: {place} cannot be read as a netrc file: mend it") from None
        if entry is not None and entry[2]:
            return entry[2]
    return None


def _pages(api: Api, document: str, name: str, organisation: str, **more: Any) -> Iterator[dict[str, Any]]:
    """Every node of a list of the organisation, {} for one that is not shown. Half a list ends with ApiError."""
    variables = {"organisation": organisation, "after": None, "first": PAGE, **more}
    asked: set[str] = set()
    for _ in range(MOST_PAGES):
        page: dict[str, Any] = _entity(_ask(api, document, variables), organisation).get(name) or {}
        edges, place = page.get("edges"), page.get("pageInfo") or {}
        if not isinstance(edges, list) or not isinstance(place.get("hasNextPage"), bool):
            raise ApiError(f"what it answers to {name} is no list of W&B's")
        for edge in edges:
            yield (edge or {}).get("node") or {}
        if not place["hasNextPage"]:
            return
        variables["after"] = after = str(place.get("endCursor") or "")
        if after in asked or not after:
            raise ApiError(f"it gives the same page of {name} again and again")
        asked.add(after)
    raise ApiError(f"its {name} have no end within {MOST_PAGES} pages")


def _ask(api: Api, document: str, variables: dict[str, Any]) -> dict[str, Any]:
    try:
        return api.query(_PATH, document, **variables)
    except ApiError as error:
        if error.status not in {200, 403} or not variables.get("runs"):
            raise
    # A model may come from a project that this key may not read: the list is worth more than the names of the runs.
    variables["runs"] = False
    return api.query(_PATH, document, **variables)


def _entity(data: dict[str, Any], organisation: str) -> dict[str, Any]:
    """What holds the registries of the organisation. Raises ApiError where that is nothing."""
    if not data.get("viewer"):
        raise ApiError("it knows nobody by this key", 401)
    found = data.get("organization") or {}
    entity = found.get("orgEntity")
    if not entity:
        raise _NotShownError(f"it shows this key no organisation {organisation!r} with registries")
    return cast("dict[str, Any]", entity)


def _collection(node: dict[str, Any] | None) -> _Collection | None:
    """None for a collection that is not shown, or whose project is not."""
    project = (node or {}).get("project")
    if not node or not project:
        return None
    tags = (node.get("tags") or {}).get("edges") or []
    return _Collection(
        entity=str((project.get("entity") or {}).get("name")),
        project=str(project.get("name")),
        name=str(node.get("name")),
        types=_words(node, "defaultArtifactType"),
        tags=tuple(str(((edge or {}).get("node") or {}).get("name")) for edge in tags),
    )


def _words(node: dict[str, Any] | None, part: str) -> frozenset[str]:
    """The words in the name of a type, in lower case; none where it is not told."""
    kind = (node or {}).get(part) or {}
    return frozenset(re.findall(r"[^\W_]+", str(kind.get("name") or "").lower()))


def _version(
    context: Context, collection: _Collection, membership: dict[str, Any], artifact: dict[str, Any]
) -> Declaration:
    version = f"v{membership['versionIndex']}"
    aliases = [str(one.get("alias")) for one in membership.get("aliases") or []]
    tags = [*(str(tag.get("name")) for tag in artifact.get("tags") or []), *collection.tags]
    labels = [*_metadata(artifact), *((key, value) for key, _, value in map(_pair, tags) if value)]
    urls = served_at(labels)
    marks = {mark.lower() for mark in (*aliases, *tags)}
    retired = bool(marks & _RETIRED) or artifact.get("state") == "DELETED"
    registry = collection.project.removeprefix(_PREFIX)
    return context.declaration(
        f"{registry}/{collection.name}/{version}",
        collection.name,
        kind=DeclarationKind.ENDPOINT if urls else DeclarationKind.MODEL,
        state=DeclarationState.RETIRED if retired else DeclarationState.ACTIVE,
        urls=urls,
        model=collection.name,
        model_version=version,
        artifact=f"wandb-artifact://{collection.entity}/{collection.project}/{collection.name}:{version}",
        owner=owner_in(labels),
        details=(*(f"alias {alias}" for alias in aliases), *(f"tag {tag}" for tag in tags), *_origin(artifact)),
    )


def _metadata(artifact: dict[str, Any]) -> list[tuple[str, str]]:
    """The texts among what is told of an artifact: its own are JSON in a text, and anybody's."""
    try:
        told = json.loads(artifact.get("metadata") or "{}")
    except (ValueError, RecursionError):
        return []
    return [(key, value) for key, value in told.items() if isinstance(value, str)] if isinstance(told, dict) else []


def _pair(tag: str) -> tuple[str, str, str]:
    """A tag that is a label: ``owner:ana`` or ``owner=ana``."""
    return tag.partition("=") if "=" in tag.partition(":")[0] else tag.partition(":")


def _origin(artifact: dict[str, Any]) -> Iterator[str]:
    source = _collection(artifact.get("artifactSequence"))
    if source is not None:
        yield f"from {source.entity}/{source.project}/{source.name}:v{artifact.get('versionIndex')}"
    run = (artifact.get("createdBy") or {}).get("name")
    if run:
        yield f"made by run {run}"


def _sentence(context: Context, base: str, error: ApiError) -> str:
    if isinstance(error, _NotShownError):
        return f"{context.source}: {error}: write the organisation's name as W&B has it, and use the key of a member"
    if error.status in {401, 403}:
        advice = f"set WANDB_API_KEY to a key that is valid there, or log in by `wandb login --relogin --host {base}`"
        return f"{context.source} does not let us read ({error}): {advice}"
    return f"{context.source} was not read to the end: {error}"


prepare = source_of_declarations(read)
