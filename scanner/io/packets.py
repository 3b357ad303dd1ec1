"""Which ports accept connections, by SYN frames of our own: no socket a probe, and the answers validated statelessly.

Needs CAP_NET_RAW and an Ethernet interface. The account is as exact as that of ``scanner.io.connect``:
a probe is answered (SYN-ACK), refused (RST), silent (nothing, also to its repetitions), or lost
(nothing, while the kernel dropped answers for want of room). How often silence is asked again depends
on how much gets lost, which doors that have answered tell: ``scanner.loss`` and ``scanner.io.control``.
"""

import errno
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import numpy as np

from scanner.batches import Batch, Numbers, Ports
from scanner.io.control import Control
from scanner.io.flights import FREE, OPEN, PENDING, REFUSED, Flight, Neighbourhoods, Slots, Supply, Window
from scanner.io.frames import parse
from scanner.io.lanes import Lanes
from scanner.io.ways import Way
from scanner.io.wire import BATCH, Receiver
from scanner.manners import Manners
from scanner.tally import Settled, Tally

_ATTEMPTS_AFTER_DROPS = 3
_WINDOW = 1 << 20
_CONTROLS = 4
"""One in so many frames of a burst is a control probe, at most."""
_REPORT_EVERY = 0.1
_REPORT_AT = 256
_NAP = 0.003
_IDLE = 0.01
_GATHER = 0.005


