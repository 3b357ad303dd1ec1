"""Scans at their times: APScheduler as the clock, the store's own table as its memory.

APScheduler's database job stores pickle the jobs, and reading a pickle runs it: whoever may write the
shared database could run code here. So its jobs live in memory only, made from the rows of
``store.schedules``; the next run is kept there, and what other processes change is followed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from inventory.cron import ScheduleError
from inventory.model import Scan, Schedule, Scope, utc_now
from inventory.store import Store, StoreError
from scanner.lease import Lease
from scanner.runner import ScanBusy
from scanner.triggers import first_run, following_run

log = logging.getLogger(__name__)

RunScope = Callable[[Scope, asyncio.Event], Awaitable[list[Scan]]]
"""Scans a scope until it is done or the event is set. A scope of several clusters is as many scans."""

WATCH_EVERY = 0.5
"""Seconds between two looks at whether another process wrote something."""

TRY_AGAIN = timedelta(seconds=10)
"""How much later a run is tried that found its scope busy or the store failing."""

_LEASE_SECONDS = 15.0


class Scheduler:
    """Runs the scans that are due, one at a time a scope, for as long as ``run`` runs."""

    def __init__(self, store: Store, run_scope: RunScope) -> None:
        self._store = store
        self._run_scope = run_scope
        self._clock = AsyncIOScheduler(timezone=UTC)
        self._lease = Lease(store, "scheduler", _LEASE_SECONDS)
        self._known: dict[str, Schedule] = {}
        self._version = -1
        self._scans: dict[str, asyncio.Task[None]] = {}
        self._ending = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; scans that are under way then end as incomplete.

        Several processes may do so on one database: one of them runs the schedules, and when it ends
        or dies another goes on. A store that fails is waited for.
        """
        self._clock.start()
        try:
            while not stop.is_set():
                try:
                    await self._look()
                except StoreError as error:
                    log.warning("the schedules wait for the store: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), WATCH_EVERY)
        finally:
            self._clock.shutdown(wait=False)
            self._ending.set()
            if self._scans:
                await asyncio.wait(self._scans.values())
            await asyncio.to_thread(self._lease.give_back)

    async def _look(self) -> None:
        """Follow what was written since the last look."""
        if not await asyncio.to_thread(self._lease.keep):
            self._clock.remove_all_jobs()
            self._known, self._version = {}, -1
            return
        version = await asyncio.to_thread(self._store.version)
        if version == self._version:
            return
        found = {one.name: one for one in await asyncio.to_thread(self._store.schedules.list)}
        for name in self._known.keys() - found.keys():
            self._forget(name)
        for name, schedule in found.items():
            if schedule != self._known.get(name):
                await self._plan(schedule)
        self._version = version

    async def _plan(self, schedule: Schedule) -> None:
        try:
            moment = first_run(schedule, utc_now())
        except ScheduleError as error:
            log.warning("the schedule %s cannot run: %s", schedule.name, error)
            moment = None
        if moment is not None and schedule.next_run_at is None:
            schedule = schedule.model_copy(update={"next_run_at": moment})
            await asyncio.to_thread(self._store.schedules.save, schedule)
        self._known[schedule.name] = schedule
        self._set_clock(schedule.name, moment)

    def _set_clock(self, name: str, moment: datetime | None) -> None:
        if moment is None:
            if self._clock.get_job(name):
                self._clock.remove_job(name)
            return
        self._clock.add_job(
            self._fire,
            DateTrigger(moment),
            args=(name, moment),
            id=name,
            replace_existing=True,
            misfire_grace_time=None,
            # The next moment is set from within the call for this one, and may be due already.
            max_instances=10,
        )

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._set_clock(name, None)

    async def _fire(self, name: str, planned: datetime) -> None:
        """A schedule's moment has come: write down when it comes again, and begin the scan."""
        now = utc_now()
        try:
            schedule = await asyncio.to_thread(self._store.schedules.get, name)
            if schedule is None or schedule.paused:
                self._forget(name)
                return
            following = following_run(schedule, planned, now)
            if name in self._scans:
                log.warning("the schedule %s skips a run: its scan still goes on", name)
                await self._write(schedule, following)
                return
            scope = await asyncio.to_thread(self._store.scopes.get, schedule.scope)
            await self._write(schedule, following, last_run_at=now)
        except StoreError as error:
            log.warning("the schedule %s waits for the store: %s", name, error)
            self._set_clock(name, now + TRY_AGAIN)
            return
        if scope is None:
            log.error("the schedule %s cannot run: there is no scope %s", name, schedule.scope)
            return
        if not self._ending.is_set():
            task = asyncio.create_task(self._scan(schedule, scope, following))
            self._scans[name] = task
            task.add_done_callback(lambda _: self._scans.pop(name, None))

    async def _try_again(self, name: str, moment: datetime) -> None:
        with suppress(StoreError):
            schedule = await asyncio.to_thread(self._store.schedules.get, name)
            if schedule is not None and not schedule.paused:
                await self._write(schedule, moment)

    async def _write(self, schedule: Schedule, following: datetime | None, **changes: datetime) -> None:
        """Keep when a schedule runs again, and set the clock to it."""
        schedule = schedule.model_copy(update={"next_run_at": following, **changes})
        await asyncio.to_thread(self._store.schedules.save, schedule)
        self._known[schedule.name] = schedule
        self._set_clock(schedule.name, following)

    async def _scan(self, schedule: Schedule, scope: Scope, following: datetime | None) -> None:
        try:
            scans = await self._run_scope(scope, self._ending)
        except ScanBusy as error:
            again = min(utc_now() + TRY_AGAIN, following or datetime.max.replace(tzinfo=UTC))
            log.warning("the schedule %s tries again at %s: %s", schedule.name, again.isoformat(), error)
            await self._try_again(schedule.name, again)
        except Exception:
            log.exception("the schedule %s could not scan %s", schedule.name, scope.name)
        else:
            for scan in scans:
                log.info("the schedule %s scanned %s: %s", schedule.name, scan.scope, scan.status)
