"""What is kept on disk of what is served: for the next gnomon, and for an Envoy that starts while there is none.

Each route is turned into text once, when it changes. Two files hold all that is served; what changed since they were
written is appended to a log, so that a change among ten thousand routes is on disk for the price of one line.
"""

import json
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from inventory.model import Revision
from router.gateways.envoy import lastgood, tables
from router.gateways.envoy.bootstrap import Start, standalone
from router.gateways.envoy.files import Files
from router.gateways.envoy.resources import resources
from router.governance import Governance, Held

_CLUSTERS, _SCOPES, _PIECES = "@clusters@", "@scopes@", "@pieces@"

SHARE = 50
"""Writing all anew waits so many times as long as it took the last time: it has two percent of a processor at most."""

BURST_SECONDS = 0.002
REST = 4
"""It never has a processor for much longer at once, and rests so many times as long as it had it."""

_Item = TypeVar("_Item")


class _Kept(NamedTuple):
    """What is kept of one route, its texts compressed: ten thousand routes are held here all the time."""

    revision: Revision
    held: Held
    text: bytes
    clusters: bytes
    scopes: bytes
    pieces: Mapping[str, str]


class Keeper:
    """Writes what is served: the revisions, and a configuration of Envoy that serves them by itself."""

    def __init__(self, files: Files, start: Start) -> None:
        """Nothing is written before ``keep``."""
        self._files = files
        self._start = start
        self._kept: dict[str, _Kept] = {}
        self._governance: Governance | None = None
        self._due = 0.0
        self._hurried = False

    def keep(self, served: Mapping[str, Revision], governance: Governance, *, whole: bool = False) -> bool:
        """Keep what is served and enforced: at the least in the log, all anew if that is due, or where it is asked for.

        Whether nothing is left to write. OSError where something cannot be written; what was there stays then.
        """
        now, began = time.monotonic(), time.thread_time()
        if governance is not self._governance:
            # Before the routes: what is enforced must be known to whoever serves them.
            lastgood.write(self._files.governance, governance.kept())
        fresh, gone = self._differ(served, governance)
        if not whole and now < self._due:
            lastgood.append(self._files.lastgood, (revision for revision, _ in fresh), gone)
            self._take(fresh, gone, governance)
            return False
        self._take(fresh, gone, governance)
        texts = self._gently(_plain(self._kept[route].text) for route in sorted(self._kept))
        # Once the revisions are written, the log says nothing new: an end between the two costs nothing.
        lastgood.save(self._files.lastgood, texts)
        lastgood.write(self._files.standalone, self._gently(self._configuration(governance)))
        self._due = time.monotonic() + SHARE * (time.thread_time() - began)
        return True

    def form(self, served: Iterable[Revision], governance: Governance) -> dict[str, Any]:
        """The configuration of an Envoy that serves these routes by itself. Nothing is written."""
        self.hurry()
        self._take([(one, governance.of(one.route)) for one in served], (), governance)
        return dict(json.loads("".join(self._configuration(governance))))

    def _differ(
        self, served: Mapping[str, Revision], governance: Governance
    ) -> tuple[list[tuple[Revision, Held]], list[str]]:
        """The routes that are not kept as they are served, and those that are served no longer."""
        same = governance is self._governance
        fresh: list[tuple[Revision, Held]] = []
        for route, revision in served.items():
            known = self._kept.get(route)
            if known is not None and known.revision is revision and same:
                continue
            held = governance.of(route)
            if known is None or known.revision is not revision or known.held != held:
                fresh.append((revision, held))
        return fresh, sorted(self._kept.keys() - served.keys())

    def _take(self, fresh: Iterable[tuple[Revision, Held]], gone: Iterable[str], governance: Governance) -> None:
        for route in gone:
            del self._kept[route]
        for revision, held in self._gently(fresh):
            clusters, scopes, pieces = _texts(revision, held)
            text = _packed(revision.model_dump_json())
            self._kept[revision.route] = _Kept(revision, held, text, _packed(clusters), _packed(scopes), pieces)
        self._governance = governance

    def hurry(self) -> None:
        """From now on, give way to nobody: what is under way ends soon."""
        self._hurried = True

    def _gently(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The items, with a rest now and then: callers of routes wait for the threads beside this one."""
        began = time.thread_time()
        for item in items:
            yield item
            spent = time.thread_time() - began
            if spent > BURST_SECONDS and not self._hurried:
                time.sleep(REST * spent)
                began = time.thread_time()

    def _configuration(self, governance: Governance) -> Iterator[str]:
        """The text of the configuration, in parts."""
        ordered = [self._kept[route] for route in sorted(self._kept)]
        whole = json.dumps(standalone(self._start, [_CLUSTERS], [_SCOPES], governance))
        head, _, rest = whole.partition(f'"{_CLUSTERS}"')
        middle, _, tail = rest.partition(f'"{_SCOPES}"')
        yield head
        clusters = lastgood.listed(_plain(one.clusters) for one in ordered)
        first = next(clusters, None)
        yield first or ""
        yield from clusters
        yield middle if first else middle.removeprefix(", ")
        pieces = [(name, text) for one in ordered for name, text in one.pieces.items()]
        scopes = lastgood.listed([*(_plain(one.scopes) for one in ordered), *_tables(pieces)])
        # With no route the list of scopes would be empty, which Envoy refuses: one that nobody can ask for stands in.
        yield next(scopes, _NOBODY)
        yield from scopes
        yield tail


def kept_form(files: Files, start: Start) -> dict[str, Any]:
    """The configuration of an Envoy that serves what was served last. OSError, ValueError or TypeError without one."""
    form = json.loads(files.standalone.read_bytes())
    if not isinstance(form, dict):
        raise TypeError("it is none")
    if not lastgood.has_log(files.lastgood):
        return form
    return Keeper(files, start).form(lastgood.load(files.lastgood), lastgood.governance(files.governance))


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 1)


def _plain(packed: bytes) -> str:
    return zlib.decompress(packed).decode()


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
