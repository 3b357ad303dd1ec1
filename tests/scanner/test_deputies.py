"""Questions by other processes: what they find, what they drop, and that none outlives its parent."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from inventory.model import Identified, Listener, Questioned
from inventory.settings import Settings
from scanner.asking import Asker
from scanner.deputies import Deputies, Deputy
from scanner.deputy import _Desk
from scanner.findings import AskingEnded, Finding, Limits
from scanner.io.words import Kind, Words
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questioning import Questioning
from scanner.questions import question

LIMITS = Limits(connect=2.0, answer=5.0, host=20.0)
OURS = """
id: our-oven
name: Our oven
kind: model-endpoint
about: It bakes.
signals:
  - {on: root, when: {title: '^Bakery$'}, weight: 1, proves: "a page titled Bakery"}
  - {on: GET /oven, when: {status: 200, json: {has: [degrees]}}, weight: 9, proves: "how hot the oven is"}
source: ours; primary
"""


class Hosts:
    """Listeners that answer as they are told, or hold their answer, and what came to them."""

    def __init__(self, hold: bool = False) -> None:
        self.asked: list[str] = []
        self.now = 0
        self._hold = hold
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.now += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                self.asked.append(f"{method} {path}")
                if self._hold:
                    # Until the other side has had enough.
                    await reader.read()
                    return
                body = b'{"degrees": 180}' if path == "/oven" else b"<title>Bakery</title>"
                status = "200 OK" if path in {"/", "/oven"} else "404 Not Found"
                kind = "application/json" if path == "/oven" else "text/html"
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                )
                writer.write(body)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has had enough
        finally:
            self.now -= 1
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self, many: int) -> AsyncIterator[list[Listener]]:
        servers = [await asyncio.start_server(self.serve, "127.0.0.1", 0) for _ in range(many)]
        try:
            yield [Listener(site="lab", address="127.0.0.1", port=s.sockets[0].getsockname()[1]) for s in servers]
        finally:
            for server in servers:
                server.close()
            await let_the_loop_turn()
            await until(lambda: not self.now)
            await asyncio.gather(*(task for task in self._tasks if task), return_exceptions=True)
            await let_the_loop_turn()


async def let_the_loop_turn() -> None:
    """Connections that were just accepted get their handler, and those just dropped are closed."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not so():  # noqa: ASYNC110 - the other process tells nobody
            await asyncio.sleep(0.001)


@asynccontextmanager
async def deputies(size: int = 1, signatures: Path | None = None) -> AsyncIterator[Deputies]:
    made = Deputies(size, LIMITS, signatures)
    try:
        await until(lambda: made.freest() is not None)
        yield made
    finally:
        made.dismiss()
        await let_the_loop_turn()


def freest(of: Deputies) -> Deputy:
    found = of.freest()
    assert found is not None
    return found


def timeless(findings: tuple[Finding, ...]) -> list[object]:
    """The findings without how long each answer took, and without the random word in a path."""
    told: list[object] = []
    for finding in findings:
        if isinstance(finding.fact, Questioned):
            told.append([(one.method, one.path[:8], one.status, one.digest) for one in finding.fact.requests])
        else:
            told.append(finding)
    return told


async def test_another_process_finds_what_this_one_does() -> None:
    hosts = Hosts()
    async with hosts.listening(1) as (listener,), deputies() as others:
        there = await freest(others).ask(listener)
        knowledge = load_knowledge()
        here = await question(listener, knowledge, LIMITS, Ledger(knowledge))
    assert timeless(there) == timeless(here)
    assert any(isinstance(finding.fact, Identified) for finding in there)


async def test_signatures_of_the_user_hold_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "our-oven.yaml").write_text(OURS)
    hosts = Hosts()
    async with hosts.listening(1) as (listener,), deputies(signatures=tmp_path) as others:
        found = await freest(others).ask(listener)
    assert "GET /oven" in hosts.asked
    assert "our-oven" in {finding.fact.product for finding in found if isinstance(finding.fact, Identified)}


async def test_whoever_is_asked_no_more_loses_the_connection_at_once() -> None:
    hosts = Hosts(hold=True)
    async with hosts.listening(1) as (listener,), deputies() as others:
        asking = asyncio.create_task(freest(others).ask(listener))
        await until(lambda: bool(hosts.asked))
        asking.cancel()
        await until(lambda: not hosts.now)
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert freest(others).load == 0


