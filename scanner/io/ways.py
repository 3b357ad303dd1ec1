"""How this machine reaches addresses: which interface, from which address, over which next hop.

The routes and interfaces are scapy's, which reads them from the kernel. Where several tables of
routes are in force the kernel may decide otherwise, so every way is held against its word.
"""

import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from scanner.spans import Spans

LARGEST_LINK = 1 << 20
"""Addresses on one link whose hardware addresses are asked for, one by one, before they are probed."""

_NONE = "0.0.0.0"  # noqa: S104 - scapy's word for no gateway and no source
_NOTHING = "00:00:00:00:00:00"
_ETHERNET = 1
_LOOPBACK = Spans.of([ip_network("127.0.0.0/8"), ip_network("::1/128")])
_NO_ARP, _POINT_TO_POINT, _UP = 0x80, 0x10, 0x1


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the routing table. ``gateway`` None: the network is on the link."""

    network: IPv4Network
    interface: str
    gateway: str | None
    source: str | None
    metric: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """An interface: its kind (ARPHRD_ numbers), flags (IFF_), hardware address, IPv4 addresses and number."""

    kind: int
    flags: int
    hardware: str
    addresses: tuple[str, ...]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """Addresses that are reached alike. ``gateway`` None: each is on the link. ``hardware`` is the interface's."""

    addresses: Spans
    interface: str
    hardware: str
    source: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways of frames, and why the other addresses have none: reason by reason, without a set of its own."""

    ways: tuple[Way, ...]
    reasons: tuple[str, ...]

    @property
    def addresses(self) -> Spans:
        """Whatever frames can reach."""
        together = Spans()
        for way in self.ways:
            together = together | way.addresses
        return together


def may_send_frames() -> bool:
    """Whether this process may open packet sockets (CAP_NET_RAW)."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


Routes = tuple[list[Route], dict[str, Link]]
"""The routes and interfaces of this machine at one moment."""


def framed(wanted: Spans) -> tuple[Spans, tuple[str, ...]]:
    """Those of some addresses that frames may reach as far as can be told at once, and why the others may not."""
    reasons: list[str] = []
    if wanted & _LOOPBACK:
        reasons.append("loopback has no link layer")
    rest = wanted - _LOOPBACK
    version_4 = Spans(tuple(span for span in rest.spans if span[0] == 4))
    if rest - version_4:
        reasons.append("IPv6 goes by connecting")
    if version_4 and not may_send_frames():
        reasons.append("this process may not open raw sockets (CAP_NET_RAW)")
        version_4 = Spans()
    return version_4, tuple(reasons)


def find_ways(wanted: Spans, here: Routes | None = None) -> Ways:
    """The ways to IPv4 addresses that are reached over Ethernet by a process that may send frames.

    ``here`` is what was read a moment ago.
    """
    wanted, others = framed(wanted)
    return _find(wanted, list(others), here or read_routes()) if wanted else Ways((), others)


def _find(wanted: Spans, reasons: list[str], here: Routes) -> Ways:
    routes, links = here
    own = Spans.of(IPv4Network(address) for link in links.values() for address in link.addresses)
    together: dict[tuple[str, str, str | None], tuple[Spans, str]] = {}
    for addresses, route in by_route(wanted - own, routes):
        link = links.get(route.interface)
        reason = unfit(route.interface, link) or _mismatch(addresses, route)
        if reason is None and route.gateway is None and len(addresses) > LARGEST_LINK:
            reason = f"{len(addresses)} addresses on the link of {route.interface} are too many to ask for"
        if reason is not None:
            reasons.append(reason)
        elif route.source and link:
            way = (route.interface, route.source, route.gateway)
            before, _ = together.get(way, (Spans(), link.hardware))
            together[way] = (before | addresses, link.hardware)
    if wanted & own:
        reasons.append("this machine reaches its own addresses without a link")
    if unrouted := wanted - own - Spans.of(route.network for route in routes):
        reasons.append(f"there is no route to {unrouted.address(0)}")
    ways = tuple(
        Way(addresses, interface, hardware, source, gateway)
        for (interface, source, gateway), (addresses, hardware) in together.items()
    )
    return Ways(ways, tuple(dict.fromkeys(reasons)))


def by_route(wanted: Spans, routes: Iterable[Route]) -> list[tuple[Spans, Route]]:
    """Which addresses take which route: the longest prefix wins, then the least metric. Pure."""
    found: list[tuple[Spans, Route]] = []
    for route in sorted(routes, key=lambda one: (-one.network.prefixlen, one.metric)):
        network = Spans.of([route.network])
        if part := wanted & network:
            found.append((part, route))
            wanted = wanted - network
    return found


def interfaces() -> dict[str, Link]:
    """The interfaces of this machine as they are now, by name."""
    # What scapy knows of them is as old as its import.
    fresh = "scapy.arch" not in sys.modules
    # Narrowly: scapy.all takes a second and reads every protocol there is.
    import scapy.arch.linux  # noqa: F401
    from scapy.config import conf

    if not fresh:
        conf.ifaces.reload()
    return {
        one.name: Link(one.type, int(one.flags), one.mac or _NOTHING, tuple(one.ips[4]), one.index)
        for one in conf.ifaces.values()
    }


def read_routes() -> Routes:
    """The routes and interfaces of this machine."""
    links = interfaces()
    from scapy.arch.linux import rtnetlink

    routes = []
    for network, mask, gateway, name, source, metric in rtnetlink.read_routes():
        addresses = links[name].addresses if name in links else ()
        routes.append(
            Route(
                network=IPv4Network((network, str(IPv4Address(mask))), strict=False),
                interface=name,
                gateway=None if gateway == _NONE else gateway,
                source=source if source != _NONE else next(iter(addresses), None),
                metric=metric,
            )
        )
    return routes, links


def unfit(name: str, link: Link | None) -> str | None:
    """Why frames cannot be sent on an interface, as a clause. None where they can."""
    if link is not None and link.flags & _POINT_TO_POINT:
        return f"{name} is a point-to-point interface, without a link layer to send frames on"
    if link is None or link.kind != _ETHERNET or link.flags & _NO_ARP:
        return f"{name} is no Ethernet interface"
    return None if link.flags & _UP else f"{name} is down"


def _mismatch(addresses: Spans, route: Route) -> str | None:
    """Why the kernel's own choice for the first address is another, if it is."""
    first = addresses.address(0)
    chosen = None
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        # Connecting a datagram socket looks up the route and sends nothing.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.connect((first, 9))
        chosen = sock.getsockname()[0]
    if chosen == route.source:
        return None
    return f"the kernel sends to {first} in a way of its own" if chosen else f"there is no route to {first}"
