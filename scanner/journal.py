"""Writes one scan into the store as it goes, and loses nothing where the store fails."""

import asyncio
import logging
import time
from pathlib import Path

from inventory.model import Checkpoint, Declaration, Observation, Scan, ScanStatus, utc_now
from inventory.store import Store, StoreError
from scanner.sources import Run, Update
from scanner.spill import recover, spill

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds for which a failing store is tried again before the results go to a file."""

SAVE_EVERY = 1.0
"""Seconds after which a scan is saved however little happened."""

WORTH_SAVING = 0.001
"""Share of the planned probes. What went since the last save is sent again where a scan is killed and resumed."""

COST = 0.04
"""Share of the time that saving may take."""

_FIRST_WAIT = 0.1


def save_due(elapsed: float, took: float, moved: float) -> bool:
    """Whether to save a scan again. Pure.

    The last time is ``elapsed`` seconds ago and ``took`` so many; ``moved`` is the share of its probes since.
    """
    return elapsed >= SAVE_EVERY or (moved >= WORTH_SAVING and elapsed >= took / COST)


def _belongs(earlier: Checkpoint | None, later: Checkpoint) -> bool:
    return earlier is not None and (earlier.plan, earlier.parts) == (later.plan, later.parts)


class JournalError(RuntimeError):
    """The store failed for good. Its text is one sentence that names the file with the results."""


class Journal:
    """The record of one scan. ``folder`` takes what the store would not."""

    def __init__(self, store: Store, folder: Path, scan: Scan) -> None:
        self.scan = scan
        self._store = store
        self._folder = folder
        self._unsaved: list[Observation] = []
        self._undeclared: list[Declaration] = []
        self._empty: list[str] = []
        self._saved_at = float("-inf")
        self._took = 0.0
        self._probed = 0

    async def open(self) -> None:
        """Write that the scan began, after putting right what earlier ones left. Raises StoreError."""
        await asyncio.to_thread(self._open)

    async def write(self, update: Update) -> None:
        """Keep an update. Raises JournalError when the store failed for longer than the patience."""
        changes = {
            "account": update.account,
            "loss": update.loss,
            "requests": update.requests,
            "checkpoint": update.checkpoint,
            "whole": tuple(dict.fromkeys((*self.scan.whole, *update.whole))),
        }
        begins = update.checkpoint is not None and not _belongs(self.scan.checkpoint, update.checkpoint)
        self.scan = self.scan.model_copy(update=changes)
        self._unsaved.extend(update.observations)
        self._undeclared.extend(update.declarations)
        self._empty += update.empty
        moved = (update.account.probed - self._probed) / max(1, update.account.planned)
        due = save_due(time.monotonic() - self._saved_at, self._took, moved)
        if self._unsaved or self._undeclared or begins or due:
            await self._insist()

    async def emptied(self) -> list[str]:
        """The registries that declare nothing now and did before, in sentences: it may be a fault, and is not believed.

        Raises StoreError.
        """
        counts = await asyncio.to_thread(lambda: {one: self._store.declarations.count(one) for one in self._empty})
        self.scan = self.scan.model_copy(
            update={"whole": (*self.scan.whole, *(one for one, count in counts.items() if not count))}
        )
        return [
            f"{source} declares nothing any more, and declared {count} before: nothing is withdrawn until "
            f"`gnomon declared withdraw {source}` says that this is so"
            for source, count in counts.items()
            if count
        ]

    async def close(self, status: ScanStatus, reason: str | None, run: Run) -> Scan:
        """Write how the scan ended, and settle what it covered. Raises JournalError."""
        changes = {
            "status": status,
            "reason": reason,
            "targets": run.targets,
            "exclude": run.exclude,
            "ports": run.ports,
            "ended_at": utc_now(),
        }
        if status is ScanStatus.COMPLETE:
            changes["checkpoint"] = None
        self.scan = self.scan.model_copy(update=changes)
        await self._insist()
        return self.scan

    def _open(self) -> None:
        recover(self._folder, self._store)
        # The lease is ours, so a scan of this scope or shard that still says "running" has no process any more.
        for earlier in self._store.scans.list(self.scan.scope):
            if earlier.status is ScanStatus.RUNNING and earlier.shard == self.scan.shard:
                self._store.scans.save(
                    earlier.model_copy(
                        update={
                            "status": ScanStatus.INCOMPLETE,
                            "reason": "its process ended without a word",
                            "ended_at": self.scan.started_at,
                        }
                    )
                )
        self._store.scans.save(self.scan)

    async def _insist(self) -> None:
        give_up_at = time.monotonic() + PATIENCE
        wait = _FIRST_WAIT
        while True:
            try:
                await asyncio.to_thread(self._save)
            except StoreError as error:
                if time.monotonic() + wait > give_up_at:
                    raise self._give_up(error) from error
                log.warning("the scan %s waits for the store: %s", self.scan.id, error)
                await asyncio.sleep(wait)
                wait *= 2
            else:
                return

    def _save(self) -> None:
        now, began = utc_now(), time.monotonic()
        # Every step may be repeated: an observation written twice is one, and a fold is idempotent.
        if self._unsaved:
            self._store.endpoints.take_in(self._unsaved, now)
        self._store.declarations.append(self._undeclared)
        self._store.scans.save(self.scan)
        if self.scan.ended_at is not None:
            self._store.endpoints.settle(self.scan, now)
            self._store.declarations.settle(self.scan)
        self._unsaved.clear()
        self._undeclared.clear()
        self._saved_at = time.monotonic()
        self._took = self._saved_at - began
        self._probed = self.scan.account.probed

    def _give_up(self, error: StoreError) -> JournalError:
        scan = self.scan
        if scan.ended_at is None:
            reason = "the database failed"
            changes = {"status": ScanStatus.INCOMPLETE, "reason": reason, "ended_at": utc_now()}
            scan = scan.model_copy(update=changes)
        try:
            path = spill(self._folder, scan, self._unsaved)
        except OSError as trouble:
            lost = f"{len(self._unsaved)} observations could not be kept, as {self._folder} failed too: {trouble}"
            return JournalError(f"{error}; {lost}")
        return JournalError(f"{error}; what the scan found is in {path}, and the next scan reads it in")
