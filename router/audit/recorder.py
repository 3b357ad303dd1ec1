"""The recorder: follows a gateway's log of calls and keeps the record of them. All the I/O.

The gateway writes its log by itself and waits for nobody; a recorder that is slow, away or killed costs no call
anything. A batch of calls and the byte up to which it was read are one transaction, so that each line is recorded once.
What cannot be recorded waits in the file; what is given up, because the file would fill the disk, is counted as lost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path

from inventory.calls import Recording
from inventory.model import Attribute, Call, Issuer, Principal, PrincipalKind, utc_now
from inventory.store import Store, StoreError
from router.audit.decide import NOTHING, Asked, Decider, InForce
from router.audit.limits import Limiter
from router.audit.lines import Line, MalformedLineError, lost_of, parse
from router.audit.log import Log
from router.blocking import finished

SAVE_EVERY = 0.5
"""Seconds that a call waits at most until it is in the store, while the recorder keeps up."""

POLL_EVERY = 0.1
AGAIN_AFTER = 1.0
"""Seconds until what failed is tried again."""

BEAT_EVERY = 10.0
"""Seconds between two signs of life where there are no calls."""

CALLS_AT_ONCE = 5_000
MOST_BEHIND = 1024**3
"""Bytes that may wait in the file. Beyond, the older half is given up, and counted."""

ROTATE_AT = 4 * 1024**3
SEEN_EVERY = 60.0
"""Seconds between two writes of a caller's last sighting."""

PRUNE_EVERY = 3600.0
WARN_EVERY = 10.0
RECORDER = "recorder"
MOST_KNOWN = 100_000
"""Callers whose attributes are remembered at once."""

_log = logging.getLogger(__name__)


