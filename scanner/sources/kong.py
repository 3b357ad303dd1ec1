"""Kong: its routes and the services and upstreams behind them, from a declarative file or the Admin API.

Interface: Kong's declarative configuration, format 1.1 to 3.0, and its Admin API 3.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from inventory.model import Declaration, DeclarationKind
from scanner.io.api import Api, ApiError
from scanner.sources.documents import load_file, open_api
from scanner.sources.reading import Context, SourceError, owner_in, source_of_declarations

_WHAT = "the URL of an Admin API, or a declarative file"
Objects = dict[str, list[dict[str, Any]]]


def read(context: Context) -> Iterator[Declaration]:
    """Every route, with the sockets that its service leads to."""
    objects = _from_api(context) if context.rest.startswith(("http://", "https://")) else _from_file(context)
    services = {key: one for one in objects["services"] for key in _names(one)}
    targets: dict[str, list[str]] = defaultdict(list)
    for target in objects["targets"]:
        for name in _referred(target.get("upstream")):
            targets[name].append(str(target.get("target")))
    upstreams = {
        str(one.get("name")): [t for name in _names(one) for t in targets[name]] for one in objects["upstreams"]
    }
    for number, route in enumerate(objects["routes"]):
        service = next((services[name] for name in _referred(route.get("service")) if name in services), None)
        if service is None:
            context.shortfalls.append(
                f"{context.source}: the route {route.get('name') or number} names no known service"
            )
            continue
        yield _route(context, route, service, upstreams, number)


def _route(
    context: Context, route: dict[str, Any], service: dict[str, Any], upstreams: dict[str, list[str]], number: int
) -> Declaration:
    scheme, host, port, path = _address(service)
    sockets = upstreams.get(host) or [f"{host}:{port}"]
    paths = [str(path) for path in route.get("paths") or ["/"]]
    schemes = [str(one) for one in route.get("protocols") or ["http"] if one in {"http", "https"}]
    name = str(route.get("name") or route.get("id") or f"{service.get('name')}/{number}")
    tags = [str(tag).partition(":")[::2] for tag in [*(route.get("tags") or []), *(service.get("tags") or [])]]
    return context.declaration(
        name,
        name,
        kind=DeclarationKind.ROUTE,
        urls=tuple(
            f"{one}://{domain}{below if below.startswith('/') else '/'}"
            for one in schemes[:1]
            for domain in route.get("hosts") or []
            for below in paths
        ),
        backends=tuple(f"{scheme}://{socket}{path}" for socket in sockets),
        owner=owner_in(tags),
    )


def _address(service: dict[str, Any]) -> tuple[str, str, int, str]:
    if service.get("url"):
        parts = urlsplit(str(service["url"]))
        return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80), parts.path
    scheme = str(service.get("protocol") or "http")
    port = int(service.get("port") or (443 if scheme == "https" else 80))
    return scheme, str(service.get("host") or ""), port, str(service.get("path") or "")


def _names(one: dict[str, Any]) -> list[str]:
    return [str(one[key]) for key in ("id", "name") if one.get(key)]


def _referred(value: Any) -> list[str]:
    """The names by which one object refers to another: itself a name, or an object with an id or a name."""
    if isinstance(value, dict):
        return _names(value)
    return [str(value)] if value else []


def _from_file(context: Context) -> Objects:
    document = load_file(context, _WHAT)
    if not isinstance(document, dict) or "_format_version" not in document:
        raise SourceError(f"{context.source} is no declarative file of Kong: write {_WHAT}")
    objects: Objects = {name: _listed(document.get(name)) for name in ("services", "routes", "upstreams", "targets")}
    for service in objects["services"]:
        reference = next(iter(_names(service)), "")
        objects["routes"] += [route | {"service": reference} for route in _listed(service.get("routes"))]
    for upstream in objects["upstreams"]:
        objects["targets"] += [one | {"upstream": upstream.get("name")} for one in _listed(upstream.get("targets"))]
    return objects


def _from_api(context: Context) -> Objects:
    token = os.environ.get("KONG_ADMIN_TOKEN")
    api = open_api(context, {"Kong-Admin-Token": token} if token else None)
    try:
        objects: Objects = {name: list(_pages(api, f"/{name}")) for name in ("services", "routes", "upstreams")}
        objects["targets"] = [
            one | {"upstream": {"id": upstream.get("id")}}
            for upstream in objects["upstreams"]
            for one in _pages(api, f"/upstreams/{upstream.get('id')}/targets")
        ]
    except ApiError as error:
        advice = "set KONG_ADMIN_TOKEN to a reader's" if error.status in {401, 403} else f"write {_WHAT}"
        raise SourceError(f"{context.source} was not read to the end: {error}; {advice}") from error
    finally:
        context.requests += api.calls
    return objects


def _pages(api: Api, path: str) -> Iterator[dict[str, Any]]:
    following: str | None = path
    seen: set[str] = set()
    while following:
        if following in seen:
            raise ApiError(f"GET {path} gives the same page again and again")
        seen.add(following)
        page = api.get(following)
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise ApiError(f"what it answers to GET {path} is not Kong's")
        yield from page["data"]
        following = page.get("next")


def _listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value or [] if isinstance(one, dict)] if isinstance(value, list) else []


prepare = source_of_declarations(read, files=True)
