"""Pure: routes that share a host by paths. A host has one table, in which the longest path comes first.

A route of a path has a piece of the table of each of its hosts instead of a configuration of its own. A change of one
sends its host's table anew: names by host stay independent of how many there are, names by path of one host do not.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.gateways.envoy.sync import ROUTE, SCOPE, Resource

PIECE: Final = "piece"
"""The kind of a piece among the resources of a route; its name is the host and the path. Nodes get tables instead."""

_TABLE: Final = "paths of "
_CONFIGURATION: Final = "envoy.config.route.v3.RouteConfiguration"
_HOST: Final = "envoy.config.route.v3.VirtualHost"
_SCOPED: Final = "envoy.config.route.v3.ScopedRouteConfiguration"
_SLASH: Final = r"(/|%2f|\\|%5c)+"

Named = Mapping[tuple[str, str], Resource]
Change = tuple[str, str, Resource | None]


def order(path: str) -> tuple[int, str]:
    """The key by which pieces are sorted: of two that fit, the longer path is the one that is meant."""
    return -len(path), path


def name_of(host: str) -> str:
    """The name of a host's table."""
    return f"{_TABLE}{host}"


def form(host: str, entries: Iterable[Any]) -> dict[str, Any]:
    """The table of a host, of the entries of its pieces in their order."""
    return {
        "name": name_of(host),
        "virtual_hosts": [{"name": name_of(host), "domains": ["*"], "routes": list(entries)}],
        "response_headers_to_remove": ["x-envoy-upstream-service-time"],
    }


def scope(host: str) -> dict[str, Any]:
    """What leads from a host to its table."""
    return {"name": host, "route_configuration_name": name_of(host), "key": {"fragments": [{"string_key": host}]}}


def guard(path: str) -> dict[str, Any]:
    """What refuses a path that only looks like another one.

    Behind the exact path and before any shorter one: an application that takes ``//`` or ``%2F`` for a slash could be
    reached by it through the route of a shorter path, which may hold its callers to less.
    """
    segments = [re.escape(segment) for segment in path.strip("/").split("/")]
    spelled = _SLASH + _SLASH.join(segments) + f"({_SLASH}.*)?"
    return {
        "match": {"safe_regex": {"regex": f"(?i){spelled}"}},
        "direct_response": {
            "status": 400,
            "body": {"inline_string": f"spell the path plainly: {path}\n"},
        },
    }


class Tables:
    """The tables of all hosts that have any."""

    def __init__(self, schema: Any) -> None:
        """There are none yet."""
        self._schema = schema
        self._pieces: dict[str, dict[str, tuple[str, Resource]]] = {}
        self._made: dict[str, dict[tuple[str, str], Resource]] = {}

    def update(self, wanted: Mapping[str, Named]) -> tuple[list[Change], list[Change]]:
        """Give routes these resources: what goes of tables, and what is new of them."""
        touched: set[str] = set()
        for route, named in wanted.items():
            mine = {_host(name): (name, one) for (kind, name), one in named.items() if kind == PIECE}
            for host, pieces in self._pieces.items():
                if route in pieces and pieces[route] != mine.get(host):
                    del pieces[route]
                    touched.add(host)
            for host, piece in mine.items():
                if self._pieces.setdefault(host, {}).get(route) != piece:
                    self._pieces[host][route] = piece
                    touched.add(host)
        gone: list[Change] = []
        fresh: list[Change] = []
        for host in sorted(touched):
            if self._pieces[host]:
                self._made[host] = self._table(host)
                fresh += [(kind, name, resource) for (kind, name), resource in self._made[host].items()]
            else:
                del self._pieces[host]
                gone += [(kind, name, None) for kind, name in reversed(self._made.pop(host))]
        return gone, fresh

    def real(self, named: Named) -> dict[tuple[str, str], Resource]:
        """The resources of a route as nodes get them: tables in the place of pieces.

        A piece that is in no table any more becomes a resource that no node has.
        """
        found: dict[tuple[str, str], Resource] = {}
        for (kind, name), resource in named.items():
            host = _host(name)
            if kind != PIECE:
                found[kind, name] = resource
            elif self._pieces.get(host, {}).get(resource.route) == (name, resource):
                found |= self._made[host]
            else:
                found[ROUTE, name_of(host)] = Resource("gone", b"")
        return found

    def beside(self, named: Named) -> dict[tuple[str, str], Resource]:
        """The tables, as they are now, of hosts of which a route had paths."""
        hosts = {_host(name) for kind, name in named if kind == PIECE}
        return {key: one for host in hosts for key, one in self._made.get(host, {}).items()}

    def routes_of(self, stirred: Iterable[str]) -> set[str]:
        """The routes that are meant where a table is named among those of which a node has something new."""
        found: set[str] = set()
        for one in stirred:
            if one.startswith(_TABLE):
                found |= self._pieces.get(one.removeprefix(_TABLE), {}).keys()
            else:
                found.add(one)
        return found

    def _table(self, host: str) -> dict[tuple[str, str], Resource]:
        pieces = sorted(self._pieces[host].values(), key=lambda one: order(one[0]))
        table = self._schema.message(_CONFIGURATION, form(host, ()))
        # A piece is a virtual host of nothing but routes: serialised, one behind the other is all of them.
        table.virtual_hosts[0].MergeFromString(b"".join(piece.body for _, piece in pieces))
        needs = frozenset(cluster for _, piece in pieces for cluster in piece.needs)
        body = table.SerializeToString(deterministic=True)
        configuration = Resource(_digest(body), body, needs, route=name_of(host))
        leads = self._schema.message(_SCOPED, scope(host)).SerializeToString(deterministic=True)
        # The table is on its way before what leads to it.
        return {(ROUTE, name_of(host)): configuration, (SCOPE, host): Resource(_digest(leads), leads, needs)}


def _host(name: str) -> str:
    return name.partition("/")[0]


def piece(schema: Any, entries: list[dict[str, Any]], needs: frozenset[str], route: str) -> Resource:
    """The entries of one route as a piece. ValueError for a field that this Envoy does not have."""
    body = schema.message(_HOST, {"routes": entries}).SerializeToString(deterministic=True)
    return Resource(_digest(body), body, needs, route=route)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=8).hexdigest()
