"""Questions to the graph, and its exports for other tools."""

import csv
import io
import json

import pytest
from making import NOW, ago, endpoint, route

from inventory.exports import cyclonedx, edges_csv, sarif
from inventory.graph import build
from inventory.listing import Point
from inventory.model import Exposure, GatewayStatus, Governance, Kind, Posture, Presence, Revision, Routing
from inventory.reach import blast_radius, bridges, orphans, touched_by, ways_in, zone_of
from inventory.risk import assess

HOME = "http://127.0.0.9:5000"
INGRESS = Exposure(via="ingress", url="https://iris.example/")
ONE = endpoint(owner="ana", exposures=(Exposure(via="address", url=HOME), INGRESS))
NEIGHBOUR = endpoint(id="nei234", port=5001, url="http://127.0.0.9:5001",
                     exposures=(Exposure(via="pod", url="http://127.0.0.9:5001"),
                                Exposure(via="service", url="http://iris.ml:80")))  # fmt: skip
PUBLIC = endpoint(id="pub234", address="1.1.1.1", url="http://1.1.1.1:5000",
                  exposures=(Exposure(via="address", url="http://1.1.1.1:5000"),
                             Exposure(via="service", url="http://iris.ml:80")))  # fmt: skip
REVISION = Revision(route="iris", number=3, spec=route(), at=NOW, who="ana", why="adopt")
GATEWAY = GatewayStatus(id="local", address="127.0.0.1:8780", healthy=True, heartbeat_at=NOW, revisions={"iris": 3})


@pytest.fixture
def graph():
    return build([ONE, NEIGHBOUR, PUBLIC], [REVISION], [GATEWAY])


@pytest.mark.parametrize(
    ("via", "url", "zone"),
    [("address", "http://1.1.1.1:80", "internet"), ("load-balancer", "http://[2606:4700::1]/", "internet"),
     ("address", HOME, "network"), ("ingress", "https://iris.example/", "network"), ("pod", HOME, "cluster"),
     ("service", "http://iris.ml:80", "cluster"), ("node-port", "http://10.0.0.3:30080", "network")],
)  # fmt: skip
def test_zones(via: str, url: str, zone: str):
    assert zone_of(via, url) == zone


def test_every_way_in_begins_outside_and_ends_at_the_endpoint(graph):
    paths = ways_in(graph, "endpoint:abc234")
    assert [(path.zone, path.nodes) for path in paths] == [
        ("network", ("exposure:http://127.0.0.9:5000", "endpoint:abc234")),
        ("network", ("exposure:https://iris.example/", "endpoint:abc234")),
        ("network", ("gateway:local", "route:iris", "endpoint:abc234")),
    ]
    assert ways_in(graph, "endpoint:pub234")[0].zone == "internet"


def test_the_blast_radius_is_the_host_the_routes_and_their_gateways(graph):
    radius = blast_radius(graph, "endpoint:abc234")
    assert {"host:default/127.0.0.9", "endpoint:nei234", "route:iris", "gateway:local"} <= radius
    assert "endpoint:pub234" not in radius
    assert blast_radius(graph, "endpoint:nei234") & {"endpoint:abc234"}
    assert blast_radius(graph, "owner:ana") >= {"endpoint:abc234", "route:iris"}


def test_a_change_of_a_route_touches_its_backends_and_gateways(graph):
    assert touched_by(graph, "route:iris") == {
        "route:iris", "gateway:local", "endpoint:abc234", "exposure:http://127.0.0.9:8000",
    }  # fmt: skip


def test_orphans_and_bridges(graph):
    assert set(orphans(graph)) == {"endpoint:nei234", "endpoint:pub234"}
    assert set(bridges(graph)) == {"endpoint:pub234"}


def test_a_point_makes_the_graph_that_its_endpoint_makes():
    point = Point(**{name: getattr(ONE, name) for name in Point._fields})
    light = build([point], [REVISION], [GATEWAY])
    whole = build([ONE], [REVISION], [GATEWAY])
    assert dict(light.nodes(data=True)) == dict(whole.nodes(data=True))
    assert set(light.edges) == set(whole.edges)


def test_a_bill_of_services_has_what_its_schema_requires():
    document = json.loads(cyclonedx([ONE, NEIGHBOUR.model_copy(update={"posture": Posture.UNKNOWN})], NOW))
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert document["serialNumber"].startswith("urn:uuid:")
    one, two = document["services"]
    assert (one["name"], one["bom-ref"], one["authenticated"], one["x-trust-boundary"]) == (
        "flask",
        "abc234",
        False,
        True,
    )
    assert one["endpoints"] == [HOME, "https://iris.example/"]
    assert "authenticated" not in two
    assert document == json.loads(cyclonedx([ONE, NEIGHBOUR.model_copy(update={"posture": Posture.UNKNOWN})], NOW))


@pytest.fixture(scope="module")
def schema():
    """CycloneDX's own. Only its tests load it: that takes longer than to collect a thousand others."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6)


@pytest.mark.parametrize("one", [ONE, NEIGHBOUR, PUBLIC], ids=lambda one: one.id)
@pytest.mark.parametrize("posture", Posture)
def test_what_is_written_is_cyclonedx_by_its_own_schema(one, posture, schema):
    odd = one.model_copy(update={"posture": posture, "version": "1.0", "product": "<b>\x1b", "owner": 'a"\n'})
    document = cyclonedx([one.model_copy(update={"posture": posture}), odd.model_copy(update={"id": "odd"})], NOW)
    assert schema.validate_str(document) is None
    broken = document.replace('"services"', '"servants"')
    assert schema.validate_str(broken) is not None


def test_results_for_a_pipeline_are_the_ungoverned():
    governed = endpoint(id="gov234", governance=Governance.MANAGED, routing=Routing.SEALED)
    gone = endpoint(id="gon234", presence=Presence.GONE)
    web = endpoint(id="web234", kind=Kind.ORDINARY_WEB)
    log = json.loads(sarif([ONE.model_copy(update={"risk": 80}), governed, gone, web], "1"))
    (run,) = log["runs"]
    (result,) = run["results"]
    assert (log["version"], result["level"], result["ruleId"]) == ("2.1.0", "error", "model-endpoint")
    assert result["ruleId"] in {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == HOME


def test_edges_are_rows_that_no_spreadsheet_runs():
    hostile = endpoint(owner="=cmd()", site="a")
    rows = list(csv.DictReader(io.StringIO(edges_csv(build([hostile], [], [])))))
    assert {row["relation"] for row in rows} >= {"contains", "runs", "owns"}
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def test_ways_in_and_an_expired_certificate_are_reasons():
    def weights(**parts):
        return {reason.why: reason.weight for reason in assess(endpoint(**parts), NOW)[1]}

    assert any("ingress" in why for why in weights(exposures=(INGRESS,)))
    assert any("every node" in why for why in weights(exposures=(Exposure(via="node-port", url=HOME),)))
    assert any("expired" in why for why in weights(tls_expires=ago(days=1)))
    assert not any("expired" in why for why in weights(tls_expires=ago(days=-1)))
