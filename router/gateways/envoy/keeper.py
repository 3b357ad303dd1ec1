"""What is kept on disk of what is served: for the next gnomon, and for an Envoy that starts while there is none.

Each route is turned into text once, when it changes, so that keeping ten thousand costs little more than writing them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from inventory.model import Revision
from router.gateways.envoy import lastgood, tables
from router.gateways.envoy.bootstrap import Start, standalone
from router.gateways.envoy.files import Files
from router.gateways.envoy.resources import resources
from router.governance import Governance, Held

_CLUSTERS, _SCOPES, _PIECES = "@clusters@", "@scopes@", "@pieces@"


class Keeper:
    """Writes two files: the revisions that are served, and a configuration of Envoy that serves them by itself."""

    def __init__(self, files: Files, start: Start) -> None:
        """Nothing is written before ``keep``."""
        self._files = files
        self._start = start
        self._texts: dict[str, tuple[Revision, Held, str, str, str, dict[str, str]]] = {}

    def keep(self, served: Mapping[str, Revision], governance: Governance) -> None:
        """Write what is served and enforced. OSError where it cannot be written; what was there stays then."""
        for route in self._texts.keys() - served.keys():
            del self._texts[route]
        for route, revision in served.items():
            known = self._texts.get(route)
            held = governance.of(route)
            if known is None or known[0] is not revision or known[1] != held:
                self._texts[route] = (revision, held, revision.model_dump_json(), *_texts(revision, held))
        ordered = [self._texts[route] for route in sorted(self._texts)]
        # Before the routes: what is enforced must be known to whoever serves them.
        lastgood.write(self._files.governance, governance.kept())
        lastgood.save(self._files.lastgood, (text for _, _, text, _, _, _ in ordered))
        clusters = ",".join(text for _, _, _, text, _, _ in ordered if text)
        pieces = [(name, text) for *_, named in ordered for name, text in named.items()]
        scopes = ",".join([*(text for _, _, _, _, text, _ in ordered if text), *_tables(pieces)])
        whole = json.dumps(standalone(self._start, [_CLUSTERS], [_SCOPES], governance))
        # With no route the list of scopes would be empty, which Envoy refuses: one that nobody can ask for stands in.
        listed = f'"{_CLUSTERS}", ' if not clusters else f'"{_CLUSTERS}"'
        form = whole.replace(listed, clusters).replace(f'"{_SCOPES}"', scopes or _NOBODY)
        lastgood.write(self._files.standalone, form)


def _texts(revision: Revision, held: Held) -> tuple[str, str, dict[str, str]]:
    """The clusters of a route, its scopes with what they lead to, and its pieces by name, as items of JSON lists."""
    made = resources(revision, held)
    scopes = [_inline(scope, made.routes) for scope in made.scopes.values()]
    clusters, scoped = (",".join(json.dumps(one) for one in forms) for forms in (made.clusters.values(), scopes))
    pieces = {name: ",".join(json.dumps(one) for one in entries) for name, entries in made.pieces.items()}
    return clusters, scoped, pieces


def _tables(pieces: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The scopes of hosts that routes share by paths, each with its table."""
    by_host: dict[str, list[tuple[str, str]]] = {}
    for name, text in pieces:
        host, slash, rest = name.partition("/")
        by_host.setdefault(host, []).append((slash + rest, text))
    for host, found in sorted(by_host.items()):
        ordered = ",".join(text for _, text in sorted(found, key=lambda one: tables.order(one[0])))
        whole = _inline(tables.scope(host), {tables.name_of(host): tables.form(host, [_PIECES])})
        yield json.dumps(whole).replace(f'"{_PIECES}"', ordered)


def _inline(scope: Mapping[str, Any], routes: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in scope.items() if key != "route_configuration_name"}
    return {**rest, "route_configuration": routes[scope["route_configuration_name"]]}


_NOBODY = json.dumps(
    {
        "name": "nobody",
        "key": {"fragments": [{"string_key": "nobody.invalid"}]},
        "route_configuration": {"name": "nobody", "virtual_hosts": []},
    }
)
