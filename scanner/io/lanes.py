"""Probes out of several interfaces over several ways: which pair takes which, and with what frame."""

import errno
import socket
import threading
from contextlib import ExitStack, suppress

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Members, Numbers, Ports
from scanner.io.arp import Neighbours, sweep
from scanner.io.flights import dotted
from scanner.io.frames import LENGTH, Templates
from scanner.io.ways import Way
from scanner.io.wire import BATCH, Receiver, Sender, answers_to
from scanner.pacing import Pacer

_TRIES = 100


class Lanes:
    """The sockets of each interface and the frames of each way. Raises OSError where they cannot be had.

    ``stack`` closes what is opened here. Stations on the link and routers are asked for by ARP first,
    through the pacer.
    """

    def __init__(self, ways: tuple[Way, ...], pacer: Pacer, stop: threading.Event, stack: ExitStack) -> None:
        self.port = _two_ports(stack)
        self._ways = ways
        self._members = [Members(way.addresses) for way in ways]
        self._neighbours = [
            sweep(way.interface, way.hardware, way.source, _asked(way, members), pacer, stop)
            for way, members in zip(ways, self._members, strict=True)
        ]
        hardware = [_next_hop(way, known) for way, known in zip(ways, self._neighbours, strict=True)]
        self._templates, self._control = (
            Templates([template(way, next_hop, port) for way, next_hop in zip(ways, hardware, strict=True)])
            for port in (self.port, self.port + 1)
        )
        names = list(dict.fromkeys(way.interface for way in ways))
        self._lane_of = np.array([names.index(way.interface) for way in ways], dtype=np.intp)
        self._on_link = any(way.gateway is None for way in ways)
        self._certain = all(
            way.gateway and len(known.addresses) for way, known in zip(ways, self._neighbours, strict=True)
        )
        self._senders, self.receivers = [], []
        for name in names:
            self._senders.append(Sender(name, LENGTH))
            stack.callback(self._senders[-1].close)
            self.receivers.append(Receiver(name, answers_to(self.port)))
            stack.callback(self.receivers[-1].close)

    @property
    def drops(self) -> int:
        """How many answers the kernel dropped so far for want of room."""
        return sum(receiver.count_drops() for receiver in self.receivers)

    def present(self, addresses: Numbers) -> NDArray[np.bool_]:
        """Which addresses have a station, as far as can be told: all of those behind a router that answers."""
        if self._certain:
            return np.ones(len(addresses), dtype=np.bool_)
        known = np.zeros(len(addresses), dtype=np.bool_)
        which = self._which(addresses)
        for number, way in enumerate(self._ways):
            here = np.flatnonzero(which == number)
            if way.gateway is None:
                known[here], _ = self._neighbours[number].find(addresses[here])
            else:
                known[here] = len(self._neighbours[number].addresses) > 0
        return known

    def stations(self, addresses: Numbers) -> dict[str, str]:
        """The hardware addresses of those of some addresses that are on a link, as text."""
        found: dict[str, str] = {}
        for way, known in zip(self._ways, self._neighbours, strict=True):
            if way.gateway is None:
                there, at = known.find(addresses)
                rows = zip(addresses[there].tolist(), known.hardware[at], strict=True)
                found.update((dotted(number), bytes(hardware).hex(":")) for number, hardware in rows)
        return found

    def send(self, addresses: Numbers, ports: Ports, sequence: Numbers, *, control: bool = False) -> None:
        """Send one frame to each pair, each of which has a way and a station. Raises OSError.

        Control probes come from the port after ours, so that their answers are known apart.
        """
        which = self._which(addresses)
        templates = self._control if control else self._templates
        if len(self._senders) == 1:
            self._send(0, templates, which, addresses, ports, sequence)
            return
        for lane in range(len(self._senders)):
            mine = np.flatnonzero(self._lane_of[which] == lane)
            self._send(lane, templates, which[mine], addresses[mine], ports[mine], sequence[mine])

    def _send(
        self,
        lane: int,
        templates: Templates,
        which: NDArray[np.intp],
        addresses: Numbers,
        ports: Ports,
        sequence: Numbers,
    ) -> None:
        sender = self._senders[lane]
        for begin in range(0, len(addresses), BATCH):
            part = slice(begin, begin + BATCH)
            templates.fill(sender.frames, which[part], addresses[part], ports[part], sequence[part])
            if self._on_link:
                self._address(sender, which[part], addresses[part])
            sender.send(len(addresses[part]))

    def _address(self, sender: Sender, which: NDArray[np.intp], addresses: Numbers) -> None:
        for number in np.unique(which):
            if self._ways[number].gateway is None:
                rows = np.flatnonzero(which == number)
                neighbours = self._neighbours[number]
                _, at = neighbours.find(addresses[rows])
                sender.frames[rows, :6] = neighbours.hardware[at]

    def _which(self, addresses: Numbers) -> NDArray[np.intp]:
        found = np.zeros(len(addresses), dtype=np.intp)
        for number, members in enumerate(self._members[1:], 1):
            found[members.contain(addresses)] = number
        return found


def _two_ports(stack: ExitStack) -> int:
    """An even port, which with the next one the kernel gives to nobody else.

    It has no connection on them, so it resets what a server opens: no half of a connection is left behind.
    """
    for _ in range(_TRIES):
        with ExitStack() as reserved, suppress(OSError):
            first, second = (reserved.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in "ab")
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            second.bind(("", port ^ 1))
            stack.enter_context(reserved.pop_all())
            return port & ~1
    raise OSError(errno.EADDRINUSE, "there are no two free ports side by side")


def _asked(way: Way, members: Members) -> Numbers:
    if way.gateway is None:
        return members.at(np.arange(len(way.addresses), dtype=np.uint64))
    return np.array([int.from_bytes(socket.inet_aton(way.gateway), "big")], dtype=np.uint32)


def _next_hop(way: Way, known: Neighbours) -> bytes:
    if way.gateway is None or not len(known.addresses):
        return bytes(6)
    return bytes(known.hardware[0])


def template(way: Way, next_hop: bytes, port: int) -> bytes:
    """A SYN with the segment size of Ethernet, and zeros where ``Templates`` fills in."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether

    segment = TCP(sport=port, dport=0, seq=0, flags="S", window=1024, options=[("MSS", 1460)], chksum=0)
    packet = IP(src=way.source, dst="0.0.0.0", id=0, flags="DF", ttl=64, chksum=0) / segment  # noqa: S104
    frame: bytes = bytes(Ether(src=way.hardware, dst=next_hop.hex(":")) / packet)
    return frame
