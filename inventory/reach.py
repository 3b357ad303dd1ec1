"""Questions to the graph: how an endpoint can be reached, what hangs on a thing, what stands alone, what joins zones.

Pure, and bounded: every question walks the neighbourhood of one node, never the whole graph, except the two
lists, which look at each endpoint once.
"""

import ipaddress
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from inventory.graph import Graph

MOST_PATHS: Final = 50
LONGEST: Final = 8
INTERNET, NETWORK, CLUSTER = "internet", "network", "cluster"
_INSIDE: Final = frozenset({"pod", "service"})
_WAYS: Final = frozenset({"reaches", "routes", "serves", "runs"})


@dataclass(frozen=True, slots=True)
class Path:
    """One way in: from a zone, over nodes of the graph, to the endpoint at its end."""

    zone: str
    nodes: tuple[str, ...]


def zone_of(via: str, url: str) -> str:
    """From where an exposure is open: the internet, the site's network, or only its cluster.

    A public address is open to the internet as far as can be told from here; a name is taken for the
    network's, because nothing was resolved.
    """
    host = urlsplit(url).hostname or ""
    try:
        if ipaddress.ip_address(host).is_global:
            return INTERNET
    except ValueError:
        pass
    return CLUSTER if via in _INSIDE else NETWORK


def ways_in(graph: Graph, endpoint: str) -> tuple[Path, ...]:
    """How the endpoint of that node can be reached from outside, the shortest first, at most ``MOST_PATHS``.

    Back from the endpoint along what reaches, routes, serves and runs, to where each way begins.
    """
    found: list[Path] = []
    waiting: deque[tuple[str, ...]] = deque([(endpoint,)])
    while waiting and len(found) < MOST_PATHS:
        nodes = waiting.popleft()
        here = nodes[0]
        before = [s for s, _, data in graph.in_edges(here, data=True) if data["relation"] in _WAYS and s not in nodes]
        data = graph.nodes[here]
        if data["type"] == "exposure" and data.get("via") != "backend":
            found.append(Path(zone_of(data["via"], here.partition(":")[2]), nodes))
        elif data["type"] == "gateway":
            found.append(Path(NETWORK, nodes))
        if len(nodes) < LONGEST:
            waiting.extend((one, *nodes) for one in sorted(before) if graph.nodes[one]["type"] != "host")
    order = {INTERNET: 0, NETWORK: 1, CLUSTER: 2}
    return tuple(sorted(found, key=lambda path: (order[path.zone], len(path.nodes), path.nodes)))


def blast_radius(graph: Graph, node: str) -> frozenset[str]:
    """What an intruder at a node is next to: endpoints of the same host, what they route to, who fronts them.

    From an endpoint: its host and everything on it, the routes that lead to it and the gateways that serve
    those. From a host, route, gateway or owner: every endpoint below it, and the same for each of these.
    """
    below = _below(graph, node)
    found = {node, *below}
    for one in [node, *below]:
        if graph.nodes[one]["type"] != "endpoint":
            continue
        for source, _, data in graph.in_edges(one, data=True):
            if data["relation"] == "runs":
                found |= {source, *graph.successors(source)}
            elif data["relation"] == "routes":
                found |= {source, *graph.predecessors(source)}
    return frozenset(found)


def touched_by(graph: Graph, route: str) -> frozenset[str]:
    """What a change of a route's node touches: its backends, the gateways that serve it, and other routes to those."""
    found = {route, *graph.predecessors(route)}
    for backend in graph.successors(route):
        found.add(backend)
        found |= {s for s, _, data in graph.in_edges(backend, data=True) if data["relation"] == "routes"}
    return frozenset(found)


def orphans(graph: Graph) -> Iterator[str]:
    """The endpoints that nobody owns and no route leads to."""
    for node, data in graph.nodes(data=True):
        if data["type"] == "endpoint":
            relations = {edge["relation"] for _, _, edge in graph.in_edges(node, data=True)}
            if not relations & {"owns", "routes"}:
                yield node


def bridges(graph: Graph) -> Iterator[str]:
    """The endpoints with ways in from more than one zone: whoever is in the outer one may come to the inner one."""
    for node, data in graph.nodes(data=True):
        if data["type"] != "endpoint":
            continue
        zones = {
            zone_of(graph.nodes[source]["via"], source.partition(":")[2])
            for source, _, edge in graph.in_edges(node, data=True)
            if edge["relation"] == "reaches"
        }
        if len(zones) > 1:
            yield node


def _below(graph: Graph, node: str) -> set[str]:
    found: set[str] = set()
    waiting = [node]
    while waiting:
        for one in graph.successors(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found
