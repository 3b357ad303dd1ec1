"""Runs one scan of one scope: takes its lease, follows its source, and keeps what is found as it is found.

A scan that is interrupted, loses its database or meets an error ends incomplete or failed, with the
reason; what was found until then is in the inventory, or in a file that the next scan reads in.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from inventory.model import Scan, ScanStatus, Scope, new_scan_id, utc_now
from inventory.settings import Settings
from inventory.store import Store
from scanner.findings import Ask
from scanner.io.record import forget
from scanner.journal import Journal, JournalError
from scanner.lease import LEASE_SECONDS, Lease
from scanner.plan import Shard
from scanner.sources import Progress, Run, Source, choose, source_name, source_of

log = logging.getLogger(__name__)

Report = Callable[[Progress], None]


class ScanBusy(RuntimeError):  # noqa: N818 - a state, not a fault
    """The scope is being scanned at this moment. Its text is one sentence."""


async def run_scan(
    scope: Scope,
    store: Store,
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    report: Report | None = None,
    shard: Shard | None = None,
    resume: bool = False,
) -> Scan:
    """Scan a scope with the questions of the signatures. See ``Runner.run``."""
    from scanner.asking import Asker

    runner = Runner(store, settings, await asyncio.to_thread(Asker, settings))
    return await runner.run(scope, stop=stop, report=report, shard=shard, resume=resume)


class Runner:
    """Runs scans over one store, with one way of asking."""

    def __init__(self, store: Store, settings: Settings, ask: Ask) -> None:
        self._store = store
        self._settings = settings
        self._ask = ask

    async def run(
        self,
        scope: Scope,
        *,
        stop: asyncio.Event | None = None,
        report: Report | None = None,
        shard: Shard | None = None,
        resume: bool = False,
        source: Source | None = None,
    ) -> Scan:
        """Scan a scope, or one shard of it, and return the scan as it ended: look at its status and reason.

        ``resume`` goes on with the latest scan of it where that one was interrupted and its plan is the
        same still; otherwise a new scan begins. ``stop`` ends it early, as incomplete. So does
        cancellation, which then goes on its way after everything was kept. ``report`` is called a few
        times a second. ``source`` stands in for the one that the targets choose.

        Nothing is sent and no scan begins where this raises TargetError, PortsError, NotAuthorised or
        ScanBusy. JournalError: the store failed for good, and where the results are instead.
        """
        prefix, targets = choose(scope.targets)
        earlier = await asyncio.to_thread(self._interrupted, scope, shard) if resume else None
        checkpoint = earlier.checkpoint if earlier else None
        prepare = source or source_of(prefix)
        run = await prepare(scope, targets, self._ask, self._settings, shard=shard, resume=checkpoint)
        if not run.resumed:
            earlier = None
        ending = _Ending()
        job = asyncio.create_task(
            self._leased(self._scan_of(scope, shard, source_name(prefix), run, earlier), run, ending, report)
        )
        stopping = asyncio.create_task((stop or asyncio.Event()).wait())
        stopping.add_done_callback(lambda task: None if task.cancelled() else ending.end("it was stopped"))
        cancelled = False
        while not job.done():
            try:
                await asyncio.wait({job})
            except asyncio.CancelledError:
                cancelled = True
                ending.end("it was interrupted")
        stopping.cancel()
        if cancelled:
            if not job.cancelled() and (error := job.exception()):
                log.error("the interrupted scan of %s could not end well: %s", scope.name, error)
            raise asyncio.CancelledError
        return job.result()

    def _interrupted(self, scope: Scope, shard: Shard | None) -> Scan | None:
        """The latest scan of a scope or shard, if it can go on."""
        part = None if shard is None else str(shard)
        latest = next((scan for scan in self._store.scans.list(scope.name) if scan.shard == part), None)
        if latest is None or latest.checkpoint is None or latest.site != scope.site:
            return None
        killed = latest.status is ScanStatus.RUNNING
        if not (killed or latest.account.unprobed or latest.checkpoint.unasked):
            return None
        asked = self._store.observations.seen_by(latest.id)
        return latest.model_copy(update={"checkpoint": latest.checkpoint.model_copy(update={"asked": asked})})

    def _scan_of(self, scope: Scope, shard: Shard | None, source: str, run: Run, earlier: Scan | None) -> Scan:
        """The record of a run: a new one, or that of the scan that goes on."""
        if earlier is not None:
            changes = {"status": ScanStatus.RUNNING, "reason": None, "ended_at": None, "exclude": run.exclude}
            return earlier.model_copy(update=changes)
        started = utc_now()
        return Scan(
            id=new_scan_id(started),
            scope=scope.name,
            site=scope.site,
            source=source,
            targets=run.targets,
            exclude=run.exclude,
            ports=run.ports,
            shard=None if shard is None else str(shard),
            started_at=started,
            account=run.account,
        )

    async def _leased(self, scan: Scan, run: Run, ending: "_Ending", report: Report | None) -> Scan:
        part = f":{scan.shard}" if scan.shard else ""
        lease = Lease(self._store, f"scan:{scan.scope}{part}", LEASE_SECONDS)
        if not await asyncio.to_thread(lease.take):
            what = f"shard {scan.shard} of the scope" if scan.shard else "the scope"
            raise ScanBusy(f"{what} {scan.scope!r} is being scanned already: wait until that scan ends")
        try:
            journal = Journal(self._store, self._settings.state_folder / "unsaved", scan)
            await journal.open()
            status, reason = await self._follow(run, journal, lease, ending, report)
            ended = await journal.close(status, reason, run)
            if status is ScanStatus.COMPLETE:
                await asyncio.to_thread(forget, self._settings.state_folder, scan.scope, scan.shard)
            return ended
        finally:
            await asyncio.to_thread(lease.give_back)

    async def _follow(
        self, run: Run, journal: Journal, lease: Lease, ending: "_Ending", report: Report | None
    ) -> tuple[ScanStatus, str | None]:
        """Keep every update of the source. How the scan ended, and why so."""
        failure: list[str] = []
        try:
            async with aclosing(run.observe(journal.scan.id, ending.event)) as updates:
                async for update in updates:
                    if report is not None:
                        report(update.progress)
                    await journal.write(update)
                    if not await asyncio.to_thread(lease.keep):
                        ending.end("another process took over its scope")
            run.shortfalls += await journal.emptied()
        except JournalError:
            raise
        except Exception as error:
            log.exception("the scan of %s failed", journal.scan.scope)
            failure = [_in_words(error)]
        shortfalls = [*failure, *ending.reasons, *run.shortfalls]
        reason = "; ".join([*shortfalls, *run.notes]) or None
        if failure:
            return ScanStatus.FAILED, reason
        return (ScanStatus.INCOMPLETE if shortfalls else ScanStatus.COMPLETE), reason


class _Ending:
    """The wish that a scan end early, and why."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.reasons: list[str] = []

    def end(self, reason: str) -> None:
        if not self.event.is_set():
            self.reasons.append(reason)
            self.event.set()


def _in_words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"it failed: {error}" if str(error) else f"it failed by {type(error).__name__}"
