"""Who is on a link by IPv6: what the kernel knows of its neighbours, and who answers an echo to all of them.

A /64 has too many addresses to ask for one by one, as ARP does. Sources: RFC 4861 for neighbours, RFC 4443 for the
echo (whose answer to a multicast address is left to each node), rtnetlink(7) and neigh(7) for the kernel's table.
"""

import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

import numpy as np
from numpy.typing import NDArray

from scanner.io.frames import Frames
from scanner.io.ways import interfaces, unfit
from scanner.io.wire import Receiver, Sender, echo_replies

Stations = dict[IPv6Address, str]
"""Hardware addresses, as text, by address."""

MOST = 65_536
"""Neighbours of one network that are kept: a station can answer from as many addresses as it likes."""

_ROUNDS, _ENOUGH = 6, 2
"""Echoes to a link at most, and how many in a row that nobody new answers are enough."""
_PATIENCE = 0.7
_LENGTH, _TYPE = 62, 54
_ON_LINK = "::"

_GET_NEIGHBOURS, _NEW_NEIGHBOUR, _ERROR, _DONE = 30, 28, 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_DESTINATION, _HARDWARE = 1, 2
_CODE, _FIXED = 4, 12
_NOBODY = 0x01 | 0x20 | 0x40
"""States of a neighbour that has not answered, no longer does, or needs no answer: INCOMPLETE, FAILED, NOARP."""


@dataclass(frozen=True, slots=True)
class Link6:
    """The part of a network that is on the link of an interface, and who this machine is there.

    ``unfit`` says why no frames can be sent on it, if none can.
    """

    interface: str
    index: int
    hardware: str
    source: str
    network: IPv6Network
    unfit: str | None = None


def links_of(network: IPv6Network) -> tuple[Link6, ...]:
    """The links that a network, or a part of it, is on. Raises OSError where the kernel does not tell."""
    named = interfaces()
    from scapy.arch.linux.rtnetlink import read_routes6

    found = []
    for prefix, length, gateway, name, sources, _ in read_routes6():
        route = IPv6Network((prefix, length))
        mine = [source for source in sources if IPv6Address(source) in route]
        if gateway != _ON_LINK or length in {0, 128} or not mine or name not in named or not route.overlaps(network):
            continue
        # Every link has those, so that an address does not say where it is.
        if route.is_link_local or route.is_multicast:
            continue
        link = named[name]
        part = network if network.subnet_of(route) else route
        found.append(Link6(name, link.index, link.hardware, mine[0], part, unfit(name, link)))
    return tuple(dict.fromkeys(found))


def known(link: Link6) -> Stations:
    """What the kernel knows of its neighbours in the network of a link. Sends nothing. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(5.0)
        asked = struct.pack("=BxHiHBB", socket.AF_INET6, 0, 0, 0, 0, 0)
        sock.send(struct.pack("=IHHII", 16 + len(asked), _GET_NEIGHBOURS, _REQUEST | _DUMP, 1, 0) + asked)
        stations: Stations = {}
        more = True
        while more:
            entries, more = neighbours(sock.recv(1 << 17))
            for index, address, hardware in entries:
                if index == link.index and address in link.network:
                    stations[address] = hardware
    return dict(list(stations.items())[:MOST])


def neighbours(message: bytes) -> tuple[list[tuple[int, IPv6Address, str]], bool]:
    """The stations (interface, address, hardware) that a netlink message tells of, and whether more follow. Pure.

    Raises OSError for an error of the kernel.
    """
    found: list[tuple[int, IPv6Address, str]] = []
    offset = 0
    while offset + 16 <= len(message):
        length, kind = struct.unpack_from("=IH", message, offset)
        body = message[offset + 16 : offset + length]
        if kind == _ERROR and len(body) >= _CODE:
            code = -struct.unpack_from("=i", body)[0]
            raise OSError(code, os.strerror(code & 0xFF))
        if kind == _DONE:
            return found, False
        if kind == _NEW_NEIGHBOUR and len(body) >= _FIXED:
            family, index, state = struct.unpack_from("=BxxxiH", body)
            values = dict(_attributes(body[_FIXED:]))
            address, hardware = values.get(_DESTINATION, b""), values.get(_HARDWARE, b"")
            if family == socket.AF_INET6 and not state & _NOBODY and len(address) == 16 and len(hardware) == 6:
                found.append((index, IPv6Address(address), hardware.hex(":")))
        offset += max(16, length + 3 & ~3)
    return found, True


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        yield kind, data[offset + 4 : offset + length]
        offset += max(4, length + 3 & ~3)


def heard(link: Link6, stop: threading.Event) -> Stations:
    """Who of the network of a link answers an echo to all nodes, asked until nobody new does. Raises OSError.

    The question reaches everybody on the link, whoever they are.
    """
    identity = secrets.randbelow(1 << 16)
    stations: Stations = {}
    sender, receiver = Sender(link.interface, _LENGTH), Receiver(link.interface, echo_replies())
    try:
        quiet = 0
        for number in range(_ROUNDS):
            sender.frames[0, :_LENGTH] = np.frombuffer(_echo(link, identity, number), dtype=np.uint8)
            sender.send(1)
            before, until = len(stations), time.monotonic() + _PATIENCE
            while (left := until - time.monotonic()) > 0 and len(stations) < MOST:
                for address, hardware in echoed(*receiver.receive(left), identity):
                    if address in link.network:
                        stations.setdefault(address, hardware)
            quiet = quiet + 1 if len(stations) == before else 0
            if quiet == _ENOUGH or len(stations) >= MOST or stop.is_set():
                break
    finally:
        sender.close()
        receiver.close()
    return stations


def echoed(frames: Frames, lengths: NDArray[np.uint32], identity: int) -> Iterator[tuple[IPv6Address, str]]:
    """Who sent those of some frames that answer an echo of ``identity``: addresses and hardware. Pure."""
    for frame, length in zip(frames, lengths, strict=True):
        octets = frame[:_LENGTH].tobytes()
        if length >= _LENGTH and octets[_TYPE] == 129 and int.from_bytes(octets[58:60], "big") == identity:
            yield IPv6Address(octets[22:38]), octets[6:12].hex(":")


def _echo(link: Link6, identity: int, number: int) -> bytes:
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.layers.l2 import Ether

    packet = IPv6(src=link.source, dst="ff02::1", hlim=255) / ICMPv6EchoRequest(id=identity, seq=number)
    return bytes(Ether(src=link.hardware, dst="33:33:00:00:00:01") / packet)
