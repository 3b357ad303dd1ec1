import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from inventory.model import (
    Exposed,
    Identified,
    Kind,
    Listener,
    Presence,
    Questioned,
    Scan,
    ScanStatus,
    Scheme,
    Scope,
    utc_now,
)
from inventory.settings import Settings
from inventory.store import Store, open_store
from scanner.findings import Finding
from scanner.journal import JournalError
from scanner.lease import Lease
from scanner.plan import NotAuthorised, Shard
from scanner.ports import PortsError
from scanner.runner import Runner, ScanBusy, run_scan
from scanner.sources import Progress
from scanner.targets import TargetError

ROOT = Path(__file__).parents[2]
PORT = 28080
BY_CONNECTING = "ports were probed by connecting: loopback has no link layer"
HOSTS = tuple(f"127.82.1.{host}" for host in range(1, 6))

Findings = tuple[Finding, ...]


async def is_web(listener: Listener) -> Findings:
    return (
        Finding(fact=Exposed(scheme=Scheme.HTTP)),
        Finding(fact=Identified(kind=Kind.ORDINARY_WEB)),
        Finding(fact=Questioned(requests=())),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=f"sqlite:///{tmp_path / 'inventory.db'}", state_folder=tmp_path, scan_timeout=0.5)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database, made once: most of a short test would be migrations."""
    path = tmp_path_factory.mktemp("template") / "inventory.db"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def store(settings: Settings, migrated: Path) -> Iterator[Store]:
    shutil.copyfile(migrated, settings.database.removeprefix("sqlite:///"))
    with open_store(settings.database) as opened:
        yield opened


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.readline():
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
    writer.close()


@pytest.fixture
async def servers() -> AsyncIterator[list[asyncio.Server]]:
    started = [await asyncio.start_server(answer, host, PORT) for host in HOSTS]
    yield started
    for server in started:
        server.close()


def scope(*targets: str, **parts: object) -> Scope:
    defaults = {"name": "lab", "ports": f"{PORT - 3}-{PORT}", "rate": 50_000, "created_at": utc_now()}
    return Scope.model_validate(defaults | {"targets": targets or ("127.82.1.0/28",)} | parts)


def addresses(store: Store, filter_text: str = "") -> list[str]:
    return sorted(endpoint.address for endpoint in store.endpoints.list(filter_text))


@pytest.mark.usefixtures("servers")
async def test_what_is_there_is_found_asked_and_settled(store: Store, settings: Settings) -> None:
    seen: list[Progress] = []
    scan = await Runner(store, settings, is_web).run(scope(), report=seen.append)
    assert (scan.status, scan.reason) == (ScanStatus.COMPLETE, BY_CONNECTING)
    assert scan.account.planned == 16 * 4
    assert (scan.account.answered, scan.account.refused, scan.account.unprobed) == (5, 59, 0)
    assert store.scans.get(scan.id) == scan
    assert addresses(store) == list(HOSTS)
    assert {endpoint.presence for endpoint in store.endpoints.list()} == {Presence.SEEN}
    assert (seen[-1].percent, seen[-1].open, seen[-1].identified) == (100.0, 5, 5)
    assert [one.percent for one in seen] == sorted(one.percent for one in seen)


@pytest.mark.usefixtures("servers")
async def test_shards_run_side_by_side_and_come_to_the_whole(store: Store, settings: Settings) -> None:
    runner = Runner(store, settings, is_web)
    lasting = Lease(store, "scan:lab:3/3", 60)
    assert lasting.take()
    with pytest.raises(ScanBusy, match="shard 3/3 of the scope 'lab' is being scanned already"):
        await runner.run(scope(), shard=Shard(3, 3))
    lasting.give_back()
    scans = await asyncio.gather(*(runner.run(scope(), shard=Shard(number, 3)) for number in (1, 2, 3)))
    assert [scan.shard for scan in scans] == ["1/3", "2/3", "3/3"]
    assert {scan.status for scan in scans} == {ScanStatus.COMPLETE}
    assert [scan.account.planned for scan in scans] == [20, 20, 24]
    assert [scan.account.answered for scan in scans] == [4, 1, 0]
    assert addresses(store) == list(HOSTS)


async def test_a_shard_makes_only_its_own_endpoints_disappear(
    store: Store, settings: Settings, servers: list[asyncio.Server]
) -> None:
    runner = Runner(store, settings, is_web)
    await runner.run(scope())
    for server in servers:
        server.close()
        await server.wait_closed()
    for _ in range(settings.gone_after_scans):
        await runner.run(scope(), shard=Shard(1, 3))
    assert addresses(store, "presence:gone") == list(HOSTS[:4])


async def test_a_shard_leaves_the_record_of_the_others_alone(store: Store, settings: Settings) -> None:
    dead = Scan(id="s0", scope="lab", site="default", source="subnet", targets=(), started_at=utc_now(), shard="1/2")
    store.scans.save(dead)
    await Runner(store, settings, is_web).run(scope(), shard=Shard(2, 2))
    assert store.scans.get("s0").status is ScanStatus.RUNNING
    await Runner(store, settings, is_web).run(scope(), shard=Shard(1, 2))
    assert store.scans.get("s0").status is ScanStatus.INCOMPLETE


@pytest.mark.usefixtures("servers")
async def test_the_real_questions_end_to_end(store: Store, settings: Settings) -> None:
    scan = await run_scan(scope(f"http://{HOSTS[0]}:{PORT}/x", f"{HOSTS[1]}:{PORT}"), store, settings)
    assert scan.status is ScanStatus.COMPLETE
    assert scan.account.planned == scan.account.answered == 2
    assert scan.requests > 0
    assert [(one.kind, one.scheme) for one in store.endpoints.list()] == [(Kind.ORDINARY_WEB, Scheme.HTTP)] * 2


async def test_only_complete_scans_make_endpoints_disappear(
    store: Store, settings: Settings, servers: list[asyncio.Server]
) -> None:
    runner = Runner(store, settings, is_web)
    await runner.run(scope())
    servers[0].close()
    await servers[0].wait_closed()
    for _ in range(settings.gone_after_scans):
        stopped = asyncio.Event()
        stopped.set()
        assert (await runner.run(scope(), stop=stopped)).status is ScanStatus.INCOMPLETE
        await runner.run(scope(exclude=[HOSTS[0]]))
        await runner.run(scope(ports=f"{PORT - 1}"))
    assert addresses(store, "presence:gone") == []
    for _ in range(settings.gone_after_scans):
        await runner.run(scope())
    assert addresses(store, "presence:gone") == [HOSTS[0]]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (scope("10.0.0.1/8"), TargetError),
        (scope("k8s:prod"), TargetError),
        (scope("127.0.0.1", exclude=["127.0.0.1:80"]), TargetError),
        (scope("127.0.0.1", ports="eighty"), PortsError),
        (scope("8.8.8.8"), NotAuthorised),
    ],
)
async def test_bad_input_begins_no_scan(store: Store, settings: Settings, bad: Scope, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"\A[^\n]+\Z"):
        await Runner(store, settings, is_web).run(bad)
    assert store.scans.list() == []
    assert await asyncio.to_thread(Lease(store, "scan:lab").take)


@pytest.mark.usefixtures("servers")
async def test_a_host_that_breaks_the_questions_hides_no_other(store: Store, settings: Settings) -> None:
    async def ask(listener: Listener) -> Findings:
        if listener.address == HOSTS[2]:
            raise RuntimeError("boom")
        return await is_web(listener)

    scan = await Runner(store, settings, ask).run(scope())
    assert scan.status is ScanStatus.INCOMPLETE
    assert scan.reason == f"the questions to 1 listener failed: {HOSTS[2]}:{PORT} (RuntimeError); {BY_CONNECTING}"
    assert addresses(store) == list(HOSTS)
    assert addresses(store, "kind:ordinary-web") == [host for host in HOSTS if host != HOSTS[2]]


class Stuck:
    """Questions of which one is never answered; ``begun`` says that the others were."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._answered = 0

    async def ask(self, listener: Listener) -> Findings:
        if listener.address == HOSTS[0]:
            await asyncio.Event().wait()
        self._answered += 1
        if self._answered == len(HOSTS) - 1:
            self.begun.set()
        return await is_web(listener)


