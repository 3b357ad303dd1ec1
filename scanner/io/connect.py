"""Which ports accept connections, by connecting: raw non-blocking sockets on one epoll, in a thread of its own.

It needs no privileges and works on loopback. The account is exact: every pair that was taken from
the plan ends as answered, refused, silent, lost or forbidden. Loss is measured by what the kernel had
to send again before an answer came; while there is any, silence is tried again.
"""

import errno
import heapq
import select
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scanner.io.sockets import connected_to_itself, frames_within, has_route, is_broadcast, retransmissions
from scanner.loss import Doubt
from scanner.manners import Manners
from scanner.tally import Pair, Settled, Tally

# The plain type of sockets and plain numbers: their Python shells would take a fifth of a probe's time.
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
_SOCKET_LEVEL, _ERROR = int(socket.SOL_SOCKET), int(socket.SO_ERROR)

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EADDRNOTAVAIL})
_ANSWERS = frozenset({0, errno.ECONNREFUSED, errno.ECONNRESET})
_BACK_OFF = 0.05
_MOST_BACK_OFFS = 100
_REPORT_EVERY = 0.1
_REPORT_AT = 256
_CHUNK = 128
_MOST_WAITING = 1 << 16

_LATE = 0.9
"""Seconds after which an answer is worth a look at whether its question was sent twice."""


@dataclass(slots=True)
class _Chunk(Tally):
    """The counts of consecutive pairs of the plan, ``size`` of which were taken from it."""

    size: int = 0

    def so_far(self) -> Settled:
        """The counts, which are final when all of its pairs have ended."""
        lost = self.lost.total()
        return Settled(self.size, len(self.answered), self.refused, self.silent, lost, self.forbidden)


@dataclass(slots=True)
class _Probe:
    """A pair on its way: where it is counted, when its connection began, and what became of it so far.

    ``lost`` is how many frames to it met silence, ``tries`` how often this machine had no socket for it.
    """

    pair: Pair
    chunk: _Chunk
    began: float = 0.0
    lost: int = 0
    tries: int = 0
    doubt: Doubt = field(default_factory=Doubt)


