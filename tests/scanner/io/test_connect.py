import errno
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from scanner.io.connect import ConnectScan
from scanner.io.sockets import connected_to_itself, most_in_flight, reason_of
from scanner.manners import Manners
from scanner.tally import Pair, Tally

ROOT = Path(__file__).parents[3]


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(sockets: ExitStack, address: str, port: int = 0, backlog: int = 128) -> Pair:
    server = sockets.enter_context(socket.socket())
    server.bind((address, port))
    server.listen(backlog)
    return server.getsockname()


def closed_port(address: str) -> Pair:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        return sock.getsockname()


def silent(sockets: ExitStack, address: str) -> Pair:
    """A listener whose queue is full: Linux drops the SYN of everyone else."""
    pair = listening(sockets, address, backlog=0)
    for _ in range(2):
        waiting = sockets.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(pair)
    return pair


def scan(pairs: list[Pair], timeout: float = 0.5, in_flight: int = 64, rate: float = 100_000) -> Tally:
    total = Tally()

    def add(tally: Tally) -> None:
        total.answered += tally.answered
        total.refused += tally.refused
        total.silent += tally.silent
        total.forbidden += tally.forbidden
        total.lost += tally.lost

    ConnectScan(iter(pairs), Manners.at(rate), add, timeout=timeout, in_flight=in_flight).run()
    assert total.probes == len(pairs)
    return total


def test_each_probe_is_in_the_account_once(sockets: ExitStack) -> None:
    opened = [listening(sockets, f"127.81.0.{host}") for host in range(1, 40)]
    shut = [closed_port(f"127.81.1.{host}") for host in range(1, 60)]
    mute = [silent(sockets, f"127.81.2.{host}") for host in range(1, 4)]
    mixed = [pair for group in zip(shut, opened + mute, strict=False) for pair in group] + shut[42:]
    total = scan(mixed, in_flight=16)
    assert sorted(total.answered) == sorted(opened)
    assert (total.refused, total.silent, total.lost) == (59, 3, {})


def test_ipv6(sockets: ExitStack) -> None:
    server = socket.socket(socket.AF_INET6)
    sockets.enter_context(closing(server))
    try:
        server.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 on loopback: {error}")
    server.listen()
    port = server.getsockname()[1]
    assert scan([("::1", port)]).answered == [("::1", port)]


def test_a_probe_that_cannot_leave_is_never_called_silent() -> None:
    # The limited broadcast address takes no connections: the kernel refuses to send.
    total = scan([("255.255.255.255", 80)])
    assert total.silent == total.refused == 0
    assert total.forbidden + total.lost.total() == 1


def test_a_connection_that_is_reset_at_once_was_still_accepted(sockets: ExitStack) -> None:
    pair = listening(sockets, "127.81.3.1")
    assert scan([pair, pair, pair]).answered == [pair] * 3


def test_a_socket_that_meets_itself_is_no_listener() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert connected_to_itself(sock)
    with socket.socket() as unconnected:
        assert not connected_to_itself(unconnected)


def test_a_reader_that_is_slow_makes_nobody_silent(sockets: ExitStack) -> None:
    pairs = [listening(sockets, f"127.81.4.{host}") for host in range(1, 41)]
    seen: list[Pair] = []
    silent_ones = 0

    def slow(tally: Tally) -> None:
        nonlocal silent_ones
        seen.extend(tally.answered)
        silent_ones += tally.silent
        threading.Event().wait(0.15)

    ConnectScan(iter(pairs), Manners.at(2000), slow, timeout=0.1, in_flight=64).run()
    assert sorted(seen) == sorted(pairs)
    assert silent_ones == 0


def test_stopping_is_quick_and_what_was_in_flight_is_not_counted(sockets: ExitStack) -> None:
    mute = silent(sockets, "127.81.5.1")
    first = threading.Event()
    counted = 0

    def pairs() -> Iterator[Pair]:
        yield mute
        first.set()
        while True:
            yield mute

    def add(tally: Tally) -> None:
        nonlocal counted
        counted += tally.probes

    probing = ConnectScan(pairs(), Manners.at(100), add, timeout=60, in_flight=1000)
    thread = threading.Thread(target=probing.run)
    thread.start()
    assert first.wait(5)
    began = time.monotonic()
    probing.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    assert counted == 0


def test_the_rate_is_held() -> None:
    shut = closed_port("127.81.6.1")
    began = time.monotonic()
    scan([shut] * 600, rate=1000)
    assert 0.58 <= time.monotonic() - began < 5


def test_running_out_of_files_delays_probes_and_loses_none() -> None:
    code = (
        "import resource, socket\n"
        "from scanner.io.connect import *\n"
        "from scanner.manners import Manners\n"
        "servers = [socket.create_server((f'127.81.7.{n}', 0), backlog=0) for n in range(1, 9)]\n"
        "pairs = [server.getsockname() for server in servers]\n"
        "full = []\n"
        "for pair in pairs:\n"
        "    for _ in range(2):\n"
        "        sock = socket.socket(); sock.setblocking(False); sock.connect_ex(pair); full.append(sock)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "total = Tally()\n"
        "def add(tally):\n"
        "    total.silent += tally.silent; total.lost += tally.lost; total.answered += tally.answered\n"
        "ConnectScan(iter(pairs * 5), Manners.at(100000), add, timeout=0.1, in_flight=1000).run()\n"
        "print(total.silent + len(total.answered), total.lost.total())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
    )
    assert (done.stdout, done.stderr) == ("40 0\n", "")


def test_a_machine_without_a_way_there_loses_probes_at_once_and_says_so() -> None:
    code = (
        "from scanner.io.connect import *\n"
        "from scanner.manners import Manners\n"
        "total = Tally()\n"
        "def add(tally):\n"
        "    total.lost += tally.lost\n"
        "pairs = [(address, port) for port in range(1, 101) for address in ('::1', '127.0.0.1', '10.0.0.1')]\n"
        "ConnectScan(iter(pairs), Manners.at(100000), add, timeout=1.0, in_flight=100).run()\n"
        "print(total.lost.total(), has_route('127.0.0.1'), has_route('::1'))\n"
    )
    namespace = shutil.which("unshare")
    if namespace is None or subprocess.run([namespace, "-rn", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not make network namespaces")
    began = time.monotonic()
    # The loopback of a new namespace is down: there is no route to anywhere.
    done = subprocess.run(
        [namespace, "-rn", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (done.stdout, done.stderr) == ("300 False False\n", "")
    assert time.monotonic() - began < 5


def test_the_limit_of_open_files_is_respected() -> None:
    code = (
        "import resource\n"
        "from scanner.io.sockets import most_in_flight\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1000))\n"
        "print(most_in_flight(100, 50), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "print(most_in_flight(15000, 300), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "print(most_in_flight(15000, 5000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False, cwd=ROOT
    )
    assert done.stdout == "100 256\n700 1000\n16\n"
    assert most_in_flight(10, 10) == 10


def test_an_errno_is_told_in_words() -> None:
    assert reason_of(errno.ENETUNREACH) == "Network is unreachable (ENETUNREACH)"
    assert "99999" in reason_of(99999)