@pytest.mark.usefixtures("servers")
async def test_stopping_keeps_what_was_found_and_says_what_is_missing(store: Store, settings: Settings) -> None:
    stuck = Stuck()
    async with asyncio.timeout(10):
        scan = await Runner(store, settings, stuck.ask).run(scope(), stop=stuck.begun)
    assert scan.status is ScanStatus.INCOMPLETE
    assert scan.reason is not None
    assert scan.reason.startswith("it was stopped; ")
    assert "1 open port was not asked to the end" in scan.reason
    assert addresses(store) == list(HOSTS[1:])


@pytest.mark.usefixtures("servers")
async def test_cancelling_does_the_same_and_goes_on(store: Store, settings: Settings) -> None:
    stuck = Stuck()
    work = asyncio.create_task(Runner(store, settings, stuck.ask).run(scope()))
    async with asyncio.timeout(10):
        await stuck.begun.wait()
        work.cancel()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    (scan,) = store.scans.list()
    assert scan.status is ScanStatus.INCOMPLETE
    assert (scan.reason or "").startswith("it was interrupted; ")
    assert addresses(store) == list(HOSTS[1:])
    assert await asyncio.to_thread(Lease(store, "scan:lab").take)


@pytest.mark.usefixtures("servers")
async def test_a_scope_is_scanned_once_at_a_time(store: Store, settings: Settings) -> None:
    stuck = Stuck()
    stop = asyncio.Event()
    first = asyncio.create_task(Runner(store, settings, stuck.ask).run(scope(), stop=stop))
    async with asyncio.timeout(10):
        await stuck.begun.wait()
        with pytest.raises(ScanBusy, match="'lab' is being scanned already"):
            await Runner(store, settings, is_web).run(scope())
        other = await Runner(store, settings, is_web).run(scope(name="other"))
        assert other.status is ScanStatus.COMPLETE
        stop.set()
        await first
        assert (await Runner(store, settings, is_web).run(scope())).status is ScanStatus.COMPLETE


