"""Managed or not: every way that leads to a workload, and every way around, each with its proof."""

from datetime import timedelta

import pytest
from apiserver import ApiServerDouble
from clusters import deploy, expose, http_route, meta, only_from, owner, run_pod
from making import NOW
from surveying import standing, survey

from inventory.model import Placed, Standing
from scanner.cluster.resources import BY_KIND, Hole

FORBIDDEN = "forbidden"


def ingress(api: ApiServerDouble) -> None:
    backend = {"service": {"name": "fraud", "port": {"number": 80}}}
    paths = [{"path": "/score", "pathType": "Prefix", "backend": backend}]
    spec = {"ingressClassName": "nginx", "rules": [{"host": "fraud.test", "http": {"paths": paths}}]}
    api.put("ingresses", {"metadata": meta("risk", "fraud"), "spec": spec})


def default_backend(api: ApiServerDouble) -> None:
    spec = {"defaultBackend": {"service": {"name": "fraud", "port": {"name": "http"}}}}
    api.put("ingresses", {"metadata": meta("risk", "fraud"), "spec": spec})


def grpc_route(api: ApiServerDouble) -> None:
    spec = {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": [{"name": "fraud", "port": 80}]}]}
    api.put("grpcroutes", {"metadata": meta("risk", "fraud"), "spec": spec})


def virtual_service(api: ApiServerDouble, host: str = "fraud.risk.svc.cluster.local") -> None:
    way = {"destination": {"host": host, "port": {"number": 80}}}
    spec = {"hosts": ["fraud.test"], "gateways": ["infra/public"], "http": [{"route": [way]}]}
    api.put("virtualservices", {"metadata": meta("risk", "fraud"), "spec": spec})


def pool(api: ApiServerDouble) -> None:
    spec = {"selector": {"matchLabels": {"app": "fraud"}}, "targetPorts": [{"number": 8000}]}
    api.put("inferencepools", {"metadata": meta("risk", "fraud"), "spec": spec})
    http_route(api, "risk", "fraud", "x", rules=[{"backendRefs": [{"kind": "InferencePool", "name": "fraud"}]}])


ROUTES = {
    "HTTPRoute": lambda api: http_route(api, "risk", "fraud", "fraud"),
    "GRPCRoute": grpc_route,
    "Ingress": ingress,
    "Ingress by default": default_backend,
    "VirtualService": virtual_service,
    "VirtualService, short": lambda api: virtual_service(api, "fraud"),
    "HTTPRoute to InferencePool": pool,
}


@pytest.fixture
def api() -> ApiServerDouble:
    api = ApiServerDouble()
    deploy(api, "risk", "fraud", ["10.0.0.1", "10.0.0.2"])
    expose(api, "risk", "fraud", target="http")
    return api


@pytest.mark.parametrize("kind", ROUTES)
def test_every_kind_of_route_manages_what_it_leads_to(api, kind):
    assert standing(api, "fraud") is Standing.SHADOW
    ROUTES[kind](api)
    assert standing(api, "fraud") is Standing.BYPASSABLE
    only_from(api, "risk", "fraud")
    declared = survey(api)["fraud", 8000].declared
    assert declared.standing is Standing.MANAGED
    kinds = [hop.kind for hop in declared.path]
    assert kind.split()[0].rstrip(",") in kinds
    assert kinds[-2:] == ["Deployment", "Pod"]
    assert all(hop.leads for hop in declared.path)


def platform(api: ApiServerDouble, plural: str, kind: str, how: str) -> None:
    thing = api.put(plural, {"metadata": meta("ml", "churn")})
    label = {
        "InferenceService": {"serving.kserve.io/inferenceservice": "churn"},
        "SeldonDeployment": {"seldon-deployment-id": "churn"},
        "Notebook": {"notebook-name": "churn"},
        "Model": {"seldon-server-name": "mlserver"},
    }[kind]
    owners = [owner(thing, kind)] if how == "owner" else []
    deploy(api, "ml", "churn-predictor", ["10.0.1.1"], labels=label if how == "label" else {}, owners=owners)


@pytest.mark.parametrize(
    ("plural", "kind", "how"),
    [
        ("inferenceservices", "InferenceService", "label"),
        ("inferenceservices", "InferenceService", "owner"),
        ("seldondeployments", "SeldonDeployment", "label"),
        ("seldondeployments", "SeldonDeployment", "owner"),
        ("notebooks", "Notebook", "label"),
        ("notebooks", "Notebook", "owner"),
        ("models", "Model", "label"),
    ],
)
def test_every_platform_manages_what_runs_for_it(plural, kind, how):
    api = ApiServerDouble()
    platform(api, plural, kind, how)
    declared = survey(api)["churn-predictor", 8000].declared
    assert declared.standing is Standing.BYPASSABLE
    assert declared.by == f"{kind} ml/churn"
    assert declared.path[0].kind == kind


def test_managed_is_not_closed(api):
    http_route(api, "risk", "fraud", "fraud")
    only_from(api, "risk", "fraud")
    (key,) = {one.key for one in survey(api).values()}
    one = survey(api, answered=[key])["fraud", 8000].declared
    assert one.standing is Standing.BYPASSABLE
    assert "answers from here" in one.why


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"type": "NodePort", "more": {"nodePort": 31080}}, "node port 31080"),
        ({"type": "LoadBalancer", "more": {"nodePort": 31080}}, "load balancer"),
    ],
)
def test_a_service_beside_the_gateway_is_a_way_around(api, spec, words):
    expose(api, "risk", "fraud", target="http", **spec)
    http_route(api, "risk", "fraud", "fraud")
    only_from(api, "risk", "fraud")
    declared = survey(api)["fraud", 8000].declared
    assert declared.standing is Standing.BYPASSABLE
    assert words in declared.why


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"rules": [{"backendRefs": [{"name": "fraud", "port": 80, "weight": 0}]}]}, Standing.SHADOW),
        ({"rules": [{"backendRefs": [{"name": "fraud", "port": 81}]}]}, Standing.SHADOW),
        ({"rules": [{"backendRefs": [{"name": "fraud", "port": 80, "namespace": "elsewhere"}]}]}, Standing.SHADOW),
        ({"rules": [{"filters": [{"requestMirror": {"backendRef": {"name": "fraud", "port": 80}}}]}]}, Standing.SHADOW),
        ({}, Standing.BYPASSABLE),
    ],
    ids=["weight 0", "another port", "another namespace", "only mirrored", "as it is"],
)
def test_only_a_backend_with_requests_is_led_to(api, change, expected):
    http_route(api, "risk", "fraud", "fraud", **change)
    assert standing(api, "fraud") is expected


