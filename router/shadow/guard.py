"""Keeps shadows within their budgets, and their off switches in step with what is desired.

A shadow that gets more than it may is switched off at the gateway at once, and then on record: a revision without
it, with the figures as the reason. A switch that somebody turned off is turned on again only by a later revision
that desires a shadow, once the gateway has it.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from typing import NamedTuple

from inventory.model import Budget, Revision
from inventory.store import Store, StoreError
from router.gateways import Copied, Gateway, Measured

LOOK_EVERY = 0.2
"""Seconds between two looks where there is something to be watched: a look costs the gateway something."""

SPAN = 1.0
"""Seconds over which rates are measured: what a burst of a moment exceeds is no excess."""

WHO = "gnomon"
_NEVER = -1

log = logging.getLogger(__name__)


class Look(NamedTuple):
    """How much had been copied at a moment, in seconds of any clock that never goes back."""

    at: float
    copied: Copied


def excess(before: Look, now: Look, budget: Budget) -> str:
    """Which part of a budget was exceeded between two looks, in words with the figures; empty where none was."""
    seconds = now.at - before.at
    if seconds <= 0:
        return ""
    rates = (
        (now.copied.requests - before.copied.requests, budget.requests_per_second, "requests"),
        (now.copied.size - before.copied.size, budget.bytes_per_second, "bytes"),
    )
    for moved, most, words in rates:
        if most is not None and moved / seconds > most:
            return f"{moved / seconds:,.0f} {words} a second were copied, and {most:,.0f} are its budget"
    return ""


class Guard:
    """The guard of every shadow of one gateway. ``run`` it beside the controller."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway
        self._looks: dict[str, deque[Look]] = {}
        self._counted_at = -SPAN
        self._limits = False
        self._off: set[str] = set()
        self._off_at: dict[str, int] = {}
        self._said = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set. A gateway without such counts has nothing to guard."""
        if not isinstance(self._gateway, Measured):
            return
        while not stop.is_set():
            try:
                await self._look(self._gateway)
                self._said = ""
            except (StoreError, OSError) as error:
                if str(error) != self._said:
                    log.warning("the budgets of shadows cannot be kept now: %s", error)
                    self._said = str(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_EVERY if self._limits or self._off else SPAN)

    async def _look(self, gateway: Measured) -> None:
        self._off = off = await gateway.switched_off()
        for route, budget, counts in await self._copied(gateway):
            before = self._measure(route, Look(time.monotonic(), counts))
            if before and route not in off and excess(before, self._looks[route][-1], budget):
                await self._switch_off(gateway, route, before)
        for route in off:
            await self._follow(gateway, route)

    async def _copied(self, gateway: Measured) -> list[tuple[str, Budget, Copied]]:
        """How much was copied of the routes whose budget is one of so much a second.

        Asking costs the gateway something: as long as no route has such a budget, it is seldom done.
        """
        now = time.monotonic()
        if not self._limits and now - self._counted_at < SPAN:
            return []
        self._counted_at = now
        copied = await gateway.copied()
        budgets = {one.route: _rates(one) for one in self._gateway.observed(copied).routes.values()}
        found = [(route, budget, copied[route]) for route, budget in budgets.items() if budget is not None]
        self._limits = bool(found)
        return found

    def _measure(self, route: str, look: Look) -> Look | None:
        """The look that is ``SPAN`` seconds ago, where something was copied since."""
        looks = self._looks.setdefault(route, deque())
        if looks and look.copied.requests < looks[-1].copied.requests:
            looks.clear()
        looks.append(look)
        while len(looks) > 1 and look.at - looks[1].at >= SPAN:
            looks.popleft()
        whole = look.at - looks[0].at >= SPAN
        return looks[0] if whole and look.copied.requests > looks[0].copied.requests else None

    async def _switch_off(self, gateway: Measured, route: str, before: Look) -> None:
        revision = await asyncio.to_thread(self._store.routes.get, route)
        if revision is None or revision.spec is None or revision.spec.shadow is None:
            return
        why = excess(before, self._looks[route][-1], revision.spec.shadow.budget)
        if not why:
            return
        self._off_at[route] = revision.number
        await gateway.switch_off_shadow(route)
        self._looks[route].clear()
        log.warning("the shadow of %s is off: %s", route, why)
        spec = revision.spec.model_copy(update={"shadow": None})
        await asyncio.to_thread(self._store.routes.put, spec, who=WHO, why=f"the shadow is off: {why}")

    async def _follow(self, gateway: Measured, route: str) -> None:
        """Turn a switch on again where a later revision desires a shadow and the gateway has it."""
        served = self._gateway.observed([route]).routes.get(route)
        wanted = served is not None and served.spec is not None and served.spec.shadow is not None
        if served is None or not wanted or served.number <= self._off_at.get(route, _NEVER):
            return
        latest = await asyncio.to_thread(self._store.routes.get, route)
        if latest is not None and latest.number == served.number:
            await gateway.switch_off_shadow(route, off=False)
            self._looks.pop(route, None)


def _rates(revision: Revision) -> Budget | None:
    """The budget of a route's shadow, where it says how much may be copied a second."""
    shadow = revision.spec.shadow if revision.spec is not None else None
    if shadow is None or (shadow.budget.requests_per_second is None and shadow.budget.bytes_per_second is None):
        return None
    return shadow.budget