async def test_losing_the_lease_ends_the_scan(
    store: Store, settings: Settings, servers: list[asyncio.Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.runner.LEASE_SECONDS", 0.3)
    stuck = Stuck()
    work = asyncio.create_task(Runner(store, settings, stuck.ask).run(scope()))
    async with asyncio.timeout(10):
        await stuck.begun.wait()
        # As if this process had slept past its lease, and another had begun.
        sql(settings, "UPDATE lease SET holder = 'another', expires_at = '2999-01-01 00:00:00.000000'")
        scan = await work
    assert scan.status is ScanStatus.INCOMPLETE
    assert "another process took over" in (scan.reason or "")


def sql(settings: Settings, statement: str) -> None:
    with sqlite3.connect(settings.database.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.usefixtures("servers")
async def test_a_store_that_recovers_in_time_misses_nothing(store: Store, settings: Settings) -> None:
    async def ask(listener: Listener) -> Findings:
        if listener.address == HOSTS[0]:
            await asyncio.to_thread(sql, settings, "ALTER TABLE observation RENAME TO hidden")
            asyncio.get_running_loop().call_later(0.5, sql, settings, "ALTER TABLE hidden RENAME TO observation")
        return await is_web(listener)

    async with asyncio.timeout(20):
        scan = await Runner(store, settings, ask).run(scope())
    assert scan.status is ScanStatus.COMPLETE
    assert addresses(store) == list(HOSTS)


@pytest.mark.usefixtures("servers")
async def test_a_store_that_fails_for_good_leaves_a_file_that_the_next_scan_reads(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.journal.PATIENCE", 0.3)

    async def ask(listener: Listener) -> Findings:
        if listener.address == HOSTS[0]:
            await asyncio.to_thread(sql, settings, "ALTER TABLE observation RENAME TO hidden")
        return await is_web(listener)

    async with asyncio.timeout(20):
        with pytest.raises(JournalError, match=r"what the scan found is in .*\.unsaved\.jsonl, and the next scan"):
            await Runner(store, settings, ask).run(scope())
    (kept,) = (settings.state_folder / "unsaved").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    await asyncio.to_thread(sql, settings, "ALTER TABLE hidden RENAME TO observation")
    assert addresses(store) == []
    elsewhere = await Runner(store, settings, is_web).run(scope("127.82.9.9", name="elsewhere"))
    assert elsewhere.status is ScanStatus.COMPLETE
    assert HOSTS[0] in addresses(store)
    assert not list((settings.state_folder / "unsaved").iterdir())
    (failed,) = store.scans.list("lab")
    assert failed.status is ScanStatus.INCOMPLETE


KILLED = """
import asyncio, sys
from pathlib import Path
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.findings import Finding
from scanner.runner import Runner

async def ask(listener):
    if listener.address == "127.82.1.1":
        print("asked", flush=True)
        await asyncio.Event().wait()
    return (Finding(fact=Exposed(scheme=Scheme.HTTP)),)

folder = Path(sys.argv[1])
settings = Settings(database=f"sqlite:///{folder / 'inventory.db'}", state_folder=folder)
scope = Scope(name="lab", targets=("127.82.1.0/28",), ports="28077-28080", rate=50000, created_at=utc_now())
asyncio.run(Runner(open_store(settings.database), settings, ask).run(scope))
"""


@pytest.mark.usefixtures("servers")
async def test_a_killed_scan_loses_nothing_that_was_written_and_is_put_right_by_the_next(
    store: Store, settings: Settings
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(settings.state_folder), stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"asked\n"
        await until(lambda: len(addresses(store)) == len(HOSTS) - 1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    (killed,) = store.scans.list()
    assert killed.status is ScanStatus.RUNNING
    scan = await Runner(store, settings, is_web).run(scope())
    assert scan.status is ScanStatus.COMPLETE
    assert addresses(store) == list(HOSTS)
    put_right = store.scans.get(killed.id)
    assert isinstance(put_right, Scan)
    assert (put_right.status, put_right.reason) == (ScanStatus.INCOMPLETE, "its process ended without a word")


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another process does; the caller's timeout bounds it."""
    tick = asyncio.Event()
    while not await asyncio.to_thread(true):
        asyncio.get_running_loop().call_later(0.02, tick.set)
        await tick.wait()
        tick.clear()


async def test_a_middlebox_is_one_finding_and_claims_no_coverage(store: Store, settings: Settings) -> None:
    asked: list[int] = []

    async def ask(listener: Listener) -> Findings:
        asked.append(listener.port)
        return await is_web(listener)

    # A host that accepts on every high port is more sockets than a test should open: only the ports
    # that will be tried accept, which is what the scan can see of such a host.
    servers = [await asyncio.start_server(answer, "127.82.7.1", port) for port in range(28100, 28160)]
    trap = [await asyncio.start_server(answer, "127.82.7.1", port) for port in (60001, 60002, 60003)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scanner.sources.subnet.confirming_ports", lambda used, chance: [60001, 60002, 60003])
        scan = await Runner(store, settings, ask).run(scope("127.82.7.1", ports="28100-28159", rate=2000))
    assert scan.status is ScanStatus.COMPLETE
    assert "127.82.7.1 accepts connections on every port" in (scan.reason or "")
    assert scan.account.answered == 60
    assert len(asked) <= 8
    (one,) = store.endpoints.list("kind:not-http")
    assert (one.port, one.catch_all) == (28100, True)
    assert not scan.covers("127.82.7.1", 28100)
    trap[0].close()
    asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scanner.sources.subnet.confirming_ports", lambda used, chance: [60001, 60002, 60003])
        await Runner(store, settings, ask).run(scope("127.82.7.1", ports="28100-28159", rate=2000))
    assert sorted(asked) == list(range(28100, 28160))
    for server in servers + trap:
        server.close()
