"""The recorder on real files and a real database, as gateways, kills and full disks treat it."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from calling import Groups, line_of
from following import DEADLINE, append, running, until

from inventory.model import Access, ApiKey, Issuer, RateLimit, utc_now
from inventory.store import Store, open_store
from router.audit.decide import InForce
from router.audit.log import Log
from router.audit.recorder import Recorder
from router.shadow.tail import prepare

IDP = Issuer(name="idp", url="https://idp", audiences=("gnomon",), attributes={"team": "org.team"})


def in_force() -> InForce:
    routes = {"churn": Access(limits=(RateLimit(by="team", requests=1, seconds=3600),))}
    return InForce(1, Groups("churn", "risk"), Groups("risk"), {IDP.url: IDP}, {}, routes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "calls" / "calls.jsonl"
    prepare(file)
    return file


def unread(path: Path) -> bytes:
    return path.read_bytes().strip(b"\0")


def ids(store: Store) -> list[str]:
    return sorted(one.id for one in store.calls.list(limit=10**6))


async def test_calls_are_recorded_with_both_decisions_and_their_callers(store: Store, path: Path) -> None:
    async with running(Recorder(store, path, in_force)):
        append(path, line_of(1), line_of(2, iss=None, sub=None, claims=None), b"no line\n", line_of(3, route=None))
        append(path, line_of(4)[:30])
        await until(lambda: store.calls.count() == 2)
        append(path, line_of(4)[30:])
        await until(lambda: store.calls.count() == 3)
    third, second, first = store.calls.list()
    assert first.enforced is not None
    assert (first.enforced.allowed, first.enforced.policies) == (True, ("team-churn",))
    assert first.candidate is not None
    assert (first.candidate.allowed, first.over, third.over) == (False, (), ("team",))
    assert (second.principal, second.network, second.client) == ("", "10.1.2.0/24", "python-requests/2.32")
    [ana] = store.principals.list()
    assert (ana.id, ana.attributes, ana.first_seen) == ("https://idp|ana", {"team": "churn"}, first.at)
    recording = store.calls.recording("local")
    assert recording is not None
    assert (recording.recorded, recording.lost, recording.behind) == (3, 1, 0)
    assert store.calls.verify().broken is None
    assert unread(path) == b""


async def test_what_is_known_of_a_caller_counts_where_the_call_proves_nothing(store: Store, path: Path) -> None:
    now = utc_now()
    key = ApiKey(
        id="abcd1234", digest="0" * 64, owner="ana", attributes={"team": "risk"}, created_at=now, expires_at=now
    )
    known = in_force()._replace(keys={key.id: key})
    append(path, line_of(1))
    async with running(Recorder(store, path, lambda: known)):
        await until(lambda: store.calls.count() == 1)
    none: dict[str, None] = {"claims": None}
    append(path, line_of(2, id="https://idp|ana", **none), line_of(3, id="key:abcd1234", **none))
    async with running(Recorder(store, path, lambda: known)):
        await until(lambda: store.calls.count() == 3)
    by_key, by_token, _ = store.calls.list()
    assert by_token.enforced is not None
    assert by_token.enforced.policies == ("team-churn",)
    assert by_key.candidate is not None
    assert by_key.candidate.policies == ("team-risk",)
    assert store.principals.get("key:abcd1234").attributes == {"team": "risk"}


CHILD = """
import asyncio
from pathlib import Path
from inventory.store import open_store
from router.audit import recorder
from test_recorder import in_force
recorder.CALLS_AT_ONCE, recorder.SAVE_EVERY = 50, 0.005
with open_store({url!r}) as store:
    asyncio.run(recorder.Recorder(store, Path({path!r}), in_force).run(asyncio.Event()))
