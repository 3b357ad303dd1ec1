"""The monitor: follows the gateway's capture file and keeps the store's evidence up to date. All the I/O.

What was consumed is deleted, and what still waits for its counterpart is not: a monitor that is killed finds
the waiting answers again. Each saved row says up to which byte of which file it counts, in the same
transaction as the counts, so pairs that were saved but not yet deleted are not counted twice. One gap is
left: an answer given up as lost between saving and deleting is counted lost once more.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec.structs import replace

from inventory.model import RouteSpec, ShadowEvidence, utc_now
from inventory.store import Store, StoreError
from router.blocking import finished
from router.gateways import samples_folder
from router.shadow.evidence import EvidenceFold
from router.shadow.pair import Window
from router.shadow.records import MalformedRecordError, Place, Record, parse
from router.shadow.samples import Keeper, expire
from router.shadow.tail import Line, Tail, prepare

SAVE_EVERY = 0.5
"""Seconds between two writes of evidence that changes."""

POLL_EVERY = 0.1
WORTH_A_TURN = 524_288
"""Bytes to be read that are read at once; fewer wait for the next save. Many small turns take more time than few."""

MOST_WAITING = 128 * 1024 * 1024
"""Bytes that may wait to be read; the gateway throws all away, and nobody counts it, where there are twice as many."""

NOTICE_EVERY = 2.0
"""Seconds between two looks for changed routes. A record says its revision, and a new one is asked for at once."""

KEEP_EVERY = 5.0
"""Seconds between two writes of samples that change."""

EXPIRE_EVERY = 3600.0

WARN_EVERY = 10.0
ROTATE_AT = 4 * 1024**3
"""Bytes of the file's nominal size, nearly all of it holes, at which it is rotated where the gateway can."""

_SETTLED_AFTER = 2.0

_log = logging.getLogger(__name__)