class Recorder:
    """Records the calls of one gateway. ``run`` it once.

    ``in_force`` gives what is in force; it is asked for each batch, in a thread, and may raise StoreError. ``reopen``
    makes the gateway open its log anew, for rotation. ``limiter`` counts candidate limits, over all gateways whose
    recorders have the same. ``keep`` is how long calls are kept, None for ever.

    ``broken`` counts the lines that told of no call, ``unrouted`` requests to no route; ``behind`` is the bytes that
    wait, and ``failing`` why the store takes nothing now, "" where it does.
    """

    def __init__(
        self,
        store: Store,
        path: Path,
        in_force: Callable[[], InForce],
        *,
        gateway: str = "local",
        limiter: Limiter | None = None,
        reopen: Callable[[], Awaitable[None]] | None = None,
        keep: timedelta | None = None,
        most_behind: int = MOST_BEHIND,
        rotate_at: int = ROTATE_AT,
    ) -> None:
        self.broken = self.unrouted = self.behind = 0
        self.failing = ""
        self._store, self._in_force, self._gateway = store, in_force, gateway
        self._log = Log(path)
        self._reopen, self._rotate_at, self._most_behind, self._keep = reopen, rotate_at, most_behind, keep
        self._decider, self._limiter = Decider(), limiter or Limiter()
        self._callers = Callers(store)
        self._known: Recording | None = None
        self._lines: list[Line] = []
        self._lost = 0
        self._saved_at = self._again_at = self._warned_at = self._looked_at = 0.0
        self._pruned_at = -PRUNE_EVERY

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the log until ``stop`` is set; then record what is there and return."""
        try:
            while not stop.is_set():
                more = self._is_due() and await finished(self._guarded)
                await self._rotate()
                if not more:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), POLL_EVERY)
            await finished(self._last)
        finally:
            self._log.close()

    def _is_due(self) -> bool:
        """Whether there is something to read or to save, or time to look for all the rest."""
        looked = time.monotonic() - self._looked_at < SAVE_EVERY
        return not (looked and self._log.opened and not self._lines and not self._lost and self._log.still)

    def _guarded(self) -> bool:
        """A turn; whether there may be more at once. After a failure, from what the store has, as after a kill."""
        self._looked_at = time.monotonic()
        if self._looked_at < self._again_at:
            return False
        try:
            more = self._turn()
        except (StoreError, OSError) as error:
            self._fail(error)
            return False
        self.failing = ""
        return more

    def _fail(self, error: Exception) -> None:
        now = time.monotonic()
        self.failing = str(error)
        self._again_at = now + AGAIN_AFTER
        if now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            _log.warning("calls cannot be recorded now, and wait in the gateway's log: %s", error)
        self._log.close()
        self._lines, self._lost = [], 0
        try:
            if given_up := self._log.shed(self._most_behind):
                _log.error("%d calls were given up: more waited to be recorded than may", given_up)
        except OSError as other:
            _log.warning("the gateway's log cannot be shortened: %s", other)

    def _last(self) -> None:
        """Record what was there when the end was asked for, no more: the gateway may go on writing."""
        self._again_at = 0.0
        until = self._log.place[1] + self._log.behind if self._log.opened else 0
        while until and self._guarded() and self._log.opened and self._log.place[1] < until:
            pass
        with contextlib.suppress(StoreError, OSError):
            if self._log.opened:
                self._save()

    def _turn(self) -> bool:
        if not self._log.opened:
            self._known = self._store.calls.recording(self._gateway)
            self._log.open(self._known)
        lines, too_long = self._log.read()
        issuers = self._in_force().issuers if lines else {}
        self._lost += too_long
        for line in lines:
            self._take(line.text, issuers)
        self.behind = self._log.behind
        waiting = len(self._lines) or self._lost
        due = time.monotonic() - self._saved_at >= (SAVE_EVERY if waiting else BEAT_EVERY)
        if due or len(self._lines) >= CALLS_AT_ONCE or (waiting and self.behind > self._most_behind):
            self._save()
        self._prune()
        return bool(lines) or (not waiting and self._log.turn())

    def _take(self, text: bytes, issuers: Mapping[str, Issuer]) -> None:
        text = text.lstrip(b"\0")
        if not text:
            return
        if lost := lost_of(text):
            self._lost += lost
            return
        try:
            line = parse(text, issuers)
        except MalformedLineError as error:
            self.broken += 1
            self._lost += 1
            if self.broken & (self.broken - 1) == 0:
                _log.warning("%d lines of the gateway's log could not be read, the last because %s", self.broken, error)
            return
        if line is None:
            self.unrouted += 1
        else:
            self._lines.append(line)

    def _save(self) -> None:
        """Record what was read, and take it from the file."""
        file, cursor = self._log.place
        calls = self._decided() if self._lines else []
        then = Recording(self._gateway, file, cursor, 0, 0, self.behind, utc_now())
        self._known = self._store.calls.append(calls, then, after=self._known, lost=self._lost)
        self._lines, self._lost = [], 0
        self._saved_at = time.monotonic()
        self._log.delete(cursor)

    def _decided(self) -> list[Call]:
        in_force = self._in_force()
        asked = [Asked(one.call, self._callers.attributes(one, in_force), one.address) for one in self._lines]
        self._callers.save()
        calls = []
        for one, (enforced, candidate) in zip(asked, self._decider.decide(asked, in_force), strict=True):
            access = in_force.routes.get(one.call.route, NOTHING)
            over = self._limiter.over(one.call, access, one.attributes, self._gateway) if access.limits else ()
            calls.append(one.call.model_copy(update={"enforced": enforced, "candidate": candidate, "over": over}))
        return calls

    def _prune(self) -> None:
        now = time.monotonic()
        if self._keep is None or now - self._pruned_at < PRUNE_EVERY:
            return
        self._pruned_at = now
        self._store.calls.prune(utc_now() - self._keep, who=RECORDER, why=f"calls are kept for {self._keep.days} days")

    async def _rotate(self) -> None:
        if self._reopen is None:
            return
        try:
            if await finished(lambda: self._log.replace(self._rotate_at)):
                await self._reopen()
        except Exception as error:  # noqa: BLE001 - any failure of the gateway's is the same here
            _log.warning("the gateway did not open its log of calls anew: %s", error)


class Callers:
    """What is known of whoever calls: from their tokens and keys, else from the store, asked once in a while."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, Mapping[str, Attribute]]] = {}
        self._proved: dict[str, Principal] = {}
        self._touched: dict[str, Principal] = {}

    def attributes(self, line: Line, in_force: InForce) -> Mapping[str, Attribute]:
        """The attributes of a call's caller. That they were seen is kept by the next ``save``. StoreError."""
        call, kind, attributes = line.call, line.kind, line.attributes
        if kind is None:
            return {}
        if kind is PrincipalKind.KEY and (key := in_force.keys.get(call.principal.removeprefix("key:"))):
            attributes = dict(key.attributes)
        before = self._known.get(call.principal)
        now = time.monotonic()
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        fresh = before is not None and now - before[0] < SEEN_EVERY
        if before is not None and fresh and attributes in (None, before[1]):
            return before[1]
        principal = Principal(
            id=call.principal, kind=kind, attributes=attributes or {}, first_seen=call.at, last_seen=call.at
        )
        if attributes is None:
            self._touched[call.principal] = principal
            attributes = self._stored(call.principal)
        else:
            self._proved[call.principal] = principal
        self._known[call.principal] = now, attributes
        return attributes

    def save(self) -> None:
        """Keep who was seen."""
        self._store.principals.seen(self._proved.values())
        self._store.principals.touched(self._touched.values())
        self._proved, self._touched = {}, {}

    def _stored(self, principal: str) -> dict[str, Attribute]:
        try:
            return dict(self._store.principals.get(principal).attributes)
        except LookupError:
            return {}