"""


def test_kills_at_any_instant_neither_lose_nor_repeat_a_line(tmp_path: Path, path: Path) -> None:
    url, root = f"sqlite:///{tmp_path}/inventory.db", str(Path(__file__).parents[3])
    child = CHILD.format(url=url, path=str(path))
    total, written, done = 6000, 0, threading.Event()
    folders = [root, f"{root}/tests/support", str(Path(__file__).parent)]

    def write() -> None:
        nonlocal written
        while written < total and not done.is_set():
            append(path, *(line_of(number) for number in range(written, written + 20)))
            written += 20
            done.wait(0.005)

    with open_store(url) as store:
        writer = threading.Thread(target=write)
        writer.start()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        try:
            for round_ in range(8):
                began = store.calls.count()
                with subprocess.Popen([sys.executable, "-c", child], env=environment) as process:
                    deadline = time.monotonic() + DEADLINE
                    while store.calls.count() <= began and written < total and time.monotonic() < deadline:
                        done.wait(0.002 * (round_ + 1))
                    process.send_signal(signal.SIGKILL)
            writer.join()
        finally:
            done.set()
            writer.join()

        async def rest() -> None:
            async with running(Recorder(store, path, in_force)):
                await until(lambda: store.calls.count() >= total)

        asyncio.run(rest())
        assert ids(store) == sorted(f"r{number}" for number in range(total))
        assert store.calls.verify()[:3][1:] == (total, 0)
        assert store.calls.verify().broken is None


async def test_while_the_disk_is_full_calls_wait_and_are_caught_up_with(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        # A limit below the size that a database has already is that size: it cannot grow by a page.
        connection.execute(f"PRAGMA max_page_count = {1 if full.is_set() else 2**30}").close()

    sa.event.listen(store._database.engine, "checkout", limit)
    monkeypatch.setattr("router.audit.recorder.AGAIN_AFTER", 0.01)
    recorder = Recorder(store, path, in_force)
    async with running(recorder):
        append(path, line_of(1))
        await until(lambda: store.calls.count() == 1)
        full.set()
        append(path, *(line_of(number) for number in range(2, 1000)))
        await until(lambda: recorder.failing != "")
        assert "full" in recorder.failing
        assert store.calls.count() == 1
        full.clear()
        await until(lambda: store.calls.count() == 999)
        await until(lambda: recorder.failing == "")
    assert len(set(ids(store))) == 999
    assert store.calls.verify().broken is None


async def test_more_than_may_wait_is_given_up_and_counted_through_a_kill(store: Store, path: Path) -> None:
    async with running(Recorder(store, path, in_force)):
        append(path, line_of(1))
        await until(lambda: store.calls.count() == 1)
    append(path, *(line_of(number) for number in range(2, 10_002)))
    waiting = len(unread(path))
    first = Log(path).shed(waiting // 2)
    second = Log(path).shed(waiting // 10)
    assert first > 0
    assert second > first
    assert Log(path).shed(waiting) == 0
    async with running(Recorder(store, path, in_force)):
        await until(lambda: store.calls.count() + second == 10_001)
    recording = store.calls.recording("local")
    assert recording is not None
    assert (recording.recorded + recording.lost, recording.lost) == (10_001, second)
    assert store.calls.verify().lost == second


async def test_a_file_that_is_replaced_is_read_to_its_end_first(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.audit.log.QUIET_SECONDS", 0.3)
    gateway = path.open("ab", buffering=0)
    opened = asyncio.Event()

    async def reopen() -> None:
        opened.set()

    try:
        async with running(Recorder(store, path, in_force, reopen=reopen, rotate_at=1000)):
            for number in range(10):
                gateway.write(line_of(number))
            await asyncio.wait_for(opened.wait(), DEADLINE)
            gateway.write(line_of(10))
            append(path, line_of(11))
            await until(lambda: store.calls.count() == 12)
            await until(lambda: not path.with_name("calls.jsonl.old").exists())
    finally:
        gateway.close()
    assert len(set(ids(store))) == 12


async def test_old_calls_go_after_their_time(store: Store, path: Path) -> None:
    append(path, line_of(1, at=1_600_000_000_000))
    async with running(Recorder(store, path, in_force)):
        await until(lambda: store.calls.count() == 1)
    append(path, line_of(2, at=int(utc_now().timestamp() * 1000)))
    async with running(Recorder(store, path, in_force)):
        await until(lambda: store.calls.count() == 2)
    async with running(Recorder(store, path, in_force, keep=timedelta(days=30))):
        await until(lambda: ids(store) == ["r2"])
    assert store.calls.verify().broken is None
