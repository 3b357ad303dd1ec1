"""The graph joins what is known, and its exports are what their formats say."""

import json

import networkx as nx
import pytest
from making import NOW, endpoint, route

from inventory.graph import FORMATS, build, export, neighbourhood
from inventory.model import GatewayStatus, Revision

REVISION = Revision(route="iris", number=3, spec=route(), at=NOW, who="ana", why="adopt")
GATEWAY = GatewayStatus(id="local", address="127.0.0.1:8780", healthy=True, heartbeat_at=NOW, revisions={"iris": 3})
HOSTILE = endpoint(
    id="bad234", address="127.0.0.66", url="http://127.0.0.66:5000", product='x"]; click n0 "javascript:"'
)


@pytest.fixture
def graph():
    return build([endpoint(owner="ana"), HOSTILE], [REVISION], [GATEWAY])


def test_a_gateway_leads_to_the_endpoint_that_its_route_fronts(graph):
    path = nx.shortest_path(graph, "gateway:local", "endpoint:abc234")
    assert path == ["gateway:local", "route:iris", "endpoint:abc234"]
    assert graph.edges["route:iris", "endpoint:abc234"]["weight"] == 100
    assert {data["type"] for _, data in graph.nodes(data=True)} == {
        "site", "host", "endpoint", "exposure", "owner", "route", "gateway",
    }  # fmt: skip


def test_a_removed_route_leads_nowhere():
    gone = REVISION.model_copy(update={"spec": None})
    assert "route:iris" not in build([endpoint()], [gone], [])


def test_a_neighbourhood_is_a_part(graph):
    near = neighbourhood(graph, "endpoint:abc234", 1)
    assert "host:default/127.0.0.9" in near
    assert "endpoint:bad234" not in near
    with pytest.raises(KeyError):
        neighbourhood(graph, "endpoint:none")


def test_exports_can_be_read_again(graph):
    assert set(nx.parse_graphml(export(graph, "graphml"))) == set(graph)
    assert set(nx.node_link_graph(json.loads(export(graph, "json")), edges="edges")) == set(graph)
    with pytest.raises(ValueError, match="mermaid, graphml, json"):
        export(graph, "dot")
    assert FORMATS == ("mermaid", "graphml", "json")


def test_a_name_cannot_leave_its_quotes_in_a_diagram(graph):
    diagram = export(graph, "mermaid")
    for line in diagram.splitlines()[1:]:
        assert line.count('"') in {0, 2}
    assert 'click n0 "' not in diagram
