"""Scans that were stopped or killed, and go on from their checkpoint."""

import asyncio
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from inventory.model import Exposed, Listener, ScanStatus, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import Store, open_store
from scanner.findings import Finding
from scanner.plan import Shard
from scanner.runner import Runner

ROOT = Path(__file__).parents[2]
NETWORK, PORTS, PLANNED = "127.86.0.0/22", "28100-28101", 2048
OPEN = [(f"127.86.{number % 4}.{number * 5}", 28100) for number in range(1, 50)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=f"sqlite:///{tmp_path / 'inventory.db'}", state_folder=tmp_path, scan_timeout=0.5)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.database) as opened:
        yield opened


@pytest.fixture
async def accepted() -> AsyncIterator[Counter[str]]:
    """How often each server was connected to."""
    counts: Counter[str] = Counter()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts[writer.get_extra_info("sockname")[0]] += 1
        writer.close()

    started = [await asyncio.start_server(accept, *pair) for pair in OPEN]
    yield counts
    for server in started:
        server.close()


async def is_open(listener: Listener) -> tuple[Finding, ...]:
    return (Finding(fact=Exposed(scheme=Scheme.HTTP)),)


def scope(**parts: object) -> Scope:
    defaults = {"name": "lab", "targets": (NETWORK,), "ports": PORTS, "rate": 4000, "created_at": utc_now()}
    return Scope.model_validate(defaults | parts)


def addresses(store: Store) -> list[str]:
    return sorted(endpoint.address for endpoint in store.endpoints.list())


async def stopped_at(runner: Runner, percent: float, *, rate: int = 4000, **options: object):
    """A scan that is stopped at a part of the whole. Slowly, where it must not have come to its end by then."""
    stop = asyncio.Event()
    return await runner.run(
        scope(rate=rate), stop=stop, report=lambda state: stop.set() if state.percent >= percent else None, **options
    )


async def test_a_stopped_scan_goes_on_and_comes_to_the_same_end(
    store: Store, settings: Settings, accepted: Counter[str]
) -> None:
    runner = Runner(store, settings, is_open)
    first = await stopped_at(runner, 40, rate=600)
    assert first.status is ScanStatus.INCOMPLETE
    assert first.checkpoint is not None
    begun = sum(accepted.values())
    assert 0 < begun < len(OPEN)
    done = await runner.run(scope(), resume=True)
    assert (done.id, done.started_at, done.status) == (first.id, first.started_at, ScanStatus.COMPLETE)
    gone = re.search(r"it went on after (\d+) probes", done.reason or "")
    assert gone is not None
    # Not only where everything had settled, but all that had gone.
    assert first.checkpoint.position <= int(gone[1]) < PLANNED
    assert done.checkpoint is None
    assert (done.account.planned, done.account.answered) == (PLANNED, len(OPEN))
    assert (done.account.refused, done.account.unprobed) == (PLANNED - len(OPEN), 0)
    assert addresses(store) == sorted(address for address, _ in OPEN)
    assert first.checkpoint.position > PLANNED / 3
    assert set(accepted.values()) == {1}
    assert len(store.scans.list()) == 1
    assert list((settings.state_folder / "records").iterdir()) == []


async def test_open_ports_that_were_not_asked_to_the_end_are_asked(
    store: Store, settings: Settings, accepted: Counter[str]
) -> None:
    async def never(listener: Listener) -> tuple[Finding, ...]:
        await asyncio.Event().wait()
        return ()

    first = await stopped_at(Runner(store, settings, never), 99)
    assert first.checkpoint is not None
    assert len(first.checkpoint.unasked) == len(OPEN)
    assert addresses(store) == []
    done = await Runner(store, settings, is_open).run(scope(), resume=True)
    assert (done.id, done.status) == (first.id, ScanStatus.COMPLETE)
    assert addresses(store) == sorted(address for address, _ in OPEN)
    assert set(accepted.values()) == {1}


@pytest.mark.usefixtures("accepted")
async def test_another_plan_or_shard_or_a_complete_scan_begins_anew(store: Store, settings: Settings) -> None:
    runner = Runner(store, settings, is_open)
    first = await stopped_at(runner, 30)
    shard = await runner.run(scope(rate=50_000), shard=Shard(1, 2), resume=True)
    other = await runner.run(scope(rate=50_000, ports="28100"), resume=True)
    after = await runner.run(scope(rate=50_000), resume=True)
    again = await runner.run(scope(rate=50_000), resume=True)
    assert len({one.id for one in (first, shard, other, after, again)}) == 5
    assert [one.account.unprobed for one in (shard, other, after, again)] == [0] * 4


KILLED = """
import asyncio, sys
from pathlib import Path
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.findings import Finding
from scanner.runner import Runner

async def ask(listener):
    return (Finding(fact=Exposed(scheme=Scheme.HTTP)),)

folder, network, ports, rate = sys.argv[1:]
settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), scan_timeout=0.5)
scope = Scope(name="lab", targets=(network,), ports=ports, rate=int(rate), created_at=utc_now())
with open_store(settings.database) as store:
    print(asyncio.run(Runner(store, settings, ask).run(scope, resume=True)).status)
"""


async def test_a_scan_that_is_killed_again_and_again_loses_nothing(
    store: Store, settings: Settings, accepted: Counter[str]
) -> None:
    command = [sys.executable, "-c", KILLED, str(settings.state_folder), NETWORK, PORTS, "250"]
    kills, before = 0, -1
    while kills < 3:
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, cwd=ROOT)
        async with asyncio.timeout(30):
            while (position := settled(settings)) <= before:
                await asyncio.to_thread(signal.sigtimedwait, [], 0.05)
        before = position
        process.send_signal(signal.SIGKILL)
        await process.wait()
        kills += 1
    (killed,) = store.scans.list()
    assert killed.status is ScanStatus.RUNNING
    done = await Runner(store, settings, is_open).run(scope(rate=50_000), resume=True)
    assert (done.id, done.status) == (killed.id, ScanStatus.COMPLETE)
    assert (done.account.answered, done.account.refused) == (len(OPEN), PLANNED - len(OPEN))
    assert addresses(store) == sorted(address for address, _ in OPEN)


def settled(settings: Settings) -> int:
    with open_store(settings.database) as store:
        scans = store.scans.list()
    return scans[0].checkpoint.position if scans and scans[0].checkpoint else -1
