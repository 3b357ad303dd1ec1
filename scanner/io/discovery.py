"""The scans of ports as seen from asyncio, and single connections."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from scanner.io.connect import Begun, ConnectScan
from scanner.io.prober import Prober, SynProbing
from scanner.io.record import Record
from scanner.io.sockets import connected_to_itself, has_route
from scanner.io.ways import Way
from scanner.manners import Manners
from scanner.plan import Plan
from scanner.tally import Pair, Tally

_UNREAD_REPORTS = 16


class _Scan(Protocol):
    def run(self) -> None: ...
    def stop(self) -> None: ...


def connect_scan(
    pairs: Iterator[Pair], manners: Manners, *, patience: float, in_flight: int, begun: Begun | None = None
) -> AsyncGenerator[Tally, None]:
    """Probe pairs by connecting, in a thread, yielding what happened. Close it (``aclosing``) to end it early.

    A reader that falls behind holds the probes back. ``patience`` is how many seconds a
    connection may take. What was ``begun`` before goes on.
    """
    return _in_thread(
        lambda deliver: ConnectScan(pairs, manners, deliver, timeout=patience, in_flight=in_flight, begun=begun)
    )


def syn_scan(
    prober: Prober, plan: Plan, ways: tuple[Way, ...], manners: Manners, *, patience: float, record: Record
) -> AsyncGenerator[Tally, None]:
    """The same by SYN frames of another process, from the base of a record, of a plan whose every address has a way.

    Raises OSError where a link fails.
    """
    return _in_thread(
        lambda deliver: SynProbing(prober, plan, ways, manners, deliver, patience=patience, record=record)
    )


async def _in_thread(make: Callable[[Callable[[Tally], None]], _Scan]) -> AsyncGenerator[Tally, None]:
    loop = asyncio.get_running_loop()
    reports: asyncio.Queue[Tally | None] = asyncio.Queue()
    room = threading.Semaphore(_UNREAD_REPORTS)
    ending = threading.Event()

    def deliver(tally: Tally) -> None:
        while not ending.is_set() and not room.acquire(timeout=0.1):
            pass
        loop.call_soon_threadsafe(reports.put_nowait, tally)

    scan = make(deliver)
    with ThreadPoolExecutor(1, thread_name_prefix="discovery") as thread:
        work = loop.run_in_executor(thread, scan.run)
        work.add_done_callback(lambda _: reports.put_nowait(None))
        try:
            while (tally := await reports.get()) is not None:
                room.release()
                yield tally
            await work
        finally:
            ending.set()
            scan.stop()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({work})


async def accepts(address: str, port: int, patience: float) -> bool:
    """Whether a port accepts a connection within ``patience`` seconds. It is closed again at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except OSError:
            return False
        return not connected_to_itself(sock)


async def resolve(name: str) -> tuple[str, ...]:
    """The addresses of a host name, sorted. Raises OSError where it has none.

    Addresses of a family that this machine cannot send to are left out while there are others.
    """
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    addresses = sorted({str(entry[4][0]) for entry in found})
    return tuple(filter(has_route, addresses)) or tuple(addresses)
