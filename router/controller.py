"""The level-triggered loop: what is desired in the store becomes what the gateway has, over and over.

It keeps no queue of changes. Whatever was missed, killed or refused, the next look at the two states tells what is
left to do. The store's failures stop nothing: the gateway goes on serving what it has. A change costs what it touches,
however many routes there are: only routes that were written, or that stirred in the gateway, are looked at.
"""

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from inventory.model import GatewayStatus, Refusal, Revision, Routing, utc_now
from inventory.settings import Settings
from inventory.store import Store, StoreError
from inventory.store.routes import News, StaleError
from router.catalogue import Catalogue, endpoints_of
from router.desired import ROLLBACK_AUTHOR, ROLLED_BACK
from router.ear import hearing
from router.gateways import Gateway, capture_file, make_gateway
from router.io.addresses import own_addresses
from router.meter import Meter
from router.observed import Observed, Rejection
from router.plan import Limits, Step, reconcile
from router.scribe import Scribe
from router.stages import stages

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
COMPANION_SECONDS = 5.0
FIRST_SECONDS = 30.0
"""How long the first look at all routes may put off what is kept on disk."""

LIMITS = Limits(routes=500)
"""One plan touches no more routes than this; the rest follows at once in the next."""

AT_ONCE = 500
"""Routes that one look begins with, beside all that share a host or a change with one of them."""

