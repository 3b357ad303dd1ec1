"""A machine over a connection: forbidden questions, an end at the first answer, and a machine that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inventory.model import Exposed, Listener, Scheme
from scanner.exchange import Answer, Request
from scanner.findings import Finding, Limits
from scanner.identify import Machine
from scanner.interview import Interview
from scanner.io.http import HttpConnection
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger

KNOWLEDGE = load_knowledge()
LIMITS = Limits(connect=1.0, answer=1.0)
FOUND = (Finding(fact=Exposed(scheme=Scheme.HTTP)),)
QUICK = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def host() -> AsyncIterator[Listener]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(QUICK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
    for _ in range(10):
        await asyncio.sleep(0)


def asking(*paths: str) -> Machine:
    for path in paths:
        answer = yield Request("GET", path, path)
        assert answer.request.path == path
        assert answer.outcome == ("forbidden" if path == "/3/Ping" else "answered")
    return FOUND


async def interview(machine: Machine, *, most: int = 99) -> tuple[tuple[Finding, ...] | None, Ledger, int]:
    """What came of it, its ledger, and how many answers were heeded."""
    heeded = 0

    def heed(_answer: Answer) -> bool:
        nonlocal heeded
        heeded += 1
        return heeded < most

    ledger = Ledger(KNOWLEDGE)
    async with host() as listener:
        connection = HttpConnection(listener.address, listener.port, LIMITS)
        try:
            found = await Interview(machine, connection, ledger, listener, heed).run()
        finally:
            connection.close()
    return found, ledger, heeded


async def test_what_is_forbidden_is_answered_and_not_sent() -> None:
    found, ledger, heeded = await interview(asking("/a", "/3/Ping", "/3/Ping", "/b"))
    assert found == FOUND
    assert heeded == ledger.requests == 2
    assert len(ledger.refusals) == 2


async def test_a_machine_that_may_ask_nothing_ends_too() -> None:
    assert (await interview(asking("/3/Ping")))[0] == FOUND
    assert (await interview(asking()))[0] == FOUND


async def test_an_answer_that_is_not_heeded_ends_it() -> None:
    found, ledger, _ = await interview(asking("/a", "/b", "/c"), most=2)
    assert found is None
    assert ledger.requests == 2


@pytest.mark.parametrize("after", [0, 1])
async def test_a_machine_that_fails_fails_where_it_is_awaited(after: int) -> None:
    def failing() -> Machine:
        for _ in range(after):
            yield Request("GET", "/a", "/a")
        raise LookupError("a fault of the machine")

    with pytest.raises(LookupError, match="a fault of the machine"):
        await interview(failing())


async def test_cancelling_drops_the_connection() -> None:
    gone = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        gone.set()
        writer.transport.abort()

    asked = asyncio.Event()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        listener = Listener(site="lab", address="127.0.0.1", port=port)
        connection = HttpConnection(listener.address, port, Limits(answer=60))
        task = asyncio.create_task(
            Interview(asking("/a"), connection, Ledger(KNOWLEDGE), listener, lambda _: True).run()
        )
        async with asyncio.timeout(20):
            await asked.wait()
            task.cancel()
            await gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


def announcing(first: str, *others: str) -> Machine:
    """Ask for one path, and announce the others, which are asked for whatever comes."""
    ahead = tuple(Request("GET", path, path) for path in others)
    for number, path in enumerate((first, *others)):
        answer = yield Request("GET", path, path, ahead[number:])
        assert (answer.request.path, answer.status) == (path, None if path == "/3/Ping" else 404)
    return FOUND


@pytest.mark.parametrize("keeps", [99, 4, 2, 1])
async def test_what_is_announced_goes_out_together_and_what_is_lost_is_asked_again(keeps: int) -> None:
    heads: list[list[bytes]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = keeps
        while left and (data := await reader.read(65536)):
            heads.append([part.split(b" ")[1] for part in data.split(b"\r\n\r\n") if part])
            answered = heads[-1][:left]
            writer.write(QUICK * len(answered))
            left -= len(answered)
        writer.transport.abort() if keeps == 1 else writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    ledger = Ledger(KNOWLEDGE)

    def machine() -> Machine:
        yield Request("GET", "/first", "/first")
        return (yield from announcing("/a", "/b", "/3/Ping", "/c", "/d"))

    async with server:
        listener = Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
        connection = HttpConnection(listener.address, listener.port, LIMITS)
        found = await Interview(machine(), connection, ledger, listener, lambda _: True).run()
        connection.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert found == FOUND
    assert [asked.path for asked in ledger.asked(listener)] == ["/first", "/a", "/b", "/c", "/d"]
    assert not any(b"/3/Ping" in head for head in heads)
    if keeps == 99:
        assert heads == [[b"/first"], [b"/a", b"/b", b"/c", b"/d"]]
