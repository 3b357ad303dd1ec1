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
from numpy.typing import NDArray

from scanner.batches import Batch, Numbers, Ports
from scanner.io.control import Control
from scanner.io.flights import Flight, Neighbourhoods, Slots, Supply, Window, together
from scanner.io.frames import Answers, parse
from scanner.io.lanes import Lanes
from scanner.io.record import MOST_AT_ONCE, Record, Spent, clock
from scanner.io.ways import Way
from scanner.io.wire import BATCH
from scanner.manners import Manners
from scanner.tally import LOST, OPEN, REFUSED, SILENT, Settled, Tally, settled_of

_ATTEMPTS_AFTER_DROPS = 3
_MOST_COUNTED = 255
_SAMPLE = 32
"""Answers of a batch whose age is looked at."""

_CONTROLS = 4
"""One in so many frames of a burst is a control probe, at most."""
_REPORT_EVERY = 0.1
_REPORT_OPEN_EVERY = 0.02
"""Seconds after which an open port is told of at the latest: who is to be asked waits for it."""

_REPORT_AT = 256
_NAP = 0.003
_IDLE = 0.01
_GATHER = 0.005


class SynScan:
    """Probes the pairs of batches until they end or ``stop`` is called. ``run`` blocks, as in ``ConnectScan``.

    ``timeout`` is in seconds and holds for a probe and its repetition; further ones have half of it each.
    ``batches`` begin at the base of the ``record``: what it knows of their pairs is taken up from there.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        ways: tuple[Way, ...],
        manners: Manners,
        deliver: Callable[[Tally], None],
        *,
        timeout: float,
        record: Record | None = None,
    ) -> None:
        self._supply = Supply(batches)
        self._record = record = record or Record.in_memory()
        self._attempts = np.frombuffer(record.attempts, dtype=np.uint8)
        self._moments = np.frombuffer(record.moments, dtype=np.uint32)
        self._ways = ways
        self._manners = manners
        self._pacer = manners.pacer
        self._deliver = deliver
        self._patience = timeout / 2
        self._window = Window(record.size, record.states, record.base)
        self._control = Control(self._patience, manners.meter.loss.asked)
        self._neighbourhoods = Neighbourhoods()
        self.sent = 0
        """Frames sent so far, repetitions and control probes among them."""
        self.last_sent = 0.0
        """When the last one went, by ``time.monotonic``."""
        self._airborne: deque[Flight] = deque()
        self._again: list[tuple[float, int, Flight]] = []
        self._numbers = count()
        self._wedge: tuple[Numbers, Ports, Numbers] | None = None
        self._chance = np.random.default_rng()
        self._mark = (time.monotonic(), 0)
        self._tally = Tally()
        self._told = Settled()
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
            if not self._stopped.is_set():
                self._take_up(lanes)
            self._heard = [time.monotonic()] * len(lanes.receivers)
            threads = [threading.Thread(target=self._listen, args=(lane, lanes)) for lane in range(len(self._heard))]
            stack.callback(self._join, threads)
            for thread in threads:
                thread.start()
            more = True
            while (more or self._airborne or self._again or self._control.busy) and not self._stopped.is_set():
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

    def _listen(self, lane: int, lanes: Lanes) -> None:
        """Take answers in: a thread of its own for each interface."""
        try:
            while not self._stopped.is_set():
                frames, lengths = lanes.receivers[lane].receive(_REPORT_EVERY)
                now = time.monotonic()
                if len(frames):
                    self._take_in(*parse(frames, lengths, lanes.port), lanes, now)
                if len(frames) < BATCH:
                    self._heard[lane] = now
                    self._record.heard(min(self._heard))
                    # Answers come one by one, and are cheap only by the hundred.
                    self._stopped.wait(_GATHER)
        except OSError as error:
            self._failure.append(error)
            self._stopped.set()

    def _take_in(self, answers: Answers, controls: Answers, lanes: Lanes, now: float) -> None:
        with self._lock:
            opened, refused = self._window.mark(answers)
            self._control.answered(self._window, opened, refused)
            self._control.mark(controls)
            self._tally.answered += self._window.pairs(opened)
            self._tally.stations |= lanes.stations(self._window.addresses[opened])
            self._tally.refused += len(refused)
        self._neighbourhoods.note(answers.addresses)
        slots = np.concatenate((opened[:_SAMPLE], refused[:_SAMPLE]))
        if len(slots):
            # Of those that were asked again it is not known which of the probes they answer.
            waited = np.uint32(clock(now)) - self._moments[slots[self._attempts[slots] == 1]]
            self._record.answers(len(waited), float(waited.max(initial=0)) / 1000)

    def _take_up(self, lanes: Lanes) -> None:
        """Go on from the record: count what had ended, and have the others wait for what they lack."""
        window, spent, end = self._window, self._record.spent(), self._record.taken
        while window.next < end:
            taken = self._supply.take(end - window.next, end - window.next, lanes)
            if taken is None:
                break
            addresses, ports, present = taken
            slots = window.place(addresses, ports)
            gone = window.pending(slots[~present])
            window.state[gone] = SILENT
            state = window.state[slots]
            opened = slots[state == OPEN]
            self._tally.answered += window.pairs(opened)
            self._tally.stations |= lanes.stations(window.addresses[opened])
            self._tally.recall(settled_of(state.tobytes()))
            self._neighbourhoods.note(addresses[(state == OPEN) | (state == REFUSED)])
            self._resume(window.pending(slots), spent)
        if end > self._record.begun_at:
            self._hand_over()

    def _resume(self, pending: Slots, spent: Spent) -> None:
        """Have probes that were interrupted asked as often as all others, the answers that nobody heard apart."""
        now, loss = time.monotonic(), self._manners.meter.loss
        moments = self._moments[pending].tolist()
        unheard = np.array([spent.on(moment) < spent.patience for moment in moments], dtype=np.bool_)
        unheard &= self._attempts[pending] > 0
        known = self._attempts[pending] - unheard
        self._attempts[pending] = known
        for attempts, interrupted in {*zip(known.tolist(), unheard.tolist(), strict=True)}:
            flight = Flight()
            for _ in range(attempts):
                flight.doubt.silence(loss)
            slots = pending[(known == attempts) & (unheard == interrupted)]
            if interrupted:
                flight.doubt.interrupted(loss)
            if interrupted or not attempts:
                self._ask(flight, slots, now)
            else:
                self._judge(flight, slots, now)

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
        record, window = self._record, self._window
        if record.room <= 0:
            return 0, True
        taken = self._supply.take(permitted, min(record.room, MOST_AT_ONCE), lanes)
        if taken is None:
            return 0, False
        addresses, ports, present = taken
        slots = window.take(addresses, ports)
        self._attempts[together(slots)] = 0
        absent, slots = slots[~present], slots[present]
        window.state[absent] = SILENT
        # A kill before this forgets them, and none of them has gone.
        record.taken = window.next
        self._absent += len(absent)
        with self._lock:
            self._tally.silent += len(absent)
        flight = Flight()
        self._queue(flight, slots, now)
        return self._some_of(flight, lanes, permitted, now), True

    def _queue(self, flight: Flight, slots: Slots, now: float) -> None:
        """Have the probes in some slots wait for their moments."""
        flight.waiting = flight.slots = slots
        flight.drops = self._drops
        if self._manners.caps:
            moments = self._manners.caps.moments(self._window.addresses[slots].tolist(), now)
            flight.moments = np.array(moments, dtype=np.float64)

    def _ask(self, flight: Flight, slots: Slots, now: float) -> None:
        """Have the probes in some slots sent when it is their turn."""
        self._queue(flight, slots, now)
        heapq.heappush(self._again, (now, next(self._numbers), flight))

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
            where = together(part)
            self._moments[where] = clock(now)
            self._attempts[where] = np.minimum(self._attempts[where], _MOST_COUNTED - 1) + 1
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
            pending = self._window.pending(flight.slots)
            if len(pending) and flight.deadline > now:
                break
            self._airborne.popleft()
            if len(pending):
                flight.doubt.silence(self._manners.meter.recent)
                self._judge(flight, pending, now)

    def _judge(self, flight: Flight, pending: Slots, now: float) -> None:
        """Ask the silent ones of a flight once more where that is worth it, and give the others up."""
        again = self._worth_repeating(flight, pending)
        if not again.all():
            self._give_up(flight, pending[~again])
        if again.any():
            self._ask(flight, pending[again], now)

    def _judge_controls(self, now: float) -> None:
        with self._lock:
            asked, unanswered = self._control.ended(now)
        if asked:
            since, sent = self._mark
            self._manners.watch(asked, unanswered, now, (self.sent - sent) / max(_NAP, now - since))
            if now - since >= 1.0:
                self._mark = (now, self.sent)

    def _worth_repeating(self, flight: Flight, pending: Slots) -> NDArray[np.bool_]:
        """Which silent probes of a flight are sent once more."""
        doubt = flight.doubt
        if self._drops > flight.drops and doubt.attempts <= _ATTEMPTS_AFTER_DROPS:
            # Silence means less while the kernel drops answers: it is asked again, wherever it is.
            return np.ones(len(pending), dtype=np.bool_)
        if doubt.remains(lively=False):
            return np.ones(len(pending), dtype=np.bool_)
        if doubt.remains(lively=True):
            return self._neighbourhoods.lively(self._window.addresses[pending])
        return np.zeros(len(pending), dtype=np.bool_)

    def _give_up(self, flight: Flight, slots: Slots) -> None:
        with self._lock:
            # The answers to some have come since.
            slots = self._window.pending(slots)
            lost = min(len(slots), self._drops - flight.drops)
            self._window.state[slots] = SILENT
            self._window.state[slots[:lost]] = LOST
            self._tally.silent += len(slots) - lost
            if lost:
                self._tally.lost[errno.ENOBUFS] += lost
        self._manners.meter.silence(len(slots), flight.doubt.risk)

    def _rest(self, more: bool, *, idle: bool) -> None:
        """Sleep until something may be due."""
        now = time.monotonic()
        busy = self._again or (more and self._record.room > 0)
        wait = self._pacer.delay(now) if busy else _IDLE
        if idle and busy:
            # Whatever waits has a moment of its own.
            wait = max(wait, _NAP)
        if wait > 0:
            self._stopped.wait(max(_NAP, min(wait, _IDLE)))

    def _report(self, lanes: Lanes) -> None:
        now = time.monotonic()
        opened = len(self._tally.answered)
        if opened >= _REPORT_AT or now - self._reported >= (_REPORT_OPEN_EVERY if opened else _REPORT_EVERY):
            self._drops = lanes.drops
            self._hand_over()
            self._reported = now

    def _hand_over(self) -> None:
        with self._lock:
            tally, self._tally = self._tally, Tally()
            tally.settled = self._record.settle()
            self._record.expect(self._patience)
        if tally.probes or tally.settled != self._told:
            self._told = tally.settled
            self._deliver(tally)
