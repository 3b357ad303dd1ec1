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

from scanner.io.record import Record, clock
from scanner.io.sockets import connected_to_itself, frames_within, has_route, is_broadcast, retransmissions
from scanner.loss import Doubt
from scanner.manners import Manners
from scanner.tally import OPEN, REFUSED, SILENT, Pair, Settled, Tally

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
_MOST_READY = 1024
_MOST_COUNTED = 255
_MOST_WAITING = 1 << 16

_LATE = 0.9
"""Seconds after which an answer is worth a look at whether its question was sent twice."""


_ALONE = 0.95
"""Seconds for a connection to which the kernel shall send one frame only."""


@dataclass(slots=True)
class _Probe:
    """A pair on its way: its slot in the record, when its connection began, and what became of it so far.

    ``lost`` is how many frames to it met silence, ``frames`` how many its present connection may send, and ``tries``
    how often this machine had no socket for it.
    """

    pair: Pair
    slot: int
    frames: int
    began: float = 0.0
    lost: int = 0
    tries: int = 0
    doubt: Doubt = field(default_factory=Doubt)


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a scan goes on that has a record: from the position ``start`` on, whose pairs ``pair`` tells."""

    record: Record
    start: int
    pair: Callable[[int], Pair]


class ConnectScan:
    """Probes pairs until they end or ``stop`` is called. ``run`` blocks: give it a thread of its own.

    ``deliver`` is called from that thread with what happened since the last call, at least ten times
    a second while anything happens; where it blocks, no more probes are sent and none is misjudged.
    ``timeout`` is in seconds. Of what was ``begun`` before, the ``pairs`` are those that no probe went to yet.
    """

    def __init__(
        self,
        pairs: Iterator[Pair],
        manners: Manners,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
        in_flight: int,
        begun: Begun | None = None,
    ) -> None:
        self._pairs = pairs
        self._before = begun
        self._record = begun.record if begun else Record.in_memory()
        self._manners = manners
        self._pacer = manners.pacer
        self._deliver = deliver
        self._timeout = timeout
        self._most = in_flight
        self._open: dict[int, tuple[socket.SocketType, _Probe]] = {}
        self._frames = frames_within(timeout)
        self._deadlines: dict[int, deque[tuple[float, int, socket.SocketType]]] = {self._frames: deque()}
        """By how many frames a connection may send: those of as many end in the order in which they began."""
        self._again: deque[_Probe] = deque()
        self._waiting: list[tuple[float, int, _Probe]] = []
        self._number = 0
        self._watched: Counter[int] = Counter()
        """Answers by how many of the frames that asked for them had been lost."""
        self._begun = self._answers = 0
        self._spare: dict[int, socket.SocketType] = {}
        self._tally = Tally()
        self._told = Settled()
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
            if self._before:
                self._take_up(self._before)
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
            self._report(now=True)

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

    def _next(self, more: bool, now: float) -> tuple[_Probe | None, bool]:
        """The probe that goes next, if one may go now, and whether the plan may hold more."""
        if self._again:
            return self._again.popleft(), more
        if self._waiting and self._waiting[0][0] <= now:
            return heapq.heappop(self._waiting)[2], more
        caps = self._manners.caps
        while more and len(self._waiting) < _MOST_WAITING and self._record.room > 0:
            pair = next(self._pairs, None)
            if pair is None:
                return None, False
            probe = _Probe(pair, self._record.take(), self._frames)
            if not caps or (moment := caps.moment(pair[0], now)) <= now:
                return probe, more
            self._wait(probe, moment)
        return None, more

    def _wait(self, probe: _Probe, moment: float) -> None:
        """Have a probe wait for the moment that its host or subnet has left for it."""
        self._number += 1
        heapq.heappush(self._waiting, (moment, self._number, probe))

    def _take_up(self, begun: Begun) -> None:
        """Go on from the record: count what had ended, and have the others wait for the frames that they lack."""
        record, spent, loss = begun.record, begun.record.spent(), self._manners.meter.loss
        caps, now = self._manners.caps, time.monotonic()
        self._tally.recall(record.fates(begun.start))
        for position in record.live(begun.start):
            slot, pair = position & record.mask, begun.pair(position)
            if record.states[slot] == OPEN:
                self._tally.answered.append(pair)
                continue
            probe = _Probe(pair, slot, self._frames)
            if record.attempts[slot]:
                waited = spent.on(record.moments[slot]) - spent.patience
                heard = 0 if waited < 0 else frames_within(waited)
                probe.lost = record.attempts[slot] - 1 + heard
                if probe.lost:
                    probe.doubt.silence(loss, probe.lost)
                if heard >= self._frames and not (loss.unanswered and probe.doubt.remains(lively=True)):
                    self._give_up(probe)
                    continue
                # A frame whose answer nobody heard is one of those that suffice.
                probe.frames = max(1, self._frames - max(1, heard))
            record.attempts[slot] = min(_MOST_COUNTED, probe.lost)
            self._wait(probe, caps.moment(pair[0], now) if caps else now)
        self._report(now=True)

    def _probe(self, probe: _Probe, now: float) -> bool:
        """Begin one connection. False where this machine has no socket or port to spare just now."""
        pair, record = probe.pair, self._record
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
            record.states[probe.slot] = REFUSED
            self._watch_answer(probe, 0)
        elif sock is not None and code == errno.EALREADY:
            number = sock.fileno()
            probe.began = now
            self._begun += 1
            self._epoll.register(number, select.EPOLLOUT | select.EPOLLONESHOT)
            self._open[number] = (sock, probe)
            record.attempts[probe.slot] = min(_MOST_COUNTED, probe.lost + 1)
            record.moments[probe.slot] = clock(now)
            self._deadlines.setdefault(probe.frames, deque()).append((self._deadline(probe), number, sock))
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

    def _deadline(self, probe: _Probe) -> float:
        """Until when a connection may take: just before the kernel would send one frame too many."""
        if probe.frames == self._frames:
            return probe.began + self._timeout
        return probe.began + min(self._timeout, (1 << probe.frames) - 2 + _ALONE)

    def _receive(self, more: bool) -> None:
        """Wait for the next answer, deadline or moment to send, whichever is first; take all answers."""
        ready = self._epoll.poll(self._patience(more), _MOST_READY)
        slowest = 0.0
        for number, _ in ready:
            sock, probe = self._open.pop(number)
            code = sock.getsockopt(_SOCKET_LEVEL, _ERROR)
            if code in _ANSWERS:
                took = time.monotonic() - probe.began
                slowest = max(slowest, took)
                self._watch_answer(probe, retransmissions(sock) if took >= _LATE else 0)
            self._end(sock, probe, code)
        self._record.answers(self._answers, slowest)
        self._answers = 0
        if len(ready) < _MOST_READY:
            self._record.heard(time.monotonic())

    def _watch_answer(self, probe: _Probe, lost: int) -> None:
        """Note how many frames were lost before an answer; of a probe that was interrupted nobody can tell."""
        self._answers += 1
        if probe.frames == self._frames:
            self._watched[probe.lost + lost] += 1

    def _patience(self, more: bool) -> float:
        now = time.monotonic()
        wait = _REPORT_EVERY / 2
        for deadlines in self._deadlines.values():
            if deadlines:
                wait = min(wait, deadlines[0][0] - now)
        if len(self._open) < self._most:
            if self._again or (more and len(self._waiting) < _MOST_WAITING and self._record.room > 0):
                wait = min(wait, max(self._pacer.delay(now), self._held_until - now))
            elif self._waiting:
                wait = min(wait, max(self._pacer.delay(now), self._waiting[0][0] - now))
        return max(0.0, wait)

    def _expire(self) -> None:
        now = time.monotonic()
        for deadlines in self._deadlines.values():
            while deadlines and deadlines[0][0] <= now:
                _, number, sock = deadlines.popleft()
                # The number may be another connection's by now.
                if number in self._open and self._open[number][0] is sock:
                    _, probe = self._open.pop(number)
                    sock.close()
                    self._silence(probe, now)

    def _silence(self, probe: _Probe, now: float) -> None:
        """Try a silent pair again where loss makes that worth it, and count it where not."""
        meter = self._manners.meter
        recent = meter.recent
        probe.lost += probe.frames
        probe.doubt.silence(recent, probe.frames)
        if recent.unanswered and probe.doubt.remains(lively=True):
            caps = self._manners.caps
            probe.frames = self._frames
            self._wait(probe, caps.moment(probe.pair[0], now) if caps else now)
            return
        self._give_up(probe)

    def _give_up(self, probe: _Probe) -> None:
        self._manners.meter.silence(1, probe.doubt.risk)
        self._tally.silent += 1
        self._record.states[probe.slot] = SILENT

    def _end(self, sock: socket.SocketType | None, probe: _Probe, code: int) -> None:
        """Count how a connection ended, and close it in the ordinary way.

        A reset would free our port sooner, but servers write tracebacks about resets to their logs.
        """
        pair = probe.pair
        if code == 0 and sock is not None and connected_to_itself(sock):
            code = errno.ECONNREFUSED
        if code == errno.ENETUNREACH and is_broadcast(pair[0]):
            # There is a way, but the kernel opens no connection to a whole network.
            code = errno.EACCES
        if code == 0:
            self._tally.answered.append(pair)
            self._record.states[probe.slot] = OPEN
        else:
            self._record.states[probe.slot] = self._tally.count(code)
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

    def _report(self, *, now: bool = False) -> None:
        moment = time.monotonic()
        if not now and moment - self._reported < _REPORT_EVERY and len(self._tally.answered) < _REPORT_AT:
            return
        self._watch(moment)
        self._reported = moment
        tally, self._tally = self._tally, Tally()
        tally.settled = self._record.settle()
        self._record.expect(self._timeout)
        if tally.probes or tally.settled != self._told:
            self._told = tally.settled
            self._deliver(tally)
