"""Which ports accept connections, by connecting: raw non-blocking sockets on one epoll, in a thread of its own.

It needs no privileges and works on loopback. The account is exact: every pair that was taken from
the plan ends as answered, refused, silent, lost or forbidden.
"""

import errno
import os
import resource
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanner.pacing import Pacer
from scanner.tally import Pair, Settled, Tally

# The plain type of sockets and plain numbers: their Python shells would take a fifth of a probe's time.
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_SOCKET_LEVEL, _ERROR = int(socket.SOL_SOCKET), int(socket.SO_ERROR)

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EADDRNOTAVAIL})
_FEWEST = 16
_BACK_OFF = 0.05
_MOST_BACK_OFFS = 100
_REPORT_EVERY = 0.1
_REPORT_AT = 256
_CHUNK = 128


def most_in_flight(wanted: int, reserve: int) -> int:
    """How many sockets may be open at once when ``reserve`` files are left to the rest of the process.

    Raises the soft limit of open files toward the hard one where that helps. At least 16, where as many are wanted.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + reserve
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = raised
    return wanted if soft == resource.RLIM_INFINITY else min(wanted, max(_FEWEST, soft - reserve))


@dataclass(slots=True)
class _Chunk(Tally):
    """The counts of consecutive pairs of the plan, ``size`` of which were taken from it."""

    size: int = 0

    def so_far(self) -> Settled:
        """The counts, which are final when all of its pairs have ended."""
        lost = self.lost.total()
        return Settled(self.size, len(self.answered), self.refused, self.silent, lost, self.forbidden)


class ConnectScan:
    """Probes pairs until they end or ``stop`` is called. ``run`` blocks: give it a thread of its own.

    ``deliver`` is called from that thread with what happened since the last call, at least ten times
    a second while anything happens; where it blocks, no more probes are sent and none is misjudged.
    ``timeout`` is in seconds.
    """

    def __init__(
        self,
        pairs: Iterator[Pair],
        pacer: Pacer,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
        in_flight: int,
    ) -> None:
        self._pairs = pairs
        self._pacer = pacer
        self._deliver = deliver
        self._timeout = timeout
        self._most = in_flight
        self._open: dict[int, tuple[socket.SocketType, Pair, _Chunk]] = {}
        self._deadlines: deque[tuple[float, int, socket.SocketType]] = deque()
        self._again: deque[tuple[Pair, int, _Chunk]] = deque()
        self._spare: dict[int, socket.SocketType] = {}
        self._tally = Tally()
        self._chunk = _Chunk()
        self._chunks = deque([self._chunk])
        self._settled = self._told = Settled()
        self._reported = 0.0
        self._held_until = 0.0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End soon, from any thread: what is in flight is not counted."""
        self._stopped.set()

    def run(self) -> None:
        """Probe. What is in flight when it is stopped counts as never probed."""
        self._epoll = select.epoll()
        try:
            more = True
            while (more or self._open or self._again) and not self._stopped.is_set():
                more = self._send(more)
                self._receive(more)
                self._expire()
                self._report()
        finally:
            for sock in [*(sock for sock, _, _ in self._open.values()), *self._spare.values()]:
                sock.close()
            self._open.clear()
            self._spare.clear()
            self._epoll.close()
            self._report(last=True)

    def _send(self, more: bool) -> bool:
        """Send what is due. Whether the plan may hold more."""
        now = time.monotonic()
        room = self._most - len(self._open)
        if now < self._held_until or room <= 0 or not (more or self._again):
            return more
        permitted = self._pacer.permits(now, min(room, _REPORT_AT))
        for sent in range(permitted):
            if self._again:
                pair, attempts, chunk = self._again.popleft()
            else:
                following = next(self._pairs, None)
                if following is None:
                    self._pacer.give_back(permitted - sent)
                    return False
                pair, attempts, chunk = following, 0, self._next_chunk()
            if not self._probe(pair, now, attempts, chunk):
                self._pacer.give_back(permitted - sent)
                break
        return more

    def _next_chunk(self) -> "_Chunk":
        """Where the next pair of the plan is counted."""
        if self._chunk.size == _CHUNK:
            self._chunk = _Chunk()
            self._chunks.append(self._chunk)
        self._chunk.size += 1
        return self._chunk

    def _probe(self, pair: Pair, now: float, attempts: int, chunk: "_Chunk") -> bool:
        """Begin one connection. False where this machine has no socket or port to spare just now."""
        family = _IPV6 if ":" in pair[0] else _IPV4
        sock = self._spare.pop(family, None)
        try:
            if sock is None:
                sock = socket.SocketType(family, _STREAM)
            code = sock.connect_ex(pair)
            if code == errno.EINPROGRESS:
                # On loopback the answer is there before the call returns, and asking again tells it.
                code = sock.connect_ex(pair)
        except OSError as error:
            code = error.errno or errno.EIO
        if sock is not None and code == errno.ECONNREFUSED:
            # POSIX leaves open what a refused socket is good for. Linux disconnects it, so the next probe
            # takes it and saves making and closing another: a third of the time of a probe.
            self._spare[family] = sock
            self._tally.refused += 1
            chunk.refused += 1
        elif sock is not None and code == errno.EALREADY:
            number = sock.fileno()
            self._epoll.register(number, select.EPOLLOUT | select.EPOLLONESHOT)
            self._open[number] = (sock, pair, chunk)
            self._deadlines.append((now + self._timeout, number, sock))
        elif code in _EXHAUSTED and attempts < _MOST_BACK_OFFS and (code != errno.EADDRNOTAVAIL or has_route(pair[0])):
            # Skipping it would be a loss that nobody counts: it is tried again, a little later.
            self._again.appendleft((pair, attempts + 1, chunk))
            self._held_until = now + _BACK_OFF
            if sock is not None:
                sock.close()
            return False
        else:
            self._end(sock, pair, code, chunk)
        return True

    def _receive(self, more: bool) -> None:
        """Wait for the next answer, deadline or moment to send, whichever is first; take all answers."""
        for number, _ in self._epoll.poll(self._patience(more), 1024):
            sock, pair, chunk = self._open.pop(number)
            self._end(sock, pair, sock.getsockopt(_SOCKET_LEVEL, _ERROR), chunk)

    def _patience(self, more: bool) -> float:
        now = time.monotonic()
        wait = _REPORT_EVERY / 2
        if self._deadlines:
            wait = min(wait, self._deadlines[0][0] - now)
        if (more or self._again) and len(self._open) < self._most:
            wait = min(wait, max(self._pacer.delay(now), self._held_until - now))
        return max(0.0, wait)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, sock = self._deadlines.popleft()
            # The number may be another connection's by now.
            if number in self._open and self._open[number][0] is sock:
                _, _, chunk = self._open.pop(number)
                sock.close()
                self._tally.silent += 1
                chunk.silent += 1

    def _end(self, sock: socket.SocketType | None, pair: Pair, code: int, chunk: "_Chunk") -> None:
        """Count how a connection ended, and close it in the ordinary way.

        A reset would free our port sooner, but servers write tracebacks about resets to their logs.
        """
        if code == 0 and sock is not None and connected_to_itself(sock):
            code = errno.ECONNREFUSED
        if code == errno.ENETUNREACH and is_broadcast(pair[0]):
            # There is a way, but the kernel opens no connection to a whole network.
            code = errno.EACCES
        if code == 0:
            self._tally.answered.append(pair)
            chunk.answered.append(pair)
        else:
            self._tally.count(code)
            chunk.count(code)
        if sock is not None:
            sock.close()

    def _report(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._reported < _REPORT_EVERY and len(self._tally.answered) < _REPORT_AT:
            return
        self._reported = now
        while self._chunks and self._chunks[0].probes == (self._chunks[0].size if last else _CHUNK):
            self._settled += self._chunks.popleft().so_far()
        tally, self._tally = self._tally, Tally()
        tally.settled = self._settled
        if tally.probes or tally.settled != self._told:
            self._told = tally.settled
            self._deliver(tally)


def connected_to_itself(sock: socket.SocketType) -> bool:
    """Whether a connection has no other end.

    On its own host a socket that is given the very port it connects to meets itself (the
    simultaneous open of RFC 9293, 3.5): a port that looks open and is not.
    """
    try:
        return bool(sock.getsockname() == sock.getpeername())
    except OSError:
        return False


def has_route(address: str) -> bool:
    """Whether this machine has a way to an address and an address of its own to send from.

    Nothing is sent: connecting a datagram socket only looks up the route.
    """
    try:
        with socket.socket(_IPV6 if ":" in address else _IPV4, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))
    except OSError:
        return False
    return True


def is_broadcast(address: str) -> bool:
    """Whether an address is that of a whole network of this machine. Nothing is sent, as in ``has_route``."""
    if ":" in address:
        return False
    with socket.socket(_IPV4, socket.SOCK_DGRAM) as sock:
        return sock.connect_ex((address, 9)) == errno.EACCES


def reason_of(code: int) -> str:
    """An errno in words, with its name."""
    return f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"