def grant(api: ApiServerDouble, namespace: str, source: dict[str, str], target: dict[str, str]) -> None:
    api.put("referencegrants", {"metadata": meta(namespace, "let-in"), "spec": {"from": [source], "to": [target]}})


FROM_WEB = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "web"}
SERVICE = {"group": "", "kind": "Service"}


@pytest.mark.parametrize(("where", "source", "target", "expected"), [
    (None, {}, {}, Standing.SHADOW),
    ("risk", FROM_WEB, SERVICE, Standing.BYPASSABLE),
    ("risk", FROM_WEB, SERVICE | {"name": "fraud"}, Standing.BYPASSABLE),
    ("risk", FROM_WEB, SERVICE | {"name": "other"}, Standing.SHADOW),
    ("risk", FROM_WEB, SERVICE | {"kind": "Secret"}, Standing.SHADOW),
    ("risk", FROM_WEB | {"kind": "GRPCRoute"}, SERVICE, Standing.SHADOW),
    ("risk", FROM_WEB | {"namespace": "risk"}, SERVICE, Standing.SHADOW),
    ("web", FROM_WEB, SERVICE, Standing.SHADOW),
])  # fmt: skip
def test_a_route_of_another_namespace_leads_there_only_where_it_is_let_in(api, where, source, target, expected):
    there = {"rules": [{"backendRefs": [{"name": "fraud", "namespace": "risk", "port": 80}]}]}
    http_route(api, "web", "fraud", "fraud", **there)
    if where is not None:
        grant(api, where, source, target)
    declared = survey(api)["fraud", 8000].declared
    assert declared.standing is expected
    assert "HTTPRoute web/fraud" in [str(hop) for hop in declared.path]
    assert ("no ReferenceGrant of risk lets it in" in declared.why) is (expected is Standing.SHADOW)


