"""Which ports accept connections, by SYN frames of our own: no socket a probe, and the answers validated statelessly.

Needs CAP_NET_RAW and an Ethernet interface. The account is as exact as that of ``scanner.io.connect``:
a probe is answered (SYN-ACK), refused (RST), silent (nothing, also to its repetition), or lost
(nothing, while the kernel dropped answers for want of room).
"""

import errno
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Batch, Members, Numbers, Ports
from scanner.io.arp import Neighbours, sweep
from scanner.io.connect import Pair, Tally
from scanner.io.frames import LENGTH, Answers, Sequence, Templates, parse
from scanner.io.ways import Way
from scanner.io.wire import BATCH, Receiver, Sender, answers_to
from scanner.pacing import Pacer

RETRIES = 1
"""Repetitions of a probe that nothing answered."""

_MORE_AFTER_DROPS = 2
_WINDOW = 1 << 20
_FLIGHT = 4096
_FLIGHT_SECONDS = 0.02
_REPORT_EVERY = 0.1
_NAP = 0.001
_PENDING, _OPEN, _REFUSED = 0, 1, 2


class _Window:
    """The probes that wait for answers: a ring of slots, written by the sender and marked by the receiver.

    The slot travels in the sequence number, added to the keyed hash: an answer is valid where the
    probe in the slot that it points to went to its very sender.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.addresses: Numbers = np.zeros(size, dtype=np.uint32)
        self.ports: Ports = np.zeros(size, dtype=np.uint16)
        self.state: NDArray[np.uint8] = np.full(size, _REFUSED, dtype=np.uint8)
        self._sequence = Sequence()

    def sequence(self, slots: NDArray[np.intp]) -> Numbers:
        """The sequence numbers of the probes in some slots."""
        return self._sequence.of(self.addresses[slots], self.ports[slots]) + slots.astype(np.uint32)

    def mark(self, answers: Answers) -> list[Pair]:
        """Note answers, and give the pairs that are newly open."""
        slots = (answers.sequence - self._sequence.of(answers.addresses, answers.ports)).astype(np.intp)
        valid = slots < self.size
        slots[~valid] = 0
        valid &= (self.addresses[slots] == answers.addresses) & (self.ports[slots] == answers.ports)
        valid &= self.state[slots] == _PENDING
        self.state[slots[valid & ~answers.open]] = _REFUSED
        opened = np.unique(slots[valid & answers.open])
        self.state[opened] = _OPEN
        numbers, ports = self.addresses[opened].tolist(), self.ports[opened].tolist()
        return [(_dotted(number), port) for number, port in zip(numbers, ports, strict=True)]


def _dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass(slots=True)
class _Flight:
    """Probes that were sent at about the same time. ``start`` and ``count`` are slots, counted without end.

    ``waiting`` are those of them still to be sent or sent again.
    """

    start: int
    count: int
    upto: int
    began: float
    absent: int = 0
    attempts: int = 0
    deadline: float = 0.0
    drops: int = 0
    done: bool = False
    lost: int = 0
    waiting: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


class _Lanes:
    """The sockets of each interface, the templates of each way, and which pair takes which."""

    def __init__(self, ways: tuple[Way, ...], pacer: Pacer, stop: threading.Event, stack: ExitStack) -> None:
        self._reserved = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        # A port that the kernel gives to nobody else, and on which it has no connection: it resets what
        # a server opens, so that no half of a connection is left behind.
        self._reserved.bind(("", 0))
        self.port = int(self._reserved.getsockname()[1])
        self.ways = ways
        self.members = [Members(way.addresses) for way in ways]
        self.neighbours = [_neighbours(way, members, pacer, stop) for way, members in zip(ways, self.members, strict=True)]
        self.templates = Templates([template(way, self.port) for way in ways])
        names = list(dict.fromkeys(way.interface for way in ways))
        self.lane_of = np.array([names.index(way.interface) for way in ways])
        self.senders, self.receivers = [], []
        for name in names:
            self.senders.append(Sender(name, LENGTH))
            stack.callback(self.senders[-1].close)
            self.receivers.append(Receiver(name, answers_to(self.port)))
            stack.callback(self.receivers[-1].close)

    def which(self, addresses: Numbers) -> NDArray[np.intp]:
        """The way of each address."""
        found = np.zeros(len(addresses), dtype=np.intp)
        for number, members in enumerate(self.members[1:], 1):
            found[members.contain(addresses)] = number
        return found

    def present(self, addresses: Numbers) -> NDArray[np.bool_]:
        """Which addresses have a station, as far as the link tells: all of those behind a router."""
        which = self.which(addresses)
        known = np.ones(len(addresses), dtype=np.bool_)
        for number, way in enumerate(self.ways):
            here = np.flatnonzero(which == number)
            if way.gateway is None:
                known[here], _ = self.neighbours[number].find(addresses[here])
            elif not len(self.neighbours[number].addresses):
                known[here] = False
        return known

    def send(self, addresses: Numbers, ports: Ports, sequence: Numbers) -> None:
        """Send one frame to each pair, each of which has a way and a station."""
        which = self.which(addresses)
        for lane, sender in enumerate(self.senders):
            mine = np.flatnonzero(self.lane_of[which] == lane)
            for begin in range(0, len(mine), BATCH):
                part = mine[begin : begin + BATCH]
                self.templates.fill(sender.frames, which[part], addresses[part], ports[part], sequence[part])
                for number in np.unique(which[part]):
                    rows = np.flatnonzero(which[part] == number)
                    neighbours = self.neighbours[number]
                    if self.ways[number].gateway is None:
                        _, at = neighbours.find(addresses[part][rows])
                        sender.frames[rows, :6] = neighbours.hardware[at]
                    else:
                        sender.frames[rows, :6] = neighbours.hardware[0]
                sender.send(len(part))


def _neighbours(way: Way, members: Members, pacer: Pacer, stop: threading.Event) -> Neighbours:
    if way.gateway is None:
        asked = members.at(np.arange(len(way.addresses), dtype=np.uint64))
    else:
        asked = np.array([int.from_bytes(socket.inet_aton(way.gateway), "big")], dtype=np.uint32)
    return sweep(way.interface, way.hardware, way.source, asked, pacer, stop)


def template(way: Way, port: int) -> bytes:
    """A SYN with the segment size of Ethernet, and zeros where ``Templates`` fills in."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    nowhere = "0.0.0.0"  # noqa: S104
    segment = TCP(sport=port, dport=0, seq=0, flags="S", window=1024, options=[("MSS", 1460)], chksum=0)
    packet = IP(src=way.source, dst=nowhere, id=0, flags="DF", ttl=64, chksum=0) / segment
    return bytes(Ether(src=way.hardware, dst="00:00:00:00:00:00") / packet)
