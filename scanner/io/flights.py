"""Probes that wait for their answers: where they are kept, and how an answer finds its probe. Nothing is sent."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Batch, Numbers, Ports
from scanner.io.frames import Answers, Sequence
from scanner.loss import Doubt
from scanner.tally import OPEN, PENDING, REFUSED, SILENT, Pair

Slots = NDArray[np.intp]
"""Places in a window."""

NO_SLOTS: Slots = np.zeros(0, dtype=np.intp)


def together(slots: Slots) -> slice | Slots:
    """The same slots as a slice where they are in a row, which is several times as quick to write to."""
    if len(slots) and int(slots[-1]) - int(slots[0]) == len(slots) - 1:
        return slice(int(slots[0]), int(slots[-1]) + 1)
    return slots


class Window:
    """A ring of slots, one a probe, written by the sender and marked by the receiver.

    The slot travels in the sequence number, added to the keyed hash: an answer is valid where the
    probe in the slot that it points to went to its very sender. The ring is a power of two in size;
    ``states`` is where the states are kept, and ``next`` counts the probes from ``begin`` on.
    """

    def __init__(self, size: int, states: memoryview | None = None, begin: int = 0) -> None:
        self.size = size
        self.used = 0
        self.next = begin
        self.addresses: Numbers = np.zeros(size, dtype=np.uint32)
        self.ports: Ports = np.zeros(size, dtype=np.uint16)
        self.state: NDArray[np.uint8] = np.frombuffer(states or bytearray([SILENT]) * size, dtype=np.uint8)
        self._sequence = Sequence()

    @property
    def room(self) -> int:
        """How many more probes there is a slot for."""
        return self.size - self.used

    def take(self, addresses: Numbers, ports: Ports) -> Slots:
        """Slots for some probes, no more than there is room for; they are pending now."""
        slots = self.place(addresses, ports)
        self.state[together(slots)] = PENDING
        return slots

    def place(self, addresses: Numbers, ports: Ports) -> Slots:
        """Slots for some probes, whose states stay what they are."""
        slots = np.arange(self.next, self.next + len(addresses), dtype=np.intp) & (self.size - 1)
        self.next += len(slots)
        self.used += len(slots)
        where = together(slots)
        self.addresses[where], self.ports[where] = addresses, ports
        return slots

    def give_back(self, slots: Slots) -> None:
        """Let slots be taken again. A ring gives back its oldest ones first."""
        self.used -= len(slots)

    def pending(self, slots: Slots) -> Slots:
        """Those of some slots whose probe waits for an answer."""
        pending: Slots = slots[self.state[slots] == PENDING]
        return pending

    def sequence(self, slots: Slots) -> Numbers:
        """The sequence numbers of the probes in some slots."""
        return self._sequence.of(self.addresses[slots], self.ports[slots]) + slots.astype(np.uint32)

    def mark(self, answers: Answers) -> tuple[Slots, Slots]:
        """Note answers: the slots that are newly open, and those that are newly refused."""
        slots = (answers.sequence - self._sequence.of(answers.addresses, answers.ports)).astype(np.intp)
        valid = slots < self.size
        slots[~valid] = 0
        valid &= (self.addresses[slots] == answers.addresses) & (self.ports[slots] == answers.ports)
        valid &= self.state[slots] == PENDING
        # Of answers that contradict each other in one batch, the one that opens stays.
        refused = np.unique(slots[valid & ~answers.open])
        opened = np.unique(slots[valid & answers.open])
        self.state[refused] = REFUSED
        self.state[opened] = OPEN
        return opened, refused[self.state[refused] == REFUSED]

    def pairs(self, slots: Slots) -> list[Pair]:
        """The addresses and ports in some slots, as text and number."""
        numbers, ports = self.addresses[slots].tolist(), self.ports[slots].tolist()
        return [(dotted(number), port) for number, port in zip(numbers, ports, strict=True)]


def dotted(number: int) -> str:
    """An IPv4 address as text."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass(slots=True)
class Flight:
    """Probes that were sent at about the same time, as often as each other.

    ``slots`` are those of this attempt, ``waiting`` those of them that are yet to be sent, and ``moments`` when each
    may go, where they have moments. ``drops`` is how many answers the kernel had dropped when the first of them went.
    """

    slots: Slots = field(default_factory=lambda: NO_SLOTS)
    drops: int = 0
    deadline: float = 0.0
    doubt: Doubt = field(default_factory=Doubt)
    waiting: Slots = field(default_factory=lambda: NO_SLOTS)
    moments: NDArray[np.float64] | None = None

    def take(self, most: int, now: float) -> tuple[Slots, float]:
        """Slots that may be sent now, which wait no longer, and when the next of the others may be."""
        if self.moments is None:
            part, self.waiting = self.waiting[:most], self.waiting[most:]
            return part, now
        ready = np.flatnonzero(self.moments <= now)[:most]
        part = self.waiting[ready]
        self.waiting, self.moments = np.delete(self.waiting, ready), np.delete(self.moments, ready)
        return part, float(self.moments.min()) if len(self.moments) else now


class Present(Protocol):
    """Knows which addresses have a station."""

    def present(self, addresses: Numbers) -> NDArray[np.bool_]:
        """Which of the addresses have one."""
        ...


class Supply:
    """Hands out the pairs of batches in the sizes that may be sent, and says which of them have a station."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._addresses: Numbers = np.zeros(0, dtype=np.uint32)
        self._ports: Ports = np.zeros(0, dtype=np.uint16)
        self._present: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)
        self._stations: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._taken = 0

    def take(self, most: int, room: int, stations: Present) -> tuple[Numbers, Ports, NDArray[np.bool_]] | None:
        """Addresses, ports, and which have a station: at most ``most`` have, of ``room`` in all. None at the end."""
        if self._taken == len(self._addresses):
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._addresses, self._ports, self._taken = batch.addresses, batch.ports, 0
            self._present = stations.present(batch.addresses)
            self._stations = np.flatnonzero(self._present)
        there = self._stations[np.searchsorted(self._stations, self._taken) :]
        end = int(there[most - 1]) + 1 if len(there) > most else len(self._addresses)
        part = slice(self._taken, min(end, self._taken + room))
        self._taken = part.stop
        return self._addresses[part], self._ports[part], self._present[part]


class Neighbourhoods:
    """Which /24 networks answered anything: a table by the low 24 bits of their numbers, so by all of them."""

    def __init__(self) -> None:
        # Sixteen million bytes of address space, of which the kernel gives only the pages that are written.
        self._lively: NDArray[np.bool_] = np.zeros(1 << 24, dtype=np.bool_)

    def note(self, addresses: Numbers) -> None:
        """These answered."""
        self._lively[addresses >> np.uint32(8)] = True

    def lively(self, addresses: Numbers) -> NDArray[np.bool_]:
        """Whether anything in the same network answered, address by address."""
        found: NDArray[np.bool_] = self._lively[addresses >> np.uint32(8)]
        return found
