"""The level-triggered loop: what is desired in the store becomes what the gateway has, over and over.

It keeps no queue of changes. Whatever was missed, killed or refused, the next look at the two states tells what is
left to do. The store's failures stop nothing: the gateway goes on serving what it has.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from inventory.model import GatewayStatus, Revision, Routing, Traffic, utc_now
from inventory.settings import Settings
from inventory.store import Store, StoreError
from router.gateways import Gateway, capture_file, make_gateway
from router.observed import Observed
from router.plan import Limits, reconcile
from router.stages import stages

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
BUSY_POLL_SECONDS = 0.01
BUSY_SECONDS = 2.0
"""Changes come in bursts: after one, the store is asked more often for a while, which an idle machine is spared."""

HEARTBEAT_SECONDS = 1.0
COMPANION_SECONDS = 5.0
LIMITS = Limits(routes=500)
"""One plan touches no more routes than this; the rest follows at once in the next."""


class Beside(NamedTuple):
    """What a companion of the loop has: the store, the gateway, and the file of captured answers."""

    store: Store
    gateway: Gateway
    capture: Path


Companion = Callable[[Beside, asyncio.Event], Coroutine[Any, Any, None]]
"""Something that runs beside the loop until the event is set."""


class Controller:
    """Brings one gateway to what the store desires. ``run`` it once."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        detached: bool = False,
        companions: Iterable[Companion] = (),
        kind: str = "envoy",
    ) -> None:
        """``detached``: the gateway goes on serving when this process is killed, as ``serve`` wants it.

        ``companions`` run beside the loop. GatewayError where there is no such gateway on this machine.
        """
        self._store = store
        self._settings = settings
        self._companions = tuple(companions)
        self.gateway: Gateway = make_gateway(kind, settings, detached=detached)
        self._running = asyncio.Event()
        self._look = False
        self._desired: list[Revision] = []
        self._errors: dict[str, str] = {}
        self._stages: dict[str, Routing] | None = None
        self._totals: dict[tuple[str, str], Traffic] = {}
        self._said = ""
        self._changed = time.monotonic()

    async def started(self) -> None:
        """Wait until the gateway was started and the first plan was done."""
        await self._running.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Start the gateway, converge until ``stop`` is set, and stop it. GatewayError where it cannot start."""
        kept = self.gateway.last_good()
        self.gateway.seed(kept)
        self._desired = list(kept)
        await self.gateway.start()
        beside_it = Beside(self._store, self.gateway, capture_file(self._settings.state_folder.absolute()))
        beside = [asyncio.create_task(self._beat(stop), name="heartbeat")]
        beside += [
            asyncio.create_task(companion(beside_it, stop), name=f"companion {number}")
            for number, companion in enumerate(self._companions, 1)
        ]
        for task in beside:
            task.add_done_callback(_mourn)
        try:
            await self._converge(stop)
        finally:
            # Companions see the same event: what they still have to save, they may.
            _, late = await asyncio.wait(beside, timeout=COMPANION_SECONDS if stop.is_set() else 0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            await self._count()
            await self.gateway.stop()
            await self._report(healthy=False)

    async def _converge(self, stop: asyncio.Event) -> None:
        seen: int | None = None
        again = True
        while not stop.is_set():
            try:
                version = await asyncio.to_thread(self._store.version)
                if again or self._look or version != seen:
                    self._look = False
                    self._desired = await asyncio.to_thread(self._store.routes.list)
                    again = await self._round()
                    seen = version
                    self._said = ""
            except StoreError as error:
                await self._without_store(error)
            with contextlib.suppress(TimeoutError):
                busy = time.monotonic() - self._changed < BUSY_SECONDS
                pause = BUSY_POLL_SECONDS if busy else POLL_SECONDS
                await asyncio.wait_for(stop.wait(), pause)

    async def _round(self) -> bool:
        """One look at both states and one plan. Whether another is due at once."""
        plan = reconcile(self._desired, self.gateway.observed(), LIMITS)
        for action in plan.actions:
            log.info("%s %s: %s", action.step.value, action.route, action.reason)
        if plan.actions or not self._running.is_set():
            await self.gateway.apply(plan)
            self._changed = time.monotonic()
        after = self.gateway.observed()
        left = reconcile(self._desired, after, LIMITS)
        errors_before, self._errors = self._errors, left.refused
        if plan.actions or not self._running.is_set() or errors_before != self._errors:
            await self._follow(after, settled=not left.actions)
            await self._report(healthy=self.gateway.healthy)
        self._running.set()
        return bool(left.actions)

    async def _without_store(self, error: StoreError) -> None:
        """While the store is away, the gateway serves what it has, or what it last had."""
        if str(error) != self._said:
            log.error("the gateway serves what it has, because the store cannot be used: %s", error)
            self._said = str(error)
        if not self._running.is_set():
            await self.gateway.apply(reconcile(self._desired, self.gateway.observed()))
            self._running.set()

    async def _follow(self, observed: Observed, *, settled: bool) -> None:
        """Record how far each endpoint's callers have come, as the gateway really has it.

        While it is away or still busy, what is not acknowledged yet is no news: nothing is set back.
        """
        if not self.gateway.healthy:
            return
        reached = stages(observed.routes.values())
        before = self._stages if self._stages is not None else stages(self.gateway.last_good())
        after = dict(reached) if settled else {**before, **reached}
        for endpoint in before.keys() | after.keys():
            routing = after.get(endpoint, Routing.DIRECT)
            if self._stages is None or before.get(endpoint) != routing:
                await asyncio.to_thread(self._set_routing, endpoint, routing)
        self._stages = after

    def _set_routing(self, endpoint: str, routing: Routing) -> None:
        with contextlib.suppress(LookupError):
            sealed = self._store.endpoints.get(endpoint).routing is Routing.SEALED
            if not (sealed and routing is Routing.ENFORCED):
                self._store.endpoints.set_routing(endpoint, routing)

    async def _beat(self, stop: asyncio.Event) -> None:
        """Each second: a heartbeat, the traffic, the last good configuration, and a look at the gateway."""
        while not stop.is_set():
            await self._count()
            await self._report(healthy=self.gateway.healthy)
            await self.gateway.keep()
            self._look = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), HEARTBEAT_SECONDS)

    async def _count(self) -> None:
        """Add what passed to what the store has."""
        moved = await self.gateway.traffic()
        if moved:
            try:
                await asyncio.to_thread(self._add, moved)
            except StoreError as error:
                log.warning("the traffic of this second is not recorded yet: %s", error)

    def _add(self, moved: Iterable[Traffic]) -> None:
        changed = []
        for one in moved:
            key = one.route, one.backend
            if key not in self._totals:
                known = {(row.route, row.backend): row for row in self._store.shadow.traffic(one.route)}
                self._totals[key] = known.get(key, Traffic(route=one.route, backend=one.backend))
            total = self._totals[key]
            self._totals[key] = total.model_copy(
                update={
                    "requests": total.requests + one.requests,
                    "failures": total.failures + one.failures,
                    "shadowed": total.shadowed + one.shadowed,
                }
            )
            changed.append(self._totals[key])
        self._store.shadow.save_traffic(changed)

    async def _report(self, *, healthy: bool) -> None:
        status = GatewayStatus(
            id=self._settings.gateway_id,
            address=self.gateway.address,
            healthy=healthy,
            heartbeat_at=utc_now(),
            revisions={route: revision.number for route, revision in self.gateway.observed().routes.items()},
            errors=self._errors,
        )
        try:
            await asyncio.to_thread(self._store.gateways.report, status)
        except StoreError as error:
            log.warning("the gateway's heartbeat is not recorded: %s", error)


def _mourn(task: asyncio.Task[None]) -> None:
    """Say that something beside the loop ended by an error. The gateway goes on without it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the %s of the gateway ended: %s", task.get_name(), error, exc_info=error)
