"""Control probes: doors that have answered are asked again, to see how much gets lost on the way.

A sample: all of the first few hundred that answer, then one in sixteen until there are enough for a
judgement to the thousandth, then one in sixty-four. They go through the same pacer and caps as all
probes, from a source port of their own.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Numbers, Ports
from scanner.caps import Caps
from scanner.io.flights import Flight, Slots, Window
from scanner.io.frames import Answers
from scanner.loss import ENOUGH
from scanner.tally import SILENT

FIRST = 400
"""Doors of which every one is asked again, so that small scans know their loss to a few percent."""

_SHARES = 16, 64

_WINDOW = 1 << 15
_MOST_WAITING = 8192
_GATHER, _AT_LEAST = 0.02, 128


class Control:
    """The sample and its answers. ``before`` is how many were asked by the scan that goes on here."""

    def __init__(self, patience: float, before: int = 0) -> None:
        self._patience = patience
        self._window = Window(_WINDOW)
        self._flights: deque[Flight] = deque()
        self._wanted: list[tuple[Numbers, Ports]] = []
        self._due: tuple[Numbers, Ports, NDArray[np.float64]] = (
            np.zeros(0, dtype=np.uint32),
            np.zeros(0, dtype=np.uint16),
            np.zeros(0),
        )
        self._waiting = 0
        self._chosen = before
        self._skip = 0
        self._sent_at = 0.0

    @property
    def busy(self) -> bool:
        """Whether something is yet to be asked or answered."""
        return bool(self._waiting or self._flights)

    def answered(self, window: Window, opened: Slots, refused: Slots) -> None:
        """Choose from doors that answered for the first time."""
        slots = np.concatenate((opened, refused))
        if self._chosen >= FIRST:
            share = _SHARES[self._chosen >= ENOUGH]
            skip = self._skip % share
            self._skip = (skip - len(slots)) % share
            slots = slots[skip::share]
        if not len(slots) or self._waiting >= _MOST_WAITING:
            return
        self._wanted.append((window.addresses[slots], window.ports[slots]))
        self._waiting += len(slots)
        self._chosen += len(slots)

    def mark(self, answers: Answers) -> None:
        """Note the answers to control probes."""
        self._window.mark(answers)

    def take(self, most: int, now: float, caps: Caps, *, ending: bool) -> tuple[Numbers, Ports, Numbers] | None:
        """Addresses, ports and sequence numbers of what is to be asked now, if anything. It counts as sent.

        They are gathered for a moment, because a few frames cost as much as many; not when it is ``ending``.
        """
        most = min(most, self._window.room)
        hurried = ending or now - self._sent_at >= _GATHER
        if not most or not self._waiting or (self._waiting < _AT_LEAST and not hurried):
            return None
        addresses, ports, moments = self._gathered(now, caps)
        ready = np.flatnonzero(moments <= now)[:most]
        self._due = (np.delete(addresses, ready), np.delete(ports, ready), np.delete(moments, ready))
        if not len(ready):
            return None
        addresses, ports = addresses[ready], ports[ready]
        slots = self._window.take(addresses, ports)
        self._waiting -= len(slots)
        self._sent_at = now
        self._flights.append(Flight(slots, deadline=now + self._patience))
        return addresses, ports, self._window.sequence(slots)

    def _gathered(self, now: float, caps: Caps) -> tuple[Numbers, Ports, NDArray[np.float64]]:
        """Everything that waits, with the moments at which it may go."""
        if not self._wanted:
            return self._due
        addresses = np.concatenate([one for one, _ in self._wanted])
        ports = np.concatenate([one for _, one in self._wanted])
        moments = np.array(caps.moments(addresses.tolist(), now)) if caps else np.zeros(len(addresses))
        self._wanted = []
        due = self._due
        return np.append(due[0], addresses), np.append(due[1], ports), np.append(due[2], moments)

    def ended(self, now: float) -> tuple[int, int]:
        """How many probes were judged since the last call, and how many of them met silence.

        In the order in which they went: otherwise the quick answers alone would be counted for a while.
        """
        asked = unanswered = 0
        while self._flights:
            flight = self._flights[0]
            pending = self._window.pending(flight.slots)
            if len(pending) and flight.deadline > now:
                break
            self._flights.popleft()
            asked += len(flight.slots)
            unanswered += len(pending)
            self._window.state[flight.slots] = SILENT
            self._window.give_back(flight.slots)
        return asked, unanswered