class SynScan:
    """Probes the pairs of batches until they end or ``stop`` is called. ``run`` blocks, as in ``ConnectScan``.

    ``timeout`` is in seconds and holds for a probe and its repetition; further ones have half of it each.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        ways: tuple[Way, ...],
        manners: Manners,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
    ) -> None:
        self._supply = Supply(batches)
        self._ways = ways
        self._manners = manners
        self._pacer = manners.pacer
        self._deliver = deliver
        self._patience = timeout / 2
        self._window = Window(_WINDOW)
        self._control = Control(self._patience, manners.meter.loss.asked)
        self._neighbourhoods = Neighbourhoods()
        self.sent = 0
        """Frames sent so far, repetitions and control probes among them."""
        self.last_sent = 0.0
        """When the last one went, by ``time.monotonic``."""
        self._flights: deque[Flight] = deque()
        self._airborne: deque[Flight] = deque()
        self._again: list[tuple[float, int, Flight]] = []
        self._numbers = count()
        self._wedge: tuple[Numbers, Ports, Numbers] | None = None
        self._chance = np.random.default_rng()
        self._mark = (time.monotonic(), 0)
        self._tally = Tally()
        self._settled = self._told = Settled()
        self._lock = threading.Lock()
        self._reported = 0.0
        self._drops = 0
        self._absent = 0
        self._stopped = threading.Event()
        self._failure: list[OSError] = []

    def stop(self) -> None:
        """End soon, from any thread: what is in flight is not counted."""
        self._stopped.set()

    def run(self) -> None:
        """Probe. Raises OSError where an interface fails."""
        with ExitStack() as stack:
            lanes = Lanes(self._ways, self._pacer, self._stopped, stack)
            threads = [threading.Thread(target=self._listen, args=(one, lanes)) for one in lanes.receivers]
            stack.callback(self._join, threads)
            for thread in threads:
                thread.start()
            more = True
            while (more or self._flights or self._control.busy) and not self._stopped.is_set():
                before = self.sent
                more = self._send(lanes, more)
                self._expire()
                self._report(lanes)
                self._rest(more, idle=self.sent == before)
            self._stopped.set()
        if self._failure:
            raise self._failure[0]
        # Who is not on the link was asked for by ARP at least twice, and may have been missed like anything else.
        self._manners.meter.silence(self._absent, self._manners.meter.loss.bounds[1] ** 2)
        self._hand_over()

    def _join(self, threads: list[threading.Thread]) -> None:
        self._stopped.set()
        for thread in threads:
            thread.join()

    def _listen(self, receiver: Receiver, lanes: Lanes) -> None:
        """Take answers in: a thread of its own for each interface."""
        try:
            while not self._stopped.is_set():
                frames, lengths = receiver.receive(_REPORT_EVERY)
                if len(frames):
                    answers, controls = parse(frames, lengths, lanes.port)
                    with self._lock:
                        opened, refused = self._window.mark(answers)
                        self._control.answered(self._window, opened, refused)
                        self._control.mark(controls)
                        self._tally.answered += self._window.pairs(opened)
                        self._tally.stations |= lanes.stations(self._window.addresses[opened])
                        self._tally.refused += len(refused)
                    self._neighbourhoods.note(answers.addresses)
                if len(frames) < BATCH:
                    # Answers come one by one, and are cheap only by the hundred.
                    self._stopped.wait(_GATHER)
        except OSError as error:
            self._failure.append(error)
            self._stopped.set()

    def _send(self, lanes: Lanes, more: bool) -> bool:
        """Send what is due: control probes and repetitions first. Whether the plan may hold more."""
        now = time.monotonic()
        permitted = self._pacer.permits(now, BATCH)
        if not permitted:
            return more
        self._wedge = self._due_controls(permitted // _CONTROLS or 1, now, ending=not more)
        controls = len(self._wedge[0]) if self._wedge else 0
        sent = self._repeat(lanes, permitted - controls, now) if permitted > controls else 0
        if not sent and more and permitted > controls:
            sent, more = self._begin(lanes, permitted - controls, now)
        if self._wedge:
            lanes.send(*self._wedge, control=True)
        sent += controls
        if sent:
            self.sent += sent
            self.last_sent = time.monotonic()
        self._pacer.went(sent, time.monotonic(), unsent=permitted - sent)
        return more

    def _due_controls(self, most: int, now: float, *, ending: bool) -> tuple[Numbers, Ports, Numbers] | None:
        with self._lock:
            return self._control.take(most, now, self._manners.caps, ending=ending)

    def _transmit(self, lanes: Lanes, slots: Slots) -> None:
        """Send the probes in some slots, with the control probes somewhere among them.

        Of a burst that is too much for a link the end gets lost, so those must stand anywhere in it.
        """
        window, wedge, self._wedge = self._window, self._wedge, None
        cut = int(self._chance.integers(len(slots) + 1)) if wedge else len(slots)
        for part in (slots[:cut], slots[cut:]):
            if len(part):
                lanes.send(window.addresses[part], window.ports[part], window.sequence(part))
            if wedge:
                lanes.send(*wedge, control=True)
                wedge = None

    def _begin(self, lanes: Lanes, permitted: int, now: float) -> tuple[int, bool]:
        """Send probes for the first time. How many, and whether the plan may hold more."""
        room = min(permitted, self._window.room)
        if not room:
            return 0, True
        taken = self._supply.take(room, lanes)
        if taken is None:
            return 0, False
        addresses, ports, absent = taken
        flight = Flight(self._window.take(addresses, ports), absent)
        self._flights.append(flight)
        self._absent += absent
        with self._lock:
            self._tally.silent += absent
        self._queue(flight, flight.slots, now)
        return self._some_of(flight, lanes, permitted, now), True

    def _queue(self, flight: Flight, slots: Slots, now: float) -> None:
        """Have the probes in some slots of a flight wait for their moments."""
        flight.waiting = flight.asked = slots
        flight.drops = self._drops
        if self._manners.caps:
            moments = self._manners.caps.moments(self._window.addresses[slots].tolist(), now)
            flight.moments = np.array(moments, dtype=np.float64)

    def _repeat(self, lanes: Lanes, permitted: int, now: float) -> int:
        if not self._again or self._again[0][0] > now:
            return 0
        _, _, flight = heapq.heappop(self._again)
        return self._some_of(flight, lanes, permitted, now)

    def _some_of(self, flight: Flight, lanes: Lanes, permitted: int, now: float) -> int:
        """Send what may go now of the probes that wait in a flight. How many; the others wait on."""
        part, moment = flight.take(permitted, now)
        part = self._window.pending(part)
        if len(part):
            self._transmit(lanes, part)
        if len(flight.waiting):
            heapq.heappush(self._again, (moment, next(self._numbers), flight))
        else:
            flight.deadline = time.monotonic() + self._patience
            self._airborne.append(flight)
        return len(part)

    def _expire(self) -> None:
        """Judge the flights whose time is up or that have every answer, oldest first."""
        now = time.monotonic()
        self._judge_controls(now)
        while self._airborne:
            flight = self._airborne[0]
            pending = self._window.pending(flight.asked)
            if len(pending) and flight.deadline > now:
                break
            self._airborne.popleft()
            again = self._worth_repeating(flight, pending) if len(pending) else pending
            if gone := len(pending) - len(again):
                self._manners.meter.silence(gone, flight.doubt.risk)
            if len(again):
                self._queue(flight, again, now)
                heapq.heappush(self._again, (now, next(self._numbers), flight))
            else:
                self._end(flight)
        # A ring gives back its oldest slots first, whichever ended before.
        while self._flights and (ended := self._flights[0].ended):
            self._window.give_back(self._flights.popleft().slots)
            self._settled += ended

    def _judge_controls(self, now: float) -> None:
        with self._lock:
            asked, unanswered = self._control.ended(now)
        if asked:
            since, sent = self._mark
            self._manners.watch(asked, unanswered, now, (self.sent - sent) / max(_NAP, now - since))
            if now - since >= 1.0:
                self._mark = (now, self.sent)

    def _worth_repeating(self, flight: Flight, pending: Slots) -> Slots:
        """Which silent probes of a flight are sent once more."""
        doubt = flight.doubt
        doubt.silence(self._manners.meter.recent)
        if self._drops > flight.drops and doubt.attempts <= _ATTEMPTS_AFTER_DROPS:
            # Silence means less while the kernel drops answers: it is asked again, wherever it is.
            return pending
        if doubt.remains(lively=False):
            return pending
        if doubt.remains(lively=True):
            return pending[self._neighbourhoods.lively(self._window.addresses[pending])]
        return pending[:0]

    def _end(self, flight: Flight) -> None:
        with self._lock:
            state = self._window.state[flight.slots]
            self._window.state[flight.slots] = FREE
            counts = np.bincount(state, minlength=FREE)
            pending = int(counts[PENDING])
            lost = min(pending, self._drops - flight.drops)
            self._tally.silent += pending - lost
            if lost:
                self._tally.lost[errno.ENOBUFS] += lost
        flight.ended = Settled(
            probes=len(flight.slots) + flight.absent,
            answered=int(counts[OPEN]),
            refused=int(counts[REFUSED]),
            silent=pending - lost + flight.absent,
            lost=lost,
        )

    def _rest(self, more: bool, *, idle: bool) -> None:
        """Sleep until something may be due."""
        now = time.monotonic()
        busy = self._again or (more and self._window.room)
        wait = self._pacer.delay(now) if busy else _IDLE
        if idle and busy:
            # Whatever waits has a moment of its own.
            wait = max(wait, _NAP)
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
