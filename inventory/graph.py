"""The inventory as a graph: a projection for questions and exports, never the source of truth.

Nodes carry ``type``: site, host, endpoint, exposure, owner, route, gateway, and for what runs in a
cluster: cluster, object. Edges point from what
holds to what is held, and carry ``relation``.
"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import networkx as nx

from inventory.garbage import nothing_is_garbage
from inventory.listing import Point
from inventory.model import Endpoint, GatewayStatus, Membership, Revision

if TYPE_CHECKING:
    Graph: TypeAlias = "nx.DiGraph[str]"
else:
    Graph = nx.DiGraph
FORMATS = ("mermaid", "graphml", "json")


def build(
    endpoints: Iterable[Endpoint | Point], routes: Iterable[Revision], gateways: Iterable[GatewayStatus]
) -> Graph:
    """The graph of everything given. Nodes are named ``type:key``."""
    graph: Graph = nx.DiGraph()
    with nothing_is_garbage():
        for endpoint in endpoints:
            _add_endpoint(graph, endpoint)
        for revision in routes:
            _add_route(graph, revision)
        for gateway in gateways:
            _node(graph, "gateway", gateway.id, label=gateway.id, healthy=gateway.healthy)
            for route in gateway.revisions:
                _edge(graph, f"gateway:{gateway.id}", f"route:{route}", "serves")
    return graph


def neighbourhood(graph: Graph, node: str, distance: int = 2) -> Graph:
    """What lies within ``distance`` edges of a node, either way, and the whole proof of its standing.

    KeyError where there is no such node.
    """
    if node not in graph:
        raise KeyError(node)
    # A view: to copy the whole graph in order to walk a corner of it would take seconds at scale.
    near = nx.single_source_shortest_path_length(graph.to_undirected(as_view=True), node, cutoff=distance)
    found: Graph = graph.subgraph({*near, *_proof(graph, node)}).copy()
    return found


def _proof(graph: Graph, node: str) -> set[str]:
    """What lies on the path that proves an endpoint's standing, however long it is."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        here = waiting.pop()
        before = [source for source, _, data in graph.in_edges(here, data=True) if data.get("proof")]
        waiting += [source for source in before if source not in found]
        found.update(before)
    return found


def export(graph: Graph, form: str) -> str:
    """The graph as text: ``mermaid`` (flowchart), ``graphml`` or ``json`` (node-link)."""
    if form == "graphml":
        return "\n".join(nx.generate_graphml(graph)) + "\n"
    if form == "json":
        return json.dumps(nx.node_link_data(graph, edges="edges"), indent=2) + "\n"
    if form == "mermaid":
        return _mermaid(graph)
    raise ValueError(f"there is no graph format {form!r}; the formats are {', '.join(FORMATS)}")


def _add_endpoint(graph: Graph, endpoint: Endpoint | Point) -> None:
    # Straight to networkx, and nothing twice: of this there are hundreds of thousands.
    site, host, node = f"site:{endpoint.site}", f"host:{endpoint.site}/{endpoint.address}", f"endpoint:{endpoint.id}"
    if host not in graph:
        if site not in graph:
            graph.add_node(site, type="site", label=endpoint.site)
        graph.add_node(host, type="host", label=endpoint.address)
        graph.add_edge(site, host, relation="contains")
    graph.add_node(
        node,
        type="endpoint",
        label=f"{endpoint.product or endpoint.kind or 'unidentified'} :{endpoint.port}",
        kind=str(endpoint.kind or ""),
        posture=str(endpoint.posture),
        governance=str(endpoint.governance),
        routing=str(endpoint.routing),
        risk=endpoint.risk,
    )
    graph.add_edge(host, node, relation="runs")
    for each in endpoint.exposures:
        way = f"exposure:{each.url}"
        graph.add_node(way, type="exposure", label=f"{each.via} {each.url}", via=each.via)
        graph.add_edge(way, node, relation="reaches")
    if endpoint.cluster:
        _add_membership(graph, node, endpoint.cluster)
    if endpoint.owner:
        owner = f"owner:{endpoint.owner}"
        if owner not in graph:
            graph.add_node(owner, type="owner", label=endpoint.owner)
        graph.add_edge(owner, node, relation="owns")


def _add_membership(graph: Graph, endpoint: str, place: Membership) -> None:
    """The workload and its standing, and the path that proves it, hop by hop, to the endpoint."""
    workload = place.workload
    cluster = _node(graph, "cluster", workload.cluster, label=f"cluster {workload.cluster[:8]}")
    before = None
    for hop in place.path:
        node = _node(graph, "object", f"{workload.cluster}/{hop.kind}/{hop.namespace}/{hop.name}", label=str(hop))
        if before is None:
            _edge(graph, cluster, node, "contains", proof=True)
        else:
            _edge(graph, before[0], node, before[1], proof=True)
        before = (node, hop.leads)
    if before is not None:
        graph.nodes[endpoint]["standing"] = place.standing.value
        _edge(graph, before[0], endpoint, f"is {place.standing.value}", proof=True)


def _add_route(graph: Graph, revision: Revision) -> None:
    if revision.spec is None:
        return
    route = _node(graph, "route", revision.route, label=revision.route, revision=revision.number)
    for backend in revision.spec.backends:
        target = f"endpoint:{backend.endpoint}"
        if backend.endpoint is None or target not in graph:
            target = _node(graph, "exposure", backend.url, label=f"backend {backend.url}", via="backend")
        _edge(graph, route, target, "routes", weight=backend.weight, backend=backend.name)


def _node(graph: Graph, type_: str, key: str, **attributes: Any) -> str:
    name = f"{type_}:{key}"
    graph.add_node(name, type=type_, **attributes)
    return name


def _edge(graph: Graph, source: str, target: str, relation: str, **attributes: Any) -> None:
    graph.add_edge(source, target, relation=relation, **attributes)


_SHAPES = {"site": ("[[", "]]"), "route": ("{{", "}}"), "gateway": ("[/", "/]"), "owner": ("([", "])")}


def _mermaid(graph: Graph) -> str:
    lines = ["flowchart LR"]
    names = {node: f"n{index}" for index, node in enumerate(sorted(graph))}
    for node, name in names.items():
        left, right = _SHAPES.get(graph.nodes[node]["type"], ("[", "]"))
        lines.append(f'  {name}{left}"{_mermaid_text(graph.nodes[node].get("label", node))}"{right}')
    for source, target, data in sorted(graph.edges(data=True), key=lambda edge: edge[:2]):
        weight = f" {data['weight']}%" if "weight" in data else ""
        lines.append(f"  {names[source]} -->|{_mermaid_text(data['relation'])}{weight}| {names[target]}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """Text that cannot end its quotes nor become markup in a page that renders the diagram."""
    return "".join(c if c.isalnum() or c in " .:/-_[]%" else f"#{ord(c)};" for c in text)
