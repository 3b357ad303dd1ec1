"""Which ports accept connections, by SYN frames of our own: no socket a probe, and the answers validated statelessly.

Needs CAP_NET_RAW and an Ethernet interface. The account is as exact as that of ``scanner.io.connect``:
a probe is answered (SYN-ACK), refused (RST), silent (nothing, also to its repetition), or lost
(nothing, while the kernel dropped answers for want of room).
"""

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Batch, Numbers, Ports
from scanner.io.frames import Answers, Sequence, parse
from scanner.io.lanes import Lanes
from scanner.io.ways import Way
from scanner.io.wire import BATCH, Receiver
from scanner.pacing import Pacer
from scanner.tally import Pair, Settled, Tally

RETRIES = 1
"""Repetitions of a probe that nothing answered."""

_MORE_AFTER_DROPS = 2
_WINDOW = 1 << 20
_REPORT_EVERY = 0.1
_REPORT_AT = 256
_NAP = 0.001
_IDLE = 0.01
_GATHER = 0.005
_PENDING, _OPEN, _REFUSED, _FREE = range(4)


class _Window:
    """The probes that wait for answers: a ring of slots, written by the sender and marked by the receiver.

    The slot travels in the sequence number, added to the keyed hash: an answer is valid where the
    probe in the slot that it points to went to its very sender.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.addresses: Numbers = np.zeros(size, dtype=np.uint32)
        self.ports: Ports = np.zeros(size, dtype=np.uint16)
        self.state: NDArray[np.uint8] = np.full(size, _FREE, dtype=np.uint8)
        self._sequence = Sequence()

    def sequence(self, slots: NDArray[np.intp]) -> Numbers:
        """The sequence numbers of the probes in some slots."""
        return self._sequence.of(self.addresses[slots], self.ports[slots]) + slots.astype(np.uint32)

    def mark(self, answers: Answers) -> tuple[list[Pair], int]:
        """Note answers: the pairs that are newly open, and how many are newly refused."""
        slots = (answers.sequence - self._sequence.of(answers.addresses, answers.ports)).astype(np.intp)
        valid = slots < self.size
        slots[~valid] = 0
        valid &= (self.addresses[slots] == answers.addresses) & (self.ports[slots] == answers.ports)
        valid &= self.state[slots] == _PENDING
        # Of answers that contradict each other in one batch, the one that opens stays.
        refused = np.unique(slots[valid & ~answers.open])
        opened = np.unique(slots[valid & answers.open])
        self.state[refused] = _REFUSED
        self.state[opened] = _OPEN
        numbers, ports = self.addresses[opened].tolist(), self.ports[opened].tolist()
        pairs = [(_dotted(number), port) for number, port in zip(numbers, ports, strict=True)]
        return pairs, int((self.state[refused] == _REFUSED).sum())


def _dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass(slots=True)
class _Flight:
    """Probes that were sent at about the same time, in a row of slots.

    ``absent`` is how many pairs of the plan among them have no station. ``drops`` is how many answers
    the kernel had dropped when they went. ``waiting`` are the slots that are to be sent again.
    """

    slots: NDArray[np.intp]
    absent: int
    deadline: float
    drops: int
    attempts: int = 1
    ended: Settled | None = None
    waiting: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


class _Supply:
    """Hands out the pairs of batches in the sizes that may be sent, without those that have no station."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._addresses: Numbers = np.zeros(0, dtype=np.uint32)
        self._ports: Ports = np.zeros(0, dtype=np.uint16)
        self._taken = 0

    def take(self, most: int, lanes: Lanes) -> tuple[Numbers, Ports, int] | None:
        """Addresses, ports, and how many more pairs were left out. None at the end."""
        absent = 0
        if self._taken == len(self._addresses):
            batch = next(self._batches, None)
            if batch is None:
                return None
            present = lanes.present(batch.addresses)
            self._addresses, self._ports, self._taken = batch.addresses[present], batch.ports[present], 0
            absent = len(present) - len(self._addresses)
        part = slice(self._taken, self._taken + most)
        addresses, ports = self._addresses[part], self._ports[part]
        self._taken += len(addresses)
        return addresses, ports, absent


