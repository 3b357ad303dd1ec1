"""IPv6 networks that are too large to walk: of them, whoever is on a link of this machine is scanned.

That somebody is not among the neighbours proves nothing, so the plan is about those found alone, and
what else there may be stays unknown.
"""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_network
from typing import TYPE_CHECKING

from inventory.model import Neighbours
from scanner.io.ways import may_send_frames
from scanner.targets import LARGEST_IPV6_PREFIX, Addresses, Network, TargetError, can_be_walked

if TYPE_CHECKING:
    from scanner.io.ndp import Link6, Stations

_LINK_LOCAL = IPv6Network("fe80::/10")


@dataclass(slots=True)
class _Found:
    stations: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shortfalls: list[str] = field(default_factory=list)


def of_neighbours(found: Neighbours) -> list[Addresses]:
    """Neighbours as targets."""
    return [Addresses(ip_network(address)) for address in found.stations]


def unwalkable(targets: Iterable[Addresses]) -> tuple[IPv6Network, ...]:
    """The networks among some targets of which only neighbours can be scanned."""
    networks = (one.network for one in targets if not can_be_walked(one.network))
    return tuple(dict.fromkeys(network for network in networks if isinstance(network, IPv6Network)))


def require_a_link_named(targets: Iterable[Addresses]) -> None:
    """Raises TargetError for a link-local target: its address is on every link, and does not say which is meant."""
    for one in targets:
        if isinstance(one.network, IPv6Network) and one.network.subnet_of(_LINK_LOCAL):
            whole = one.network.num_addresses > 1
            name = one.network if whole else one.network.network_address
            raise TargetError(f"'{name}' is link-local: it does not say which link it is on, and cannot be scanned")


def require_links(networks: Iterable[IPv6Network]) -> None:
    """Raises TargetError for a network that is on no link of this machine. Sends nothing."""
    # With numpy and scapy, which a scan without frames can do without.
    from scanner.io.ndp import links_of

    for network in networks:
        try:
            links = links_of(network)
        except OSError as error:
            raise TargetError(f"the neighbours in '{network}' cannot be found: {error}") from error
        if not links:
            raise TargetError(_nowhere(network))


async def find_neighbours(networks: Iterable[IPv6Network], exclude: Sequence[Network]) -> Neighbours:
    """The neighbours in some networks, which are authorised: each link is asked a few times. Raises OSError.

    An echo to all nodes reaches what is excluded too: a link with an exclusion is asked nothing, only the kernel is.
    """
    found = _Found()
    stop = threading.Event()
    try:
        for network in networks:
            await asyncio.to_thread(_look, network, exclude, found, stop)
    finally:
        # The thread of a caller who was cancelled ends with its present round.
        stop.set()
    return Neighbours(stations=found.stations, notes=tuple(found.notes), shortfalls=tuple(found.shortfalls))


def _look(network: IPv6Network, exclude: Sequence[Network], found: _Found, stop: threading.Event) -> None:
    from scanner.io.ndp import MOST, heard, known, links_of

    links = links_of(network)
    stations: Stations = {}
    for link in links:
        stations |= known(link)
        why = _silent(link)
        if any(one.version == 6 and link.network.overlaps(one) for one in exclude):
            found.notes.append(
                f"on {link.interface} only the kernel was asked who is in {link.network}: an echo to all nodes would "
                "reach what is excluded"
            )
        elif why is None:
            stations |= heard(link, stop)
        else:
            found.shortfalls.append(f"on {link.interface} only the kernel was asked who is in {link.network}: {why}")
    kept = sorted(stations)[:MOST]
    if len(stations) >= MOST:
        found.shortfalls.append(f"{MOST} addresses of {network} were found, and further ones left out")
    found.stations.update((str(address), stations[address]) for address in kept)
    if links:
        found.notes.append(_told(network, links, len(kept)))
    if rest := _elsewhere(network, links):
        found.shortfalls.append(rest)


def _silent(link: "Link6") -> str | None:
    """Why nothing can be sent on a link, if nothing can."""
    if link.unfit is None and not may_send_frames():
        return "this process may not open raw sockets (CAP_NET_RAW)"
    return link.unfit


def _told(network: IPv6Network, links: "tuple[Link6, ...]", count: int) -> str:
    names = " and ".join(dict.fromkeys(link.interface for link in links))
    who = "no neighbour was" if not count else f"{count} neighbour{'s were' if count > 1 else ' was'}"
    return f"of {network} {who} found on {names}, and who else is there is unknown"


def _elsewhere(network: IPv6Network, links: "tuple[Link6, ...]") -> str | None:
    parts = dict.fromkeys(link.network for link in links)
    if network in parts:
        return None
    if not parts:
        return f"{network} is on no link any more"
    return f"of {network} only {' and '.join(map(str, parts))} is on a link: the rest was not looked at"


def _nowhere(network: IPv6Network) -> str:
    return (
        f"'{network}' holds {network.num_addresses:.1e} addresses, which no scan can walk, and is on no link of this "
        f"machine, where neighbours could be found: name addresses, or networks of /{LARGEST_IPV6_PREFIX} or smaller"
    )