@pytest.mark.parametrize(("kind", "words"), [
    ("ReferenceGrant", "ReferenceGrants of risk were not read"),
    ("Ingress", "not everything that may was read"),
])  # fmt: skip
def test_whether_it_is_let_in_is_unknown_through_a_hole(api, kind, words):
    there = {"rules": [{"backendRefs": [{"name": "fraud", "namespace": "risk", "port": 80}]}]}
    http_route(api, "web", "fraud", "fraud", **there)
    declared = survey(api, Hole(BY_KIND[kind], "risk", FORBIDDEN))["fraud", 8000].declared
    assert declared.standing is Standing.UNKNOWN
    assert words in declared.why


@pytest.mark.parametrize("condition", ["Accepted", "ResolvedRefs"])
def test_a_route_that_its_gateway_refuses_leads_nowhere(api, condition):
    route = http_route(api, "risk", "fraud", "fraud")
    conditions = [{"type": condition, "status": "False", "reason": "NotAllowedByListeners"}]
    api.put("httproutes", route | {"status": {"parents": [{"conditions": conditions}]}})
    assert standing(api, "fraud") is Standing.SHADOW
    api.put("httproutes", route | {"status": {"parents": [{"conditions": conditions}, {"conditions": []}]}})
    assert standing(api, "fraud") is Standing.BYPASSABLE


LEADING = ["HTTPRoute", "GRPCRoute", "Ingress", "VirtualService", "InferenceService", "Notebook", "InferencePool"]


@pytest.mark.parametrize("kind", LEADING)
@pytest.mark.parametrize("namespace", [None, "risk"])
def test_nothing_is_a_shadow_while_something_that_may_lead_there_was_not_read(api, kind, namespace):
    hole = Hole(BY_KIND[kind], namespace, FORBIDDEN)
    declared = survey(api, hole)["fraud", 8000].declared
    assert declared.standing is Standing.UNKNOWN
    assert str(hole) in declared.why


@pytest.mark.parametrize(("kind", "expected"), [("Ingress", Standing.SHADOW), ("HTTPRoute", Standing.UNKNOWN)])
def test_a_hole_elsewhere_counts_for_what_may_lead_across_namespaces(api, kind, expected):
    assert standing(api, "fraud", 8000, Hole(BY_KIND[kind], "elsewhere", FORBIDDEN)) is expected


def test_without_the_policies_it_is_not_known_whether_it_can_be_gone_around(api):
    http_route(api, "risk", "fraud", "fraud")
    assert standing(api, "fraud", 8000, Hole(BY_KIND["NetworkPolicy"], "risk", FORBIDDEN)) is Standing.UNKNOWN
    assert standing(api, "fraud", 8000, Hole(BY_KIND["NetworkPolicy"], "other", FORBIDDEN)) is Standing.BYPASSABLE


def test_what_runs_on_after_its_owner_is_a_zombie():
    api = ApiServerDouble()
    ghostly = {"kind": "ReplicaSet", "name": "old", "uid": "gone", "controller": True}
    run_pod(api, "risk", "left-over", "10.0.0.9", owners=[ghostly])
    declared = survey(api)["left-over", 8000].declared
    assert declared.standing is Standing.ZOMBIE
    assert "ReplicaSet old is no more" in declared.why
    hole = Hole(BY_KIND["ReplicaSet"], None, FORBIDDEN)
    assert survey(api, hole)["old", 8000].declared.standing is Standing.SHADOW