async def test_who_was_asked_by_a_process_that_is_killed_stays_unasked() -> None:
    hosts = Hosts(hold=True)
    done: list[Listener] = []
    async with hosts.listening(4) as listeners:
        asker = Asker(Settings(), many=1, most=2)
        others = asker.begin()
        assert others is not None
        await until(lambda: others.freest() is not None)
        asking = Questioning(asker, lambda listener, _: done.append(listener), concurrency=3)
        for listener in listeners:
            await asking.put(listener)
        await until(lambda: hosts.now == 3)
        os.kill(others.pid, signal.SIGKILL)
        with pytest.raises(AskingEnded, match="scan again with --resume"):
            await asking.finish()
        assert set(asking.unasked) == set(listeners)
        with pytest.raises(AskingEnded):
            await asking.put(listeners[0])
        await asking.cancel()
    assert not done
    assert asker.begun is None


async def test_further_processes_ask_where_there_are_many_and_end_when_there_are_none() -> None:
    hosts = Hosts()
    found: dict[Listener, object] = {}
    async with hosts.listening(40) as listeners:
        asker = Asker(Settings(), many=20, most=2)
        asking = Questioning(asker, found.__setitem__, concurrency=19)
        for listener in listeners[:30]:
            await asking.put(listener)
        assert asker.begun is None
        await asking.finish()
        held = [asyncio.create_task(asker(listener)) for listener in listeners[:20]]
        await asyncio.sleep(0)
        others = asker.begun
        assert others is not None
        await asyncio.gather(*held)
        assert asker.begun is None
        assert not lives(others.pid)
    assert found.keys() == set(listeners[:30])


async def test_one_process_asks_alone_where_no_other_can_be_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    # An interpreter that is not there is a process that cannot be begun.
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    hosts = Hosts()
    async with hosts.listening(2) as listeners:
        asker = Asker(Settings(), many=1, most=2)
        found = await asyncio.gather(*map(asker, listeners))
    assert asker.begun is None
    assert all(any(isinstance(one.fact, Identified) for one in findings) for findings in found)


@pytest.mark.parametrize(
    ("kind", "held", "error"),
    [(Kind.FAILED, b"KeyError: 'x'", "KeyError: 'x'"), (Kind.FOUND, b'[{"fact": 1}]', "fact")],
)
async def test_what_makes_no_sense_fails_one_listener_alone(kind: Kind, held: bytes, error: str) -> None:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    deputy = Deputy(count(1))
    await loop.create_connection(deputy.listen, sock=ours)

    def answer(number: int, _kind: Kind, _held: bytes) -> None:
        other.say(99, Kind.FOUND, b"[]")  # nobody asked
        other.say(number, *((kind, held) if number == 1 else (Kind.FOUND, b"[]")))

    _, other = await loop.create_connection(lambda: Words(answer, lambda: None), sock=theirs)
    listener = Listener(site="lab", address="127.0.0.1", port=1)
    bad, good = await asyncio.gather(deputy.ask(listener), deputy.ask(listener), return_exceptions=True)
    assert isinstance(bad, RuntimeError | ValueError)
    assert error in str(bad)
    assert good == ()
    deputy.words.close()
    other.close()
    await until(lambda: deputy.over)
    await let_the_loop_turn()
    with pytest.raises(AskingEnded):
        await deputy.ask(listener)


async def test_a_defect_is_told_with_where_it_was_and_printed_by_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(_: Listener) -> tuple[Finding, ...]:
        raise KeyError("\x1b[2Ja title")

    loop = asyncio.get_running_loop()
    desk, deputy = _Desk(load_knowledge()), Deputy(count(1))
    desk._ask = fail
    ours, theirs = socket.socketpair()
    await loop.create_connection(deputy.listen, sock=ours)
    transport, _ = await loop.create_connection(desk.listen, sock=theirs)
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*in fail.*a title"):
        await deputy.ask(Listener(site="lab", address="127.0.0.1", port=1))
    # Who leaves ends the process: this end goes first, without a word.
    transport.set_protocol(asyncio.Protocol())
    deputy.words.close()
    transport.close()
    await let_the_loop_turn()
    assert capfd.readouterr() == ("", "")


BEGIN = """
import sys
from scanner.io.crew import Crew
crew = Crew(2)
crew.sockets[0].sendall(b"")
print(crew.pid, flush=True)
sys.stdin.read()
"""


def test_no_process_outlives_the_one_that_began_it() -> None:
    with subprocess.Popen([sys.executable, "-c", BEGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        first = int(parent.stdout.readline())
        children = Path(f"/proc/{first}/task/{first}/children")
        deadline = time.monotonic() + 30
        while not (second := children.read_text().split()) and time.monotonic() < deadline:
            os.sched_yield()
        parent.kill()
    both = [first, *map(int, second)]
    while any(map(lives, both)) and time.monotonic() < deadline:
        os.sched_yield()
    assert len(both) == 2
    assert not any(map(lives, both))


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
