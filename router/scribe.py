"""What the controller has to say to the store, written beside the loop: no change waits for a report of the last.

What is told twice before it is written is written once, in its newest form; what cannot be written is kept and tried
again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping

from inventory.model import GatewayStatus, Refusal, Routing
from inventory.store import Store, StoreError

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0
_GATHER_SECONDS = 0.02
_SPACING_SECONDS = 0.2
"""From one report to the next: among many changes, the store is there for those who make them."""

State = tuple[int | None, Refusal | None]
"""What a gateway has of a route: the number that is served, and what it refused."""


class Scribe:
    """Writes reports of gateways and the routing of endpoints. ``run`` it beside the loop."""

    def __init__(self, store: Store) -> None:
        """Nothing is written before ``run``, or ``flush``."""
        self._store = store
        self._told: dict[str, dict[str, State]] = {}
        self._routing: dict[str, Routing] = {}
        self._statuses: dict[str, GatewayStatus] = {}
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()

    def status(self, status: GatewayStatus) -> None:
        """A gateway's heartbeat, as ``GatewayRepository.beat`` takes it."""
        self._statuses[status.id] = status
        self._news.set()

    def routes(self, gateway: str, revisions: Mapping[str, int | None], refused: Mapping[str, Refusal]) -> None:
        """The state of some routes of a gateway, as ``GatewayRepository.tell`` takes it."""
        told = self._told.setdefault(gateway, {})
        told.update({route: (number, refused.get(route)) for route, number in revisions.items()})
        self._news.set()

    def routing(self, reached: Mapping[str, Routing]) -> None:
        """How far the callers of endpoints have come."""
        self._routing.update(reached)
        self._news.set()

    async def run(self) -> None:
        """Write whatever is told, until cancelled."""
        loop = asyncio.get_running_loop()
        wrote = -_SPACING_SECONDS
        while True:
            await self._news.wait()
            # What is told of one change comes in parts, and a writer of the next must not find the store taken.
            await asyncio.sleep(max(_GATHER_SECONDS, wrote + _SPACING_SECONDS - loop.time()))
            wrote = loop.time()
            if not await self.flush():
                await asyncio.sleep(_AGAIN_SECONDS)

    async def flush(self) -> bool:
        """Write what was told so far. Whether all of it could be written; what could not is kept."""
        async with self._writing:
            self._news.clear()
            statuses, self._statuses = self._statuses, {}
            told, self._told = self._told, {}
            routing, self._routing = self._routing, {}
            try:
                await asyncio.to_thread(self._write, statuses.values(), told, routing)
            except StoreError as error:
                log.warning("what the gateway reports is not recorded yet: %s", error)
                self._statuses = statuses | self._statuses
                for gateway, states in told.items():
                    self._told[gateway] = states | self._told.get(gateway, {})
                self._routing = routing | self._routing
                self._news.set()
                return False
            return True

    def _write(
        self, statuses: Iterable[GatewayStatus], told: Mapping[str, Mapping[str, State]], routing: Mapping[str, Routing]
    ) -> None:
        for status in statuses:
            self._store.gateways.beat(status)
        for gateway, states in told.items():
            revisions = {route: number for route, (number, _) in states.items()}
            refused = {route: refusal for route, (_, refusal) in states.items() if refusal is not None}
            self._store.gateways.tell(gateway, revisions, refused)
        self._write_routing(routing)

    def _write_routing(self, routing: Mapping[str, Routing]) -> None:
        for endpoint, reached in routing.items():
            with contextlib.suppress(LookupError):
                if self._store.endpoints.get(endpoint).routing is not reached:
                    self._store.endpoints.set_routing(endpoint, reached)
