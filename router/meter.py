"""What passed through the gateway, added up in the store: since each route was made, and over time."""

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import datetime

from inventory.model import Sample, Traffic, utc_now
from inventory.store import Store, StoreError
from inventory.traffic import FINE_SECONDS, add_counts
from router.gateways import Gateway

log = logging.getLogger(__name__)

THIN_SECONDS = 600.0

SHARE = 9
"""Counting waits so many times as long as it took last: thousands of busy routes are not counted each second."""

Key = tuple[str, str]


class Meter:
    """Adds what a gateway counts to what the store has. It is asked about each second."""

    def __init__(self, store: Store, fine_seconds: float = FINE_SECONDS) -> None:
        """Nothing is read or written before ``count``. ``fine_seconds`` is the length of one sample."""
        self._store = store
        self._fine = fine_seconds
        self._totals: dict[Key, Traffic] | None = None
        self._sample: dict[Key, Traffic] = {}
        self._began = utc_now()
        self._thinned = time.monotonic()
        self._due = 0.0

    async def count(self, gateway: Gateway, *, last: bool = False) -> None:
        """Add what passed since the last call. ``last``: the sample that is under way is written too."""
        asked = time.monotonic()
        if asked < self._due and not last:
            return
        moved = await gateway.traffic()
        for one in moved:
            key = one.route, one.backend
            self._sample[key] = _sum(self._sample.get(key), one)
        now = utc_now()
        seconds = (now - self._began).total_seconds()
        try:
            if moved:
                await asyncio.to_thread(self._add, moved)
            if seconds >= self._fine or last:
                began, self._began = self._began, now
                sample, self._sample = self._sample, {}
                await asyncio.to_thread(self._append, sample.values(), began, max(seconds, 0.001))
        except StoreError as error:
            log.warning("the traffic of this second is not recorded yet: %s", error)
        self._due = time.monotonic() + SHARE * (time.monotonic() - asked)

    def _add(self, moved: Iterable[Traffic]) -> None:
        if self._totals is None:
            self._totals = {(row.route, row.backend): row for row in self._store.traffic.totals()}
        changed = []
        for one in moved:
            key = one.route, one.backend
            self._totals[key] = _sum(self._totals.get(key), one).model_copy(update={"in_flight": one.in_flight})
            changed.append(self._totals[key])
        self._store.shadow.save_traffic(changed)

    def _append(self, passed: Iterable[Traffic], at: datetime, seconds: float) -> None:
        self._store.traffic.append(Sample(**one.model_dump(), at=at, seconds=seconds) for one in passed)
        if time.monotonic() - self._thinned > THIN_SECONDS:
            self._thinned = time.monotonic()
            self._store.traffic.thin(at)


def _sum(one: Traffic | None, other: Traffic) -> Traffic:
    if one is None:
        return other
    return one.model_copy(
        update={
            "requests": one.requests + other.requests,
            "failures": one.failures + other.failures,
            "shadowed": one.shadowed + other.shadowed,
            "in_flight": max(one.in_flight, other.in_flight),
            "latency": add_counts(one.latency, other.latency),
        }
    )