class Monitor:
    """Follows one capture file. ``reopen`` makes the gateway open its logs anew, for rotation.

    After ``run``, or between its turns, ``malformed`` and ``records`` say how many lines were no records and
    how many were; ``unknown`` counts those of routes and backends that the store does not know.
    """

    def __init__(
        self,
        store: Store,
        capture_file: Path,
        *,
        window: Window | None = None,
        reopen: Callable[[], Awaitable[None]] | None = None,
        rotate_at: int = ROTATE_AT,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.malformed = 0
        self._store = store
        self._path = capture_file
        self._reopen = reopen
        self._rotate_at = rotate_at
        self._most_waiting = most_waiting
        # Answers that were given up, by what they have in common: to be counted, and counted but not saved yet.
        self._shed_like: dict[Place, Record] = {}
        self._shed_due: Counter[Place] = Counter()
        self._shed_added: Counter[Place] = Counter()
        self._tail: Tail | None = None
        self._left: tuple[Tail, float] | None = None
        self._cursors_hold = False
        self._saved_at = 0.0
        self._warned_at = -WARN_EVERY
        self._expired_at = -EXPIRE_EVERY
        self._version = -1
        self._noticed_at = -NOTICE_EVERY
        self._cursor = 0
        self._specs: dict[str, dict[int, RouteSpec]] = {}
        self._window = window
        self._records_before = 0
        self._keeper = Keeper(samples_folder(capture_file.parent.parent))
        self._keeps = False
        self._kept_at = 0.0
        self._fold = self._new_fold()

    @property
    def records(self) -> int:
        """How many valid lines were read."""
        return self._records_before + self._fold.records

    @property
    def unknown(self) -> int:
        """How many answers belong to no route or backend of the store."""
        return self._fold.unknown

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the file until ``stop`` is set; then read what is there, save and return.

        A database that cannot be written is tried again: nothing is deleted before it is saved.
        """
        await asyncio.to_thread(prepare, self._path)
        try:
            while not stop.is_set():
                # A thread for each look would cost the machine more than the comparing.
                more = False
                if self._is_due():
                    more = await finished(self._guarded_turn)
                    await self._rotate()
                if not more:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), POLL_EVERY)
            await finished(self._last_turns)
            await finished(self._last_samples)
        finally:
            self._close()

    def _is_due(self) -> bool:
        """Whether it is time to save, or there is much to read. Finding out costs no more than a look at the file.

        What is read is of use to others once it is saved, so a little may wait for that.
        """
        if self._tail is None or time.monotonic() - self._saved_at >= SAVE_EVERY:
            return True
        return not 0 <= self._tail.unread < WORTH_A_TURN

    def _expire_samples(self) -> None:
        if time.monotonic() - self._expired_at < EXPIRE_EVERY:
            return
        self._expired_at = time.monotonic()
        folder = samples_folder(self._path.parent.parent)
        # Few routes keep samples, if any: ten thousand are not read for them while the gateway waits for its own.
        latest = [self._store.routes.get(path.stem) for path in folder.glob("*.jsonl")]
        specs = {one.route: one.spec for one in latest if one is not None and one.spec is not None}
        expire(folder, specs, utc_now())

    def _guarded_turn(self) -> bool:
        """A turn. What the database or the disk fails at is taken up again from what is saved, as after a kill."""
        try:
            self._shed()
            return self._turn()
        except (StoreError, OSError) as error:
            self._warn(error)
            self._close()
            self._shed_due.update(self._shed_added)
            self._shed_added.clear()
            self._records_before = self.records
            self._fold = self._new_fold()
            return False

    def _last_turns(self) -> bool:
        """Read what was there when the end was asked for, no more: the gateway may go on writing."""
        until = self._tail.size if self._tail else 0
        before, more = -1, True
        while before < until and (more or self._place > before):
            before = self._place
            more = self._guarded_turn()
        return self._save()

    @property
    def _place(self) -> int:
        return self._tail.position if self._tail else 0

    def _last_samples(self) -> bool:
        try:
            self._keeper.save(utc_now())
        except OSError as error:
            self._warn(error)
            return False
        return True

    def _turn(self) -> bool:
        """Read what is new, one batch; whether there may be more at once."""
        if time.monotonic() - self._noticed_at >= NOTICE_EVERY:
            self._notice_changed_routes()
        self._follow()
        for kind, count in self._shed_due.items():
            self._fold.give_up(self._shed_like[kind], count)
        self._shed_added.update(self._shed_due)
        self._shed_due.clear()
        more = self._read_left()
        if self._tail is not None and not more:
            self._read(self._tail)
            more = self._tail.unread >= WORTH_A_TURN
        self._fold.expire(time.monotonic())
        self._expire_samples()
        if time.monotonic() - self._saved_at >= SAVE_EVERY:
            self._save()
        return more

    def _shed(self) -> None:
        """Where more waits than may, give up the older half of it, before the gateway bounds it and nobody counts.

        It is due where answers come faster than they are compared, or where there is no database to count them in.
        """
        if self._tail is None and not self._path.exists():
            return
        tail = self._tail or Tail(self._path)
        try:
            if tail.unread <= self._most_waiting:
                return
            end, lost = tail.position + tail.unread // 2, 0
            while tail.position < end and (lines := tail.read()):
                lost += sum(map(self._give_up, lines))
            tail.delete(tail.position)
        finally:
            if tail is not self._tail:
                tail.close()
        _log.warning("%d answers of shadowed requests were given up unread and are counted as lost", lost)

    def _give_up(self, line: Line) -> bool:
        """Count one line as lost. Its counterpart is lost with it, so only callers' answers count."""
        try:
            record = parse(line.text)
        except MalformedRecordError as error:
            self._count_malformed(str(error))
            return False
        if record.role != "p":
            return False
        self._shed_like.setdefault(record.place, replace(record, body=b"", request=b""))
        self._shed_due[record.place] += 1
        return True

    def _follow(self) -> None:
        """Open the file once it exists; notice that it was replaced or truncated."""
        if self._tail is None:
            try:
                self._tail = Tail(self._path)
            except FileNotFoundError:
                return
            self._fold.moved(self._tail.identity)
            self._cursors_hold = True
            if self._replaced_path.exists():
                self._left = (Tail(self._replaced_path), time.monotonic() + _SETTLED_AFTER)
        elif not self._tail.is_at(self._path):
            if self._left is None and self._path.exists():
                # The gateway writes to the old file until it has opened the new one: both are read for a while.
                self._left = (self._tail, time.monotonic() + _SETTLED_AFTER)
                self._tail = Tail(self._path)
                self._moved(self._tail)
        elif self._tail.was_truncated():
            self._moved(self._tail)

    def _moved(self, tail: Tail) -> None:
        """Positions saved before mean nothing any more: even a file of the same number is another one."""
        self._cursors_hold = False
        self._fold.moved(tail.identity)

    def _read_left(self) -> bool:
        """Read on in the file that was replaced, until nobody has written to it for a while."""
        if self._left is None:
            return False
        tail, until = self._left
        if self._read(tail, waiting_is_here=False):
            self._left = (tail, time.monotonic() + _SETTLED_AFTER)
            return True
        if time.monotonic() >= until and self._save():
            tail.empty()
            tail.close()
            self._left = None
            self._replaced_path.unlink(missing_ok=True)
        return False

    def _read(self, tail: Tail, *, waiting_is_here: bool = True) -> bool:
        before = tail.oversized
        lines = tail.read()
        now, at = time.monotonic(), utc_now()
        for text, start, end in lines:
            if not text.startswith(b"{") and not text.strip(b"\0"):
                continue
            try:
                record = parse(text, keep_request=self._keeps)
            except MalformedRecordError as error:
                self._count_malformed(str(error))
                continue
            if waiting_is_here:
                self._fold.add(record, now, at, start, end)
            else:
                self._fold.add(record, now, at)
        for _ in range(tail.oversized - before):
            self._count_malformed("the line is longer than a record can be")
        return bool(lines)

    def _save(self) -> bool:
        """Save what changed, then delete what was counted. False where the database did not take it."""
        self._saved_at = time.monotonic()
        rows = self._fold.changed(utc_now())
        try:
            self._store.shadow.save(*rows)
        except StoreError as error:
            self._warn(error)
            return False
        self._fold.saved(rows)
        self._shed_added.clear()
        if self._tail is not None:
            oldest = self._fold.pairer.oldest_start
            self._tail.delete(self._tail.position if oldest is None else min(oldest, self._tail.position))
        if self._left is not None:
            self._left[0].delete(self._left[0].position)
        if time.monotonic() - self._kept_at >= KEEP_EVERY:
            self._kept_at = time.monotonic()
            self._keeper.save(utc_now())
        return True

    async def _rotate(self) -> None:
        if self._reopen is None or self._tail is None or self._left is not None:
            return
        if self._tail.size < self._rotate_at:
            return
        await asyncio.to_thread(os.replace, self._path, self._replaced_path)
        await asyncio.to_thread(prepare, self._path)
        try:
            await self._reopen()
        except Exception as error:  # noqa: BLE001 - any failure of the gateway's is the same here
            _log.warning("the gateway did not open its capture file anew: %s", error)

    @property
    def _replaced_path(self) -> Path:
        return self._path.with_name(f"{self._path.name}.old")

    def _count_malformed(self, why: str) -> None:
        self.malformed += 1
        if self.malformed & (self.malformed - 1) == 0:
            _log.warning("%d captured lines could not be read, the last because %s", self.malformed, why)

    def _warn(self, error: Exception) -> None:
        """Say what fails, not ten times a second."""
        now = time.monotonic()
        if now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            _log.warning("the shadow's answers cannot be counted now, and will be tried again: %s", error)

    def _notice_changed_routes(self) -> None:
        """Most of what is written is not about routes: our own counts, twice a second."""
        version = self._store.version()
        self._noticed_at = time.monotonic()
        if version == self._version:
            return
        self._version = version
        if self._specs:
            news = self._store.routes.since(self._cursor)
            self._cursor = news.cursor
            if news.revisions:
                self._specs.clear()
                self._fold.specs_may_have_changed()

    def _spec_of(self, route: str, revision: int | None) -> RouteSpec | None:
        """The specification that a record was made under, the latest where the record does not say."""
        specs = self._specs.get(route)
        # A revision that is not known yet was made since the last look.
        if specs is None or (revision is not None and revision not in specs):
            history = self._store.routes.history(route)
            specs = {each.number: each.spec for each in history if each.spec is not None}
            self._specs[route] = specs
            self._keeps = any(spec.samples for known in self._specs.values() for spec in known.values())
        if not specs:
            return None
        return specs.get(revision or 0) or specs[max(specs)]

    def _resume_from(self, route: str) -> list[ShadowEvidence]:
        """What is saved, with the places up to which it counts forgotten where they cannot be of this file."""
        rows = self._store.shadow.of(route)
        tail = self._tail
        return [
            row
            if self._cursors_hold and tail is not None and tail.ends_a_line(row.cursor)
            else row.model_copy(update={"cursor": 0})
            for row in rows
        ]

    def _new_fold(self) -> EvidenceFold:
        return EvidenceFold(self._spec_of, resume_from=self._resume_from, window=self._window, offer=self._keeper.offer)

    def _close(self) -> None:
        for tail in (self._tail, self._left[0] if self._left else None):
            if tail is not None:
                tail.close()
        self._tail = self._left = None
