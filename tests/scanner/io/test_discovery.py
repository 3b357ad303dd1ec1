import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from scanner.io.discovery import accepts, connect_scan, resolve
from scanner.manners import Manners
from scanner.tally import Pair


@pytest.fixture
async def server() -> AsyncIterator[Pair]:
    listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.83.0.1", 0, backlog=4096)
    yield listening.sockets[0].getsockname()
    listening.close()


async def test_every_probe_is_reported(server: Pair) -> None:
    found, probes = [], 0
    scan = connect_scan(iter([server, ("127.83.0.2", server[1])] * 200), Manners.at(50_000), patience=1, in_flight=64)
    async with asyncio.timeout(10), aclosing(scan) as tallies:
        async for tally in tallies:
            found += tally.answered
            probes += tally.probes
    assert found == [server] * 200
    assert probes == 400


async def test_an_error_in_the_thread_is_an_error_here() -> None:
    def pairs() -> Iterator[Pair]:
        yield ("127.83.0.2", 1)
        raise RuntimeError("the plan is broken")

    async with (
        asyncio.timeout(10),
        aclosing(connect_scan(pairs(), Manners.at(1000), patience=1, in_flight=4)) as tallies,
    ):
        with pytest.raises(RuntimeError, match="the plan is broken"):
            _ = [tally async for tally in tallies]


async def test_closing_it_ends_its_thread(server: Pair) -> None:
    def pairs() -> Iterator[Pair]:
        while True:
            yield server

    scan = connect_scan(pairs(), Manners.at(1000), patience=1, in_flight=4)
    async with asyncio.timeout(10):
        async with aclosing(scan) as tallies:
            await anext(tallies)
            assert any(thread.name.startswith("discovery") for thread in threading.enumerate())
        assert not any(thread.name.startswith("discovery") for thread in threading.enumerate())


async def test_a_reader_that_stops_reading_holds_the_probes_back(server: Pair) -> None:
    taken = 0

    def pairs() -> Iterator[Pair]:
        nonlocal taken
        while True:
            taken += 1
            yield server

    async with (
        asyncio.timeout(30),
        aclosing(connect_scan(pairs(), Manners.at(10**6), patience=5, in_flight=64)) as tallies,
    ):
        await anext(tallies)
        before = -1
        while taken != before:
            before = taken
            await asyncio.to_thread(threading.Event().wait, 0.3)
        # Sixteen unread reports, of 256 answers each or of a tenth of a second, one that waits, and what is in flight.
        assert 16 <= taken < 20 * 512


async def test_single_ports(server: Pair) -> None:
    assert await accepts(*server, patience=1)
    assert not await accepts("127.83.0.2", server[1], patience=1)


async def test_a_host_name_becomes_addresses() -> None:
    assert "127.0.0.1" in await resolve("localhost")
