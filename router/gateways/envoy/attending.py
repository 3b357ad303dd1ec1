"""Pure: what is known of one gateway of another machine, and what it has to be told.

It is told of a route once its own Envoy acknowledged it: what it keeps on disk is what it serves.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from inventory.model import Refusal, Revision
from router.gateways.envoy.refusals import words
from router.gateways.envoy.sync import NodeSync, Resource
from router.gateways.envoy.wire import BATCH
from router.governance import Governance

_MOST_ADDRESSES = 1000

ALONE: Final = "the others serve it: this gateway was away or late when they were asked"
"""Why a refusal by one gateway takes nothing back: in time, it would have."""


class Serving(NamedTuple):
    """What the fleet is to serve, asked again and again: revisions, the resources made of each, what is enforced.

    ``meant`` gives the routes that are meant by those that a node says have stirred, ``trying`` those of which a
    change is under way.
    """

    good: Callable[[], Mapping[str, Revision]]
    made: Callable[[str], Mapping[tuple[str, str], Resource]]
    governance: Callable[[], Governance]
    meant: Callable[[Iterable[str]], set[str]]
    trying: Callable[[], frozenset[str]] = frozenset


class Attending:
    """One gateway, while it is connected and after."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self.restarts = 0
        self.machine: tuple[str, ...] = ()
        self.connected = 0
        self.counters: dict[str, int] = {}
        self.counted: dict[str, int] = {}
        self.wake = asyncio.Event()
        self.warm = 0
        self.warmed: dict[int, asyncio.Future[None]] = {}
        self.news: dict[str, tuple[int | None, Refusal | None]] = {}
        """Routes of which the store was not told yet: the number that is served, and what was refused."""

        self._sync: NodeSync | None = None
        self._seen: dict[str, Revision] = {}
        self._has: dict[str, Revision] = {}
        self._waiting: set[str] = set()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take in what the gateway says of itself. ValueError, TypeError or KeyError for what makes no sense."""
        if "address" in message:
            self.address, self.restarts = str(message["address"])[:200], int(message["restarts"])
            self.machine = tuple(str(ip_address(one)) for one in message["machine"][:_MOST_ADDRESSES])
        if "counters" in message:
            counters = {str(name): int(value) for name, value in message["counters"].items()}
            self.counters = counters if message.get("whole") else {**self.counters, **counters}
        waiting = self.warmed.get(int(message.get("warmed", 0)))
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def look(self, sync: NodeSync | None, serving: Serving) -> None:
        """Take in what its Envoy has of the routes that are served. Nothing is news while it is away."""
        if sync is None:
            return
        good = serving.good()
        found = serving.meant(sync.stirred)
        sync.stirred.clear()
        if sync is not self._sync:
            self._sync, self._seen = sync, {}
            found |= self._has.keys()
        found |= {route for route, revision in good.items() if self._seen.get(route) is not revision}
        found |= self._seen.keys() - good.keys()
        self._seen = dict(good)
        # While a change is tried, what a route has is neither the old nor the new.
        found |= self._waiting
        self._waiting = found & serving.trying()
        for route in found - self._waiting:
            revision = good.get(route)
            named = serving.made(route)
            if revision is not None and named and has_all(sync, named):
                self._has[route] = revision
                self.news[route] = revision.number, None
            else:
                error = refusal(sync, named)
                number = revision.number if revision is not None else None
                known = self._has.get(route) if revision is not None else self._has.pop(route, None)
                kept = known.number if known is not None and revision is not None else None
                refused = Refusal(error=f"{error} ({ALONE})", number=number) if error else None
                self.news[route] = kept, refused

    def messages(self, sent: "Sent", good: Mapping[str, Revision], *, complete: bool) -> Iterator[dict[str, Any]]:
        """What is to be kept on its disk, beside what it was sent before over this connection."""
        if complete and not sent.complete:
            sent.complete = True
            yield {"all": sorted(good)}
        fresh = [one for route, one in self._has.items() if route in good and sent.routes.get(route) is not one]
        for start in range(0, len(fresh), BATCH):
            part = fresh[start : start + BATCH]
            sent.routes.update({one.route: one for one in part})
            yield {"served": [one.model_dump_json() for one in part]}
        gone = sorted(route for route in sent.routes if route not in good) if complete else []
        if gone:
            for route in gone:
                del sent.routes[route]
            yield {"gone": gone}


class Sent:
    """What was sent over one connection."""

    def __init__(self) -> None:
        self.routes: dict[str, Revision] = {}
        self.complete = False
        self.governance: object = None
        self.off: frozenset[str] | None = None
        self.warm = 0


def has_all(sync: NodeSync, named: Mapping[tuple[str, str], Resource]) -> bool:
    """Whether a node acknowledged all of these resources."""
    return all(sync.acknowledged(kind, name) == resource.version for (kind, name), resource in named.items())


def refusal(sync: NodeSync, named: Mapping[tuple[str, str], Resource]) -> str | None:
    """Why a node refused one of these resources, with its name; None where it refused none."""
    for (kind, name), resource in named.items():
        error = sync.refusal(kind, name, resource.version)
        if error:
            return f"{kind.rpartition('.')[2]} {name}: {words(error)}"
    return None
