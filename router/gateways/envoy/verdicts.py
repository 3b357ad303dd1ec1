"""What Envoys say of the resources that they were sent: whether a change stands is their word, everyone's.

The Envoy beside gnomon decides what is served. One of another machine that is connected, and has what it was sent
before, is waited for too, and may refuse a change for all. One that is not, or is late, is not asked: it would hold up
everybody else.
"""

import time
from collections.abc import Callable, Iterator, Mapping

from router.gateways.envoy.ads import AdsServer
from router.gateways.envoy.attending import has_all, refusal
from router.gateways.envoy.named import Named
from router.gateways.envoy.sync import SCOPE, Resource
from router.gateways.envoy.tables import PIECE, Tables

ACKNOWLEDGE_SECONDS = 5.0
"""How long one plan waits for the gateways' verdicts before the next look at what is desired."""

Made = Callable[[str], Mapping[tuple[str, str], Resource]]


class Verdicts:
    """The verdicts of all nodes of one ADS server. ``own`` is the id of the Envoy beside gnomon."""

    def __init__(self, ads: AdsServer, tables: Tables, own: str, made: Made, healthy: Callable[[], bool]) -> None:
        """``made`` gives the resources of a route as nodes get them now; ``healthy``: the Envoy here is to be asked."""
        self._ads, self._tables, self._own, self._made = ads, tables, own, made
        self._healthy = healthy
        self._away = False
        self._late: dict[str, frozenset[str]] = {}

    def has(self, named: Named | None) -> bool:
        """Whether the Envoy beside gnomon acknowledged all of these resources, and they are what it is to have.

        One that ran on while gnomon was away has what it had, and would lose it as nobody's unless that is set again.
        """
        node = self._ads.node(self._own)
        if not named or node is None:
            return False
        real, target = self._tables.real(named), self._ads.target
        return all(target[kind].get(name) == one for (kind, name), one in real.items()) and has_all(node, real)

    def refusal(self, named: Named) -> str | None:
        """Why one of these resources is refused, and by whom where it is not the Envoy beside gnomon."""
        real = self._tables.real(named)
        node = self._ads.node(self._own)
        own = refusal(node, real) if node is not None else None
        if own is not None:
            return own
        for name in self._others():
            node = self._ads.node(name)
            error = refusal(node, real) if node is not None else None
            if error is not None:
                return f"at the gateway {name}: {error}"
        return None

    async def settled(self, wanted: Mapping[str, Named], before: Mapping[str, Named]) -> None:
        """Wait for the verdicts on what is ``wanted``, by route, in the place of what was ``before``.

        Not again for the Envoy beside gnomon while it is not healthy, nor for another until it has what it was late
        with.
        """
        began = time.monotonic()
        self._late = {name: routes for name, routes in self._late.items() if not self._heard(name, self._now(routes))}
        asked = [name for name in self._others() if name not in self._late]
        if self._away and not self._healthy():
            return

        def decided() -> bool:
            return self._decided(wanted, before) and all(self._heard(name, wanted) for name in asked)

        await self._ads.settled(decided, ACKNOWLEDGE_SECONDS)
        self._away = not self._healthy() and time.monotonic() - began >= ACKNOWLEDGE_SECONDS
        self._late |= {name: frozenset(wanted) for name in asked if not self._heard(name, wanted)}

    def _others(self) -> Iterator[str]:
        return (name for name in self._ads.nodes if name != self._own)

    def _now(self, routes: frozenset[str]) -> dict[str, Named]:
        return {route: dict(self._made(route)) for route in routes}

    def _heard(self, name: str, wanted: Mapping[str, Named]) -> bool:
        """Whether a node of another machine has, or somebody refused, what is wanted. One that left is not heard of."""
        node = self._ads.node(name)
        return node is None or all(
            has_all(node, self._tables.real(named)) or self.refusal(named) for named in wanted.values()
        )

    def _decided(self, wanted: Mapping[str, Named], before: Mapping[str, Named]) -> bool:
        """Whether the node here has, or somebody refused, what is wanted, and it no longer has a host that is not."""
        node = self._ads.node(self._own)
        hosts = [name for route in wanted for kind, name in before.get(route, ()) if kind == SCOPE]
        hosts += [name.partition("/")[0] for route in wanted for kind, name in before.get(route, ()) if kind == PIECE]
        left = [self._tables.beside(before[route]) for route in wanted if route in before and not wanted[route]]
        gone = [name for name in hosts if name not in self._ads.target[SCOPE]]
        return (
            node is not None
            and not any(node.acknowledged(SCOPE, name) for name in gone)
            and all(not named or self.has(named) or self.refusal(named) for named in (*wanted.values(), *left))
        )