class ConnectScan:
    """Probes pairs until they end or ``stop`` is called. ``run`` blocks: give it a thread of its own.

    ``deliver`` is called from that thread with what happened since the last call, at least ten times
    a second while anything happens; where it blocks, no more probes are sent and none is misjudged.
    ``timeout`` is in seconds.
    """

    def __init__(
        self,
        pairs: Iterator[Pair],
        manners: Manners,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
        in_flight: int,
    ) -> None:
        self._pairs = pairs
        self._manners = manners
        self._pacer = manners.pacer
        self._deliver = deliver
        self._timeout = timeout
        self._most = in_flight
        self._open: dict[int, tuple[socket.SocketType, _Probe]] = {}
        self._deadlines: deque[tuple[float, int, socket.SocketType]] = deque()
        self._again: deque[_Probe] = deque()
        self._waiting: list[tuple[float, int, _Probe]] = []
        self._number = 0
        self._watched: Counter[int] = Counter()
        """Answers by how many of the frames that asked for them had been lost."""
        self._frames = frames_within(timeout)
        self._begun = 0
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
            while (more or self._open or self._again or self._waiting) and not self._stopped.is_set():
                more = self._send(more)
                self._receive(more)
                self._expire()
                self._report()
        finally:
            for sock in [*(sock for sock, _ in self._open.values()), *self._spare.values()]:
                sock.close()
            self._open.clear()
            self._spare.clear()
            self._epoll.close()
            self._report(last=True)

    def _send(self, more: bool) -> bool:
        """Send what is due. Whether the plan may hold more."""
        now = time.monotonic()
        room = self._most - len(self._open)
        if now < self._held_until or room <= 0 or not (more or self._again or self._waiting):
            return more
        permitted = self._pacer.permits(now, min(room, _REPORT_AT))
        if not permitted:
            return more
        sent = 0
        while sent < permitted:
            probe, more = self._next(more, now)
            if probe is None or not self._probe(probe, now):
                break
            sent += 1
        self._pacer.went(sent, time.monotonic(), unsent=permitted - sent)
        return more

    def _next(self, more: bool, now: float) -> "tuple[_Probe | None, bool]":
        """The probe that goes next, if one may go now, and whether the plan may hold more."""
        if self._again:
            return self._again.popleft(), more
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[2], more
        caps = self._manners.caps
        while more and len(self._waiting) < _MOST_WAITING:
            pair = next(self._pairs, None)
            if pair is None:
                return None, False
            probe = _Probe(pair, self._next_chunk())
            if not caps or (moment := caps.moment(pair[0], now)) <= now:
                return probe, more
            self._wait(probe, moment)
        return None, more

    def _wait(self, probe: "_Probe", moment: float) -> None:
        """Have a probe wait for the moment that its host or subnet has left for it."""
        self._number += 1
        heapq.heappush(self._waiting, (moment, self._number, probe))

    def _next_chunk(self) -> "_Chunk":
        """Where the next pair of the plan is counted."""
        if self._chunk.size == _CHUNK:
            self._chunk = _Chunk()
            self._chunks.append(self._chunk)
        self._chunk.size += 1
        return self._chunk

    def _probe(self, probe: "_Probe", now: float) -> bool:
        """Begin one connection. False where this machine has no socket or port to spare just now."""
        pair, chunk = probe.pair, probe.chunk
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
            self._watched[probe.lost] += 1
        elif sock is not None and code == errno.EALREADY:
            number = sock.fileno()
            probe.began = now
            self._begun += 1
            self._epoll.register(number, select.EPOLLOUT | select.EPOLLONESHOT)
            self._open[number] = (sock, probe)
            self._deadlines.append((now + self._timeout, number, sock))
        elif (
            code in _EXHAUSTED and probe.tries < _MOST_BACK_OFFS and (code != errno.EADDRNOTAVAIL or has_route(pair[0]))
        ):
            # Skipping it would be a loss that nobody counts: it is tried again, a little later.
            probe.tries += 1
            self._again.appendleft(probe)
            self._held_until = now + _BACK_OFF
            if sock is not None:
                sock.close()
            return False
        else:
            self._end(sock, probe, code)
        return True

    def _receive(self, more: bool) -> None:
        """Wait for the next answer, deadline or moment to send, whichever is first; take all answers."""
        for number, _ in self._epoll.poll(self._patience(more), 1024):
            sock, probe = self._open.pop(number)
            code = sock.getsockopt(_SOCKET_LEVEL, _ERROR)
            if code in _ANSWERS:
                late = time.monotonic() - probe.began >= _LATE
                self._watched[probe.lost + (retransmissions(sock) if late else 0)] += 1
            self._end(sock, probe, code)

    def _patience(self, more: bool) -> float:
        now = time.monotonic()
        wait = _REPORT_EVERY / 2
        if self._deadlines:
            wait = min(wait, self._deadlines[0][0] - now)
        if len(self._open) < self._most:
            if self._again or (more and len(self._waiting) < _MOST_WAITING):
                wait = min(wait, max(self._pacer.delay(now), self._held_until - now))
            elif self._waiting:
                wait = min(wait, max(self._pacer.delay(now), self._waiting[0][0] - now))
        return max(0.0, wait)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, sock = self._deadlines.popleft()
            # The number may be another connection's by now.
            if number in self._open and self._open[number][0] is sock:
                _, probe = self._open.pop(number)
                sock.close()
                self._silence(probe, now)

    def _silence(self, probe: "_Probe", now: float) -> None:
        """Try a silent pair again where loss makes that worth it, and count it where not."""
        meter = self._manners.meter
        recent = meter.recent
        probe.lost += self._frames
        probe.doubt.silence(recent, self._frames)
        if recent.unanswered and probe.doubt.remains(lively=True):
            caps = self._manners.caps
            self._wait(probe, caps.moment(probe.pair[0], now) if caps else now)
            return
        meter.silence(1, probe.doubt.risk)
        self._tally.silent += 1
        probe.chunk.silent += 1

    def _end(self, sock: socket.SocketType | None, probe: "_Probe", code: int) -> None:
        """Count how a connection ended, and close it in the ordinary way.

        A reset would free our port sooner, but servers write tracebacks about resets to their logs.
        """
        pair, chunk = probe.pair, probe.chunk
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

    def _watch(self, now: float) -> None:
        """Measure loss by the frames that the kernel had to send again before an answer came.

        Whoever answered the second frame of a connection would have answered the first, had it not been
        lost; and so on, up to the last frame that goes within the timeout. Of those that answered the last
        it cannot be told how many more there are who would have, so it is no trial. Where one frame is all
        that goes, nothing is learnt.
        """
        watched, self._watched = self._watched, Counter()
        begun, self._begun = self._begun, 0
        frames = self._frames
        if watched and frames > 1:
            asked = sum(number for lost, number in watched.items() if lost % frames < frames - 1)
            unanswered = sum(number for lost, number in watched.items() if lost % frames)
            self._manners.watch(asked, unanswered, now, begun / max(_REPORT_EVERY, now - self._reported))

    def _report(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._reported < _REPORT_EVERY and len(self._tally.answered) < _REPORT_AT:
            return
        self._watch(now)
        self._reported = now
        while self._chunks and self._chunks[0].probes == (self._chunks[0].size if last else _CHUNK):
            self._settled += self._chunks.popleft().so_far()
        tally, self._tally = self._tally, Tally()
        tally.settled = self._settled
        if tally.probes or tally.settled != self._told:
            self._told = tally.settled
            self._deliver(tally)


def _passes(code: int, address: str) -> bool:
    """Whether a shortage may end: without any route to the address, no port to send from will ever be free."""
    return code != errno.EADDRNOTAVAIL or has_route(address)
