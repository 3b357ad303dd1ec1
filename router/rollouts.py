"""Rollouts that run: looks at each that has not ended, over and over, and does what ``router.rollout`` says follows.

Level-triggered, like the controller: whatever was missed or killed, the next look at the store tells where each
rollout stands. What a look learns between two saves of a watch is lost with the process: that is evidence, never
a step.
"""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field

from inventory.model import Live, Revision, Rollout, RouteSpec, ShadowEvidence, Traffic, Watch, utc_now
from inventory.store import Store, StoreError
from router.ear import GIVE_WAY_SECONDS, hearing
from router.gateways import Gateway, Measured
from router.rollout import Sight, Turn, live_percent, steer

log = logging.getLogger(__name__)

LOOK_EVERY = 0.1
"""Seconds between two looks at rollouts that run: a part of the second within which a broken gate takes one back."""

SAVE_EVERY = 1.0
WHO = "gnomon"


@dataclass
class _Seen:
    """What is known of one rollout between two looks."""

    rollout: Rollout
    revision: Revision
    evidence: list[ShadowEvidence]
    watch: Watch | None
    served: int | None = None
    refused: str | None = None
    counted: dict[str, Traffic] = field(default_factory=dict)
    saved_at: float = 0.0


class Rollouts:
    """Every rollout of one store, carried out on one gateway. ``run`` it beside the controller."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self._store = store
        self._gateway = gateway
        self._version = -1
        self._seen: dict[str, _Seen] = {}
        self._said = ""
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set. A store that is away stops nothing: the next look tries again."""
        async with hearing(self._store, self._wake, stop) as ear:
            while not stop.is_set():
                patience = await ear.listen()
                self._wake.clear()
                await self._guarded_look()
                # Where none runs, nothing follows before somebody begins one, and that rings.
                busy = self._seen or self._said
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(*((stop.wait(), LOOK_EVERY) if busy else (self._wake.wait(), patience)))
                    await asyncio.sleep(GIVE_WAY_SECONDS)
        with contextlib.suppress(StoreError):
            for seen in self._seen.values():
                await asyncio.to_thread(self._save, seen)

    async def _guarded_look(self) -> None:
        try:
            await self._look()
            self._said = ""
        except StoreError as error:
            if str(error) != self._said:
                log.warning("rollouts stand still, because the store cannot be used: %s", error)
                self._said = str(error)

    async def _look(self) -> None:
        version = await asyncio.to_thread(self._store.version)
        if version != self._version:
            await asyncio.to_thread(self._read)
            self._version = version
        for seen in list(self._seen.values()):
            turn = steer(seen.rollout, seen.watch, await self._sight(seen))
            if turn.after is not None:
                await asyncio.to_thread(self._move, seen, turn.after, turn.spec)
            elif self._learnt(seen, turn):
                await asyncio.to_thread(self._save, seen)

    def _read(self) -> None:
        """What the store says now, with what only this process knows kept."""
        found: dict[str, _Seen] = {}
        for rollout in self._store.rollouts.active():
            revision = self._store.routes.get(rollout.route)
            if revision is None:
                continue
            before = self._seen.get(rollout.route)
            known = before is not None and before.rollout.id == rollout.id
            seen = before if before is not None and known else None
            watch = seen.watch if seen else self._store.rollouts.watch(rollout.route)
            found[rollout.route] = _Seen(rollout, revision, self._store.shadow.of(rollout.route), watch)
            if seen is not None:
                found[rollout.route].counted, found[rollout.route].saved_at = seen.counted, seen.saved_at
                if seen.revision.number == revision.number:
                    found[rollout.route].served = seen.served
        self._seen = found

    async def _sight(self, seen: _Seen) -> Sight:
        rollout = seen.rollout
        if seen.served != seen.revision.number:
            observed = self._gateway.observed([rollout.route])
            served, rejected = observed.routes.get(rollout.route), observed.rejected.get(rollout.route)
            seen.served = served.number if served else None
            seen.refused = rejected.error if rejected and rejected.number == seen.revision.number else None
        live = await self._live(seen) if live_percent(rollout) else {}
        rows = {(row.primary, row.shadow): row for row in seen.evidence}
        return Sight(
            revision=seen.revision,
            served=seen.served,
            refused=seen.refused,
            pairs=rows.get((rollout.incumbent, rollout.candidate)),
            own=rows.get((rollout.candidate, rollout.candidate)),
            incumbent=live.get(rollout.incumbent, Live()),
            candidate=live.get(rollout.candidate, Live()),
            now=utc_now(),
        )

    async def _live(self, seen: _Seen) -> dict[str, Live]:
        """The live answers by backend since the last look. What passed before the first is not known."""
        if not isinstance(self._gateway, Measured):
            return {}
        counted = {one.backend: one for one in await self._gateway.counts(seen.rollout.route)}
        before, seen.counted = seen.counted, counted or seen.counted
        return {name: _moved(before[name], now) for name, now in counted.items() if name in before}

    def _move(self, seen: _Seen, after: Rollout, spec: RouteSpec | None) -> None:
        """Do what follows. Where the store has changed since it was read, nothing: the next look reads it anew."""
        moved = self._store.rollouts.move(seen.rollout, after, spec, who=WHO)
        if moved is not None:
            log.info("rollout of %s: %s, %s: %s", moved.route, moved.step.words, moved.status.value, moved.why)
        self._version = -1

    def _learnt(self, seen: _Seen, turn: Turn) -> bool:
        """Take in what is known of the step now. Whether it is to be saved."""
        before, seen.watch = seen.watch, turn.watch or seen.watch
        news = before is None or seen.watch is None or before.position != seen.watch.position
        return news or time.monotonic() - seen.saved_at >= SAVE_EVERY

    def _save(self, seen: _Seen) -> None:
        seen.saved_at = time.monotonic()
        if seen.watch is not None:
            self._store.rollouts.save_watch(seen.rollout.route, seen.watch)


def _moved(before: Traffic, now: Traffic) -> Live:
    """How far the counts of a backend moved. Counts that went back were begun anew: all of them are new."""
    if now.requests < before.requests or now.failures < before.failures:
        before = Traffic(route=now.route, backend=now.backend)
    failures = now.failures - before.failures
    # The two counters are read one after the other: an answer may be in only one of them.
    return Live(requests=max(now.requests - before.requests, failures), failures=failures)