@pytest.mark.parametrize(("seconds", "expected"), [(10, Standing.SHADOW), (90, Standing.ZOMBIE)])
def test_the_owner_of_a_new_pod_may_not_have_been_heard_of_yet(seconds, expected):
    api = ApiServerDouble()
    ghostly = {"kind": "ReplicaSet", "name": "new", "uid": "later", "controller": True}
    run_pod(api, "risk", "new-1", "10.0.0.9", owners=[ghostly])
    pod = next(iter(api.objects[("v1", "pods")].values()))
    pod["metadata"]["creationTimestamp"] = (NOW - timedelta(seconds=seconds)).isoformat()
    (one,) = survey(api).values()
    assert one.declared.standing is expected
    assert one.workload.name == ("new" if expected is Standing.SHADOW else "new-1")


def test_a_controller_of_an_unknown_kind_is_the_workload_and_no_zombie():
    api = ApiServerDouble()
    for number in range(2):
        rollout = {"kind": "Rollout", "name": "canary", "uid": "r1", "controller": True}
        run_pod(api, "risk", f"canary-{number}", f"10.0.0.{number + 1}", owners=[rollout])
    (one,) = survey(api).values()
    assert (one.workload.kind, one.workload.name, one.declared.standing) == ("Rollout", "canary", Standing.SHADOW)


def test_what_its_platform_no_longer_declares_is_a_zombie():
    api = ApiServerDouble()
    deploy(api, "ml", "churn", ["10.0.1.1"], labels={"serving.kserve.io/inferenceservice": "churn"})
    assert standing(api, "churn") is Standing.ZOMBIE
    assert standing(api, "churn", 8000, Hole(BY_KIND["InferenceService"], None, FORBIDDEN)) is Standing.UNKNOWN


@pytest.mark.parametrize(("minutes", "expected"), [(5, Standing.SHADOW), (15, Standing.ZOMBIE)])
def test_what_goes_on_long_after_it_was_deleted_is_a_zombie(minutes, expected):
    api = ApiServerDouble()
    run_pod(api, "risk", "slow", "10.0.0.1")
    pod = next(iter(api.objects[("v1", "pods")].values()))
    pod["metadata"]["deletionTimestamp"] = (NOW - timedelta(minutes=minutes)).isoformat()
    assert standing(api, "slow") is expected


@pytest.mark.parametrize("service", [True, False], ids=["without pods", "without a Service"])
def test_a_route_to_nothing_is_a_ghost(service):
    api = ApiServerDouble()
    api.namespace("risk")
    if service:
        expose(api, "risk", "lost")
    http_route(api, "risk", "lost", "lost")
    (one,) = survey(api).values()
    assert one.declared.standing is Standing.GHOST
    assert [hop.kind for hop in one.declared.path] == ["Gateway", "HTTPRoute", "Service"]
    assert one.said[0].address == ("10.96.0.10" if service else "lost.risk.svc")
    assert isinstance(one.said[0].fact, Placed)
    assert one.said[0].fact.pod is None


@pytest.mark.parametrize("kind", ["Pod", "Service"])
def test_no_ghost_is_seen_through_a_hole(kind):
    api = ApiServerDouble()
    api.namespace("risk")
    http_route(api, "risk", "lost", "lost")
    assert survey(api, Hole(BY_KIND[kind], "risk", FORBIDDEN)) == {}


@pytest.mark.parametrize("spec", [{"type": "ExternalName", "selector": {}}, {"selector": {}}])
def test_a_service_for_something_outside_is_no_ghost(spec):
    api = ApiServerDouble()
    api.namespace("risk")
    expose(api, "risk", "outside", **spec)
    http_route(api, "risk", "outside", "outside")
    assert survey(api) == {}


def test_a_platform_without_pods_is_a_ghost():
    api = ApiServerDouble()
    api.namespace("ml")
    api.put("inferenceservices", {"metadata": meta("ml", "churn")})
    (one,) = survey(api).values()
    assert (one.declared.standing, one.workload.kind) == (Standing.GHOST, "InferenceService")