MANY = 1000
"""Routes, beyond which a collection of garbage is felt."""


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
        self._scribe = Scribe(store)
        self._meter = Meter(store)
        self._catalogue = Catalogue()
        self._running = asyncio.Event()
        self._wake = asyncio.Event()
        # In the order in which they became so: what is late waits behind what was not looked at yet.
        self._dirty: dict[str, None] = {}
        self._settled = self._whole = False
        self._version: int | None = None
        self._cursor = 0
        self._acknowledged: dict[str, int] = {}
        self._rolled_back: dict[str, Rejection] = {}
        self._said = ""

    async def started(self) -> None:
        """Wait until the gateway was started and the first plan was done."""
        await self._running.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Start the gateway, converge until ``stop`` is set, and stop it. GatewayError where it cannot start."""
        kept = self.gateway.last_good()
        self.gateway.seed(kept)
        self._catalogue.desire(kept)
        self._catalogue.observe([one.route for one in kept], Observed(routes={one.route: one for one in kept}))
        await self.gateway.start()
        beside_it = Beside(self._store, self.gateway, capture_file(self._settings.state_folder.absolute()))
        scribe = asyncio.create_task(self._scribe.run(), name="scribe")
        beside = [asyncio.create_task(self._beat(stop), name="heartbeat")]
        beside += [
            asyncio.create_task(companion(beside_it, stop), name=f"companion {number}")
            for number, companion in enumerate(self._companions, 1)
        ]
        for task in (scribe, *beside):
            task.add_done_callback(_mourn)
        try:
            await self._converge(stop)
        finally:
            # Companions see the same event: what they still have to save, they may.
            _, late = await asyncio.wait(beside, timeout=COMPANION_SECONDS if stop.is_set() else 0)
            for task in (scribe, *late):
                task.cancel()
            await asyncio.gather(scribe, *late, return_exceptions=True)
            await self._meter.count(self.gateway, last=True)
            await self.gateway.stop()
            self._scribe.status(self._status(healthy=False))
            await self._scribe.flush()

    async def _converge(self, stop: asyncio.Event) -> None:
        async with hearing(self._store, self._wake, stop) as ear:
            while not stop.is_set():
                patience = await ear.listen()
                self._wake.clear()
                try:
                    await self._read()
                    busy = await self._round()
                    self._said = ""
                except StoreError as error:
                    busy = await self._without_store(error)
                if not busy:
                    # Not ``wait_for``, which makes a task of it, that wakes the loop once more.
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(patience):
                            await self._wake.wait()

    async def _read(self) -> None:
        """Take in what is new in the store. The first time, that is everything."""
        found = await asyncio.to_thread(self._news)
        if found is None:
            return
        version, news = found
        if self._version is None:
            told = {one.id: one for one in await asyncio.to_thread(self._store.gateways.list)}
            mine = told.get(self._settings.gateway_id)
            self._acknowledged = dict(mine.revisions) if mine else {}
            # Served by an earlier run, or told of it: looked at once, so that nothing of it stays by mistake.
            self._stir(sorted(self._catalogue.desired.keys() | self._acknowledged.keys()))
            served = Observed(routes=self._catalogue.served)
            self._catalogue = Catalogue()
            self._catalogue.observe(served.routes, served)
        self._catalogue.desire(news.revisions)
        self._stir(revision.route for revision in news.revisions)
        self._version, self._cursor = version, news.cursor

    def _news(self) -> tuple[int, News] | None:
        version = self._store.version()
        return None if version == self._version else (version, self._store.routes.since(self._cursor))

    async def _round(self) -> bool:
        """One look at what may have changed, and one plan. Whether another is due at once."""
        first = not self._running.is_set()
        self._stir(sorted(self.gateway.stirred()))
        if not self._dirty and not first:
            return False
        routes = self._catalogue.around(islice(self._dirty, AT_ONCE))
        for route in routes:
            self._dirty.pop(route, None)
        before = [self._catalogue.served[route] for route in routes if route in self._catalogue.served]
        if self.gateway.healthy or first:
            self._catalogue.observe(routes, self.gateway.observed(routes))
        part = self._catalogue.part(routes)
        plan = reconcile(part.desired, part.observed, LIMITS)
        # What waits for its look is left for another plan as well: until it had one, nothing old may be removed.
        plan = plan.model_copy(update={"postponed": plan.postponed + len(self._dirty)})
        for action in plan.actions:
            level = logging.INFO if action.step in {Step.SERVE, Step.WITHDRAW} else logging.DEBUG
            log.log(level, "%s %s: %s", action.step.value, action.route, action.reason)
        whole = not plan.postponed and not self._whole
        if plan.actions or first or whole:
            await self.gateway.apply(plan)
        self._whole = self._whole or whole
        if self.gateway.healthy:
            self._catalogue.observe(routes, self.gateway.observed(routes))
        part = self._catalogue.part(routes)
        # All that is left, beyond the limit of one plan too: it is looked at next.
        left = reconcile(part.desired, part.observed)
        self._stir(left.routes)
        self._stir(sorted(self.gateway.stirred() - routes))
        await self._roll_back(part.observed.rejected)
        self._tell(routes, before, left.refused, settled=not left.actions)
        if not self._dirty and not self._settled:
            self._settled = True
            wanted = self._catalogue.desired.items()
            self.gateway.forget_others([route for route, revision in wanted if revision.spec is not None])
            if len(wanted) > MANY:
                # What was read and made of them stays: a collection that went through it would stop every change.
                gc.collect()
                gc.freeze()
        self._running.set()
        return bool(self._dirty) and self.gateway.healthy

    def _stir(self, routes: Iterable[str]) -> None:
        """These are to be looked at."""
        self._dirty.update(dict.fromkeys(routes))

    def _tell(
        self, routes: Iterable[str], before: Iterable[Revision], refused: Mapping[str, str], *, settled: bool
    ) -> None:
        """Report what the gateway has of some routes, and how far their endpoints' callers have come.

        While it is away, nothing is news; while it is still busy, what is not acknowledged yet is not set back.
        """
        if not self.gateway.healthy:
            return
        served = self._catalogue.served
        numbers = {route: served[route].number if route in served else None for route in routes}
        self._acknowledged |= {route: number for route, number in numbers.items() if number is not None}
        self._scribe.routes(self._settings.gateway_id, numbers, self._refusals(routes, refused))
        endpoints = {one for revision in before for one in endpoints_of(revision)}
        endpoints |= {one for route in routes if route in served for one in endpoints_of(served[route])}
        reached: dict[str, Routing] = stages(self._catalogue.serving(endpoints))
        if settled:
            reached = {endpoint: reached.get(endpoint, Routing.DIRECT) for endpoint in endpoints}
        self._scribe.routing(reached)

    def _refusals(self, routes: Iterable[str], refused: Mapping[str, str]) -> dict[str, Refusal]:
        """What is held against the desired revisions of some routes, and against what was rolled back just before."""
        found: dict[str, Refusal] = {}
        for route in routes:
            desired, back = self._catalogue.desired.get(route), self._rolled_back.get(route)
            number = desired.number if desired is not None else None
            if route in refused:
                found[route] = Refusal(error=refused[route], number=number)
            elif back is not None and number == back.number + 1:
                found[route] = Refusal(error=back.error, number=back.number)
            else:
                self._rolled_back.pop(route, None)
        return found

    async def _roll_back(self, rejected: Mapping[str, Rejection]) -> None:
        """Desire again what was desired before a revision that the gateway refused, its whole change included.

        One that was served before is left: another gateway, or an earlier version of this one, took it.
        """
        desired = self._catalogue.desired
        due = {
            route: rejection
            for route, rejection in rejected.items()
            if route in desired
            and desired[route].number == rejection.number
            and self._acknowledged.get(route) != rejection.number
        }
        for change in {desired[route].change or route for route in due}:
            routes = [route for route in due if (desired[route].change or route) == change]
            cause = next((route for route in routes if "together with" not in due[route].error), routes[0])
            why = f"{ROLLED_BACK} revision {due[cause].number} of {cause}: {due[cause].error}"
            try:
                await asyncio.to_thread(self._restore, {route: due[route].number for route in routes}, why)
            except StaleError:
                continue
            for route in routes:
                error = f"the gateway refused revision {due[route].number}: {due[route].error}"
                self._rolled_back[route] = Rejection(number=due[route].number, error=error)

    def _restore(self, refused: Mapping[str, int], why: str) -> None:
        earlier = {route: self._store.routes.revision(route, number - 1) for route, number in refused.items()}
        wanted = {route: revision.spec if revision else None for route, revision in earlier.items()}
        self._store.routes.change(wanted, who=ROLLBACK_AUTHOR, why=why, after=refused)

    async def _without_store(self, error: StoreError) -> bool:
        """While the store is away, the gateway serves what it has, or what it last had. Whether more is due at once."""
        if str(error) != self._said:
            log.error("the gateway serves what it has, because the store cannot be used: %s", error)
            self._said = str(error)
        if self._running.is_set():
            return False
        self._stir(self._catalogue.desired)
        with contextlib.suppress(StoreError):
            return await self._round()
        return False

    async def _beat(self, stop: asyncio.Event) -> None:
        """Each second: a heartbeat, the traffic, the last good configuration, and a look at the gateway."""
        began = time.monotonic()
        while not stop.is_set():
            await self._meter.count(self.gateway)
            self._scribe.status(self._status(healthy=self.gateway.healthy))
            # While all routes are first read, each second would write down a part of them.
            if self._settled or time.monotonic() - began > FIRST_SECONDS:
                keeping = asyncio.create_task(self.gateway.keep(), name="keeping")
                keeping.add_done_callback(_mourn)
            self._wake.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), HEARTBEAT_SECONDS)

    def _status(self, *, healthy: bool) -> GatewayStatus:
        return GatewayStatus(
            id=self._settings.gateway_id,
            address=self.gateway.address,
            healthy=healthy,
            heartbeat_at=utc_now(),
            restarts=self.gateway.restarts,
            unknown_hosts=self.gateway.unknown_hosts,
            machine=own_addresses(),
        )


def _mourn(task: asyncio.Task[None]) -> None:
    """Say that something beside the loop ended by an error. The gateway goes on without it."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("the %s of the gateway ended: %s", task.get_name(), error, exc_info=error)
