import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from inventory.model import Scan, ScanStatus, Schedule, Scope, utc_now
from inventory.store import Store, open_store
from scanner.runner import ScanBusy
from scanner.schedule import Scheduler


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'inventory.db'}") as opened:
        for name in ("one", "two"):
            opened.scopes.save(Scope(name=name, targets=("127.0.0.1",), created_at=utc_now()))
        yield opened


class Scans:
    """Stands where scans are run: notes when each began, and lets them go on until they are released."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.running: list[str] = []
        self.most = 0
        self.busy = 0
        self.released = asyncio.Event()
        self.changed = asyncio.Condition()

    async def run(self, scope: Scope, stop: asyncio.Event) -> list[Scan]:
        if self.busy:
            self.busy -= 1
            raise ScanBusy("busy")
        self.began.append(scope.name)
        self.running.append(scope.name)
        self.most = max(self.most, self.running.count(scope.name))
        await self._tell()
        waits = {asyncio.create_task(self.released.wait()), asyncio.create_task(stop.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self.running.remove(scope.name)
        self.ended.append("stopped" if stop.is_set() else scope.name)
        await self._tell()
        status = ScanStatus.INCOMPLETE if stop.is_set() else ScanStatus.COMPLETE
        done = Scan(
            id="s", scope=scope.name, site="default", source="subnet", targets=(), started_at=utc_now(), status=status
        )
        return [done]

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(true)


@asynccontextmanager
async def scheduler(store: Store, scans: Scans) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    work = asyncio.create_task(Scheduler(store, scans.run).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await work


async def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what only the store tells."""
    tick = asyncio.Event()
    async with asyncio.timeout(seconds):
        while not true():
            asyncio.get_running_loop().call_later(0.02, tick.set)
            await tick.wait()
            tick.clear()


def every(seconds: int, name: str = "often", scope: str = "one", **changes: object) -> Schedule:
    return Schedule.model_validate({"name": name, "scope": scope, "interval_seconds": seconds} | changes)


async def test_missed_runs_are_one_run_now_and_the_next_is_kept(store: Store) -> None:
    long_ago = utc_now() - timedelta(days=30)
    store.schedules.save(every(3600, next_run_at=long_ago, last_run_at=long_ago))
    scans = Scans()
    scans.released.set()
    async with scheduler(store, scans):
        await scans.until(lambda: scans.ended == ["one"])
        kept = store.schedules.get("often")
    assert kept is not None
    assert kept.next_run_at is not None
    assert kept.last_run_at is not None
    assert timedelta(minutes=59) < kept.next_run_at - utc_now() <= timedelta(hours=1)
    assert utc_now() - kept.last_run_at < timedelta(seconds=10)
    assert scans.began == ["one"]
    # A restart begins nothing, and changes nothing.
    async with scheduler(store, scans):
        store.schedules.save(every(3600, name="later", scope="two", next_run_at=utc_now()))
        await scans.until(lambda: "two" in scans.ended)
    assert scans.began == ["one", "two"]
    assert store.schedules.get("often") == kept


async def test_an_interval_runs_again_and_again(store: Store) -> None:
    scans = Scans()
    scans.released.set()
    store.schedules.save(every(1, next_run_at=utc_now()))
    async with scheduler(store, scans):
        await scans.until(lambda: len(scans.ended) == 2)
    assert scans.began == ["one"] * 2


async def test_a_scan_that_goes_on_is_not_begun_again(store: Store) -> None:
    scans = Scans()
    store.schedules.save(every(1, next_run_at=utc_now()))
    async with scheduler(store, scans):
        await scans.until(lambda: bool(scans.began))
        first = store.schedules.get("often")
        # Two more moments come while the first scan goes on.
        await until(lambda: _next(store) >= _of(first) + timedelta(seconds=2))
        assert scans.began == ["one"]
        scans.released.set()
        await scans.until(lambda: len(scans.ended) == 2)
    assert scans.most == 1


def _next(store: Store) -> datetime:
    return _of(store.schedules.get("often"))


def _of(schedule: Schedule | None) -> datetime:
    assert schedule is not None
    assert schedule.next_run_at is not None
    return schedule.next_run_at


async def test_what_other_processes_write_is_followed(store: Store) -> None:
    scans = Scans()
    scans.released.set()
    async with scheduler(store, scans):
        store.schedules.save(every(3600))
        await until(lambda: (store.schedules.get("often") or every(1)).next_run_at is not None)
        store.schedules.save(every(3600, next_run_at=utc_now()))
        await scans.until(lambda: scans.ended == ["one"])
        store.schedules.save(every(1, paused=True, next_run_at=utc_now()))
        store.schedules.save(every(3600, name="mark", scope="two", next_run_at=utc_now()))
        await scans.until(lambda: scans.ended[-1] == "two")
        assert scans.began == ["one", "two"]
        store.schedules.save(every(1, next_run_at=utc_now()))
        await scans.until(lambda: scans.began.count("one") == 2)
        store.schedules.remove("often")
        store.schedules.save(every(3600, name="mark", scope="two", next_run_at=utc_now() + timedelta(seconds=2)))
        began = scans.began.count("one")
        await scans.until(lambda: scans.began.count("two") == 2)
        assert scans.began.count("one") <= began + 1
    assert store.schedules.get("often") is None


async def test_stopping_ends_the_scans_that_are_under_way(store: Store) -> None:
    scans = Scans()
    store.schedules.save(every(3600, next_run_at=utc_now()))
    async with scheduler(store, scans):
        await scans.until(lambda: bool(scans.began))
    assert scans.ended == ["stopped"]
    assert scans.running == []


async def test_of_two_daemons_one_runs_the_schedules_and_the_other_takes_over(store: Store) -> None:
    first, second = Scans(), Scans()
    first.released.set()
    second.released.set()
    async with scheduler(store, first) as stop_first:
        store.schedules.save(every(1, next_run_at=utc_now()))
        await first.until(lambda: bool(first.ended))
        async with scheduler(store, second):
            await first.until(lambda: len(first.ended) >= 2)
            assert second.began == []
            stop_first.set()
            await second.until(lambda: bool(second.ended))


async def test_a_busy_scope_is_tried_again_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.schedule.TRY_AGAIN", timedelta(seconds=0.2))
    scans = Scans()
    scans.released.set()
    scans.busy = 2
    store.schedules.save(every(3600, next_run_at=utc_now()))
    async with scheduler(store, scans):
        await scans.until(lambda: scans.ended == ["one"])
        kept = store.schedules.get("often")
    assert _of(kept) > utc_now() + timedelta(minutes=50)


async def test_bad_rows_hold_up_no_others(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.schedules.save(Schedule(name="bad", scope="one", cron="daily"))
    store.schedules.save(every(3600, name="lost", scope="nowhere", next_run_at=utc_now()))
    store.schedules.save(every(3600, name="good", scope="two", next_run_at=utc_now()))
    scans = Scans()
    scans.released.set()
    async with scheduler(store, scans):
        await scans.until(lambda: scans.ended == ["two"])
        await until(lambda: "there is no scope nowhere" in caplog.text)
    assert "the schedule bad cannot run: the cron expression 'daily'" in caplog.text