class SynScan:
    """Probes the pairs of batches until they end or ``stop`` is called. ``run`` blocks, as in ``ConnectScan``.

    ``timeout`` is in seconds and holds for a probe with its repetitions.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        ways: tuple[Way, ...],
        pacer: Pacer,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
        retries: int = RETRIES,
    ) -> None:
        self._supply = _Supply(batches)
        self._ways = ways
        self._pacer = pacer
        self._deliver = deliver
        self._patience = timeout / (retries + 1)
        self._attempts = retries + 1
        self._window = _Window(_WINDOW)
        self._used = 0
        self._next = 0
        self.sent = 0
        """Frames sent so far, repetitions among them."""
        self.last_sent = 0.0
        """When the last one went, by ``time.monotonic``."""
        self._flights: deque[_Flight] = deque()
        self._airborne: deque[_Flight] = deque()
        self._again: deque[_Flight] = deque()
        self._tally = Tally()
        self._settled = self._told = Settled()
        self._lock = threading.Lock()
        self._reported = 0.0
        self._drops = 0
        self._stopped = threading.Event()
        self._failure: list[OSError] = []

    def stop(self) -> None:
        """End soon, from any thread: what is in flight is not counted."""
        self._stopped.set()

    def run(self) -> None:
        """Probe. Raises OSError where an interface fails."""
        with ExitStack() as stack:
            lanes = Lanes(self._ways, self._pacer, self._stopped, stack)
            threads = [threading.Thread(target=self._listen, args=(one, lanes.port)) for one in lanes.receivers]
            stack.callback(self._join, threads)
            for thread in threads:
                thread.start()
            more = True
            while (more or self._flights) and not self._stopped.is_set():
                more = self._send(lanes, more)
                self._expire()
                self._report(lanes)
                self._rest(more)
            self._stopped.set()
        if self._failure:
            raise self._failure[0]
        self._hand_over()

    def _join(self, threads: list[threading.Thread]) -> None:
        self._stopped.set()
        for thread in threads:
            thread.join()

    def _listen(self, receiver: Receiver, port: int) -> None:
        """Take answers in: a thread of its own for each interface."""
        try:
            while not self._stopped.is_set():
                frames, lengths = receiver.receive(_REPORT_EVERY)
                if len(frames):
                    answers = parse(frames, lengths, port)
                    with self._lock:
                        opened, refused = self._window.mark(answers)
                        self._tally.answered += opened
                        self._tally.refused += refused
                if len(frames) < BATCH:
                    # Answers come one by one, and are cheap only by the hundred.
                    self._stopped.wait(_GATHER)
        except OSError as error:
            self._failure.append(error)
            self._stopped.set()

    def _send(self, lanes: Lanes, more: bool) -> bool:
        """Send what is due: repetitions first. Whether the plan may hold more."""
        permitted = self._pacer.permits(time.monotonic(), BATCH)
        if not permitted:
            return more
        if self._again:
            sent = self._repeat(lanes, permitted)
        elif more:
            sent, more = self._begin(lanes, permitted)
        else:
            sent = 0
        if sent:
            self.sent += sent
            self.last_sent = time.monotonic()
        self._pacer.give_back(permitted - sent)
        return more

    def _begin(self, lanes: Lanes, permitted: int) -> tuple[int, bool]:
        """Send probes for the first time. How many, and whether the plan may hold more."""
        room = min(permitted, self._window.size - self._used)
        if not room:
            return 0, True
        taken = self._supply.take(room, lanes)
        if taken is None:
            return 0, False
        addresses, ports, absent = taken
        slots = np.arange(self._next, self._next + len(addresses), dtype=np.intp) % self._window.size
        self._next += len(slots)
        self._used += len(slots)
        self._window.addresses[slots], self._window.ports[slots] = addresses, ports
        self._window.state[slots] = _PENDING
        if len(slots):
            lanes.send(addresses, ports, self._window.sequence(slots))
        with self._lock:
            self._tally.silent += absent
        flight = _Flight(slots, absent, time.monotonic() + self._patience, self._drops)
        self._flights.append(flight)
        self._airborne.append(flight)
        return len(slots), True

    def _repeat(self, lanes: Lanes, permitted: int) -> int:
        flight = self._again[0]
        part, flight.waiting = flight.waiting[:permitted], flight.waiting[permitted:]
        part = part[self._window.state[part] == _PENDING]
        if len(part):
            lanes.send(self._window.addresses[part], self._window.ports[part], self._window.sequence(part))
        if not len(flight.waiting):
            self._again.popleft()
            flight.deadline = time.monotonic() + self._patience
            flight.drops = self._drops
            self._airborne.append(flight)
        return len(part)

    def _expire(self) -> None:
        """Judge the flights whose time is up or that have every answer, oldest first."""
        now = time.monotonic()
        while self._airborne:
            flight = self._airborne[0]
            pending = flight.slots[self._window.state[flight.slots] == _PENDING]
            if len(pending) and flight.deadline > now:
                break
            self._airborne.popleft()
            # Silence means less while the kernel drops answers, so then it is asked again.
            most = self._attempts + (_MORE_AFTER_DROPS if self._drops > flight.drops else 0)
            if len(pending) and flight.attempts < most:
                flight.attempts += 1
                flight.waiting = pending
                self._again.append(flight)
            else:
                self._end(flight)
        # A ring gives back its oldest slots first, whichever ended before.
        while self._flights and (ended := self._flights[0].ended):
            self._used -= len(self._flights.popleft().slots)
            self._settled += ended

    def _end(self, flight: _Flight) -> None:
        with self._lock:
            state = self._window.state[flight.slots]
            self._window.state[flight.slots] = _FREE
            counts = np.bincount(state, minlength=_FREE)
            pending = int(counts[_PENDING])
            lost = min(pending, self._drops - flight.drops)
            self._tally.silent += pending - lost
            if lost:
                self._tally.lost[errno.ENOBUFS] += lost
        flight.ended = Settled(
            probes=len(flight.slots) + flight.absent,
            answered=int(counts[_OPEN]),
            refused=int(counts[_REFUSED]),
            silent=pending - lost + flight.absent,
            lost=lost,
        )

    def _rest(self, more: bool) -> None:
        """Sleep until something may be due."""
        now = time.monotonic()
        busy = self._again or (more and self._used < self._window.size)
        wait = self._pacer.delay(now) if busy else _IDLE
        if wait > 0:
            self._stopped.wait(max(_NAP, min(wait, _IDLE)))

    def _report(self, lanes: Lanes) -> None:
        now = time.monotonic()
        if now - self._reported >= _REPORT_EVERY or len(self._tally.answered) >= _REPORT_AT:
            self._drops = lanes.drops
            self._hand_over()
            self._reported = now

    def _hand_over(self) -> None:
        with self._lock:
            tally, self._tally = self._tally, Tally()
        tally.settled = self._settled
        if tally.probes or tally.settled != self._told:
            self._told = tally.settled
            self._deliver(tally)
