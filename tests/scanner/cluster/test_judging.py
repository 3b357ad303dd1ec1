"""Candidates, owners, policies and exposures: pure, by what objects say."""

import pytest
from apiserver import ApiServerDouble
from clusters import deploy, expose, http_route, meta, pod_spec, pod_status, run_pod
from making import NOW
from surveying import survey, world_of

from inventory.model import Identified, Kind, Owned, Placed, Reached
from scanner.cluster.candidates import weigh
from scanner.cluster.objects import Container, Meta, PodObject, read_pod
from scanner.cluster.policies import entry
from scanner.cluster.proxy import Door
from scanner.cluster.routing import Selector, read_policy
from scanner.cluster.workloads import image_behind, running


@pytest.fixture
def api() -> ApiServerDouble:
    return ApiServerDouble()


def facts(api: ApiServerDouble, name: str, kind: type, port: int = 8000) -> list:
    return [said.fact for said in survey(api)[name, port].said if isinstance(said.fact, kind)]


@pytest.mark.parametrize(
    ("spec", "kind", "product"),
    [
        ({"image": "vllm/vllm-openai:v0.9"}, Kind.MODEL_ENDPOINT, "vllm"),
        ({"image": "nvcr.test/nvidia/tritonserver:24.01-py3"}, Kind.MODEL_ENDPOINT, "triton"),
        ({"image": "quay.test/jupyter/datascience-notebook:latest"}, Kind.NOTEBOOK, "jupyter-server"),
        ({"image": "team/app@sha256:0f", "args": ["streamlit", "run", "a.py"]}, Kind.ML_UI, "streamlit"),
        ({"image": "team/app:1", "labels": {"serving.kserve.io/inferenceservice": "a"}}, Kind.MODEL_ENDPOINT, "kserve"),
        ({"image": "team/churn-model:1", "env": [{"name": "MODEL_PATH"}, {"name": "MLFLOW_TRACKING_URI"}]},
         Kind.MODEL_ENDPOINT, None),
        ({"image": "team/app:1", "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}},
          "args": ["serve", "--model-name=x"]}, Kind.MODEL_ENDPOINT, None),
    ],
)  # fmt: skip
def test_a_specification_lets_suppose_what_serves(api, spec, kind, product):
    deploy(api, "risk", "a", ["10.0.0.1"], **spec)
    (supposed,) = facts(api, "a", Identified)
    assert (supposed.kind, supposed.product, supposed.conclusive) == (kind, product, False)
    assert supposed.confidence > 0.5


@pytest.mark.parametrize(
    "spec",
    [
        {"image": "docker.test/library/nginx:1.27"},
        {"image": "team/orders:2"},
        {"image": "redis:7", "env": [{"name": "MODEL_PATH"}]},
        {"image": "team/orders:2", "labels": {"app.kubernetes.io/part-of": "scoreboard"}},
        {"image": "team/modelling-docs:1"},
        {"image": "team/remodel:1", "port": 8080},
    ],
)
def test_what_shows_little_is_not_supposed_to_serve_a_model(api, spec):
    deploy(api, "web", "shop", ["10.0.0.1"], **spec)
    assert [one for one in survey(api).values() if one.candidate.is_likely] == []


def test_a_sidecar_speaks_for_nobody(api):
    containers = [*pod_spec("team/orders:1")["containers"], *pod_spec("istio/proxyv2:1.2", 15090)["containers"]]
    body = {"metadata": meta("web", "orders"), "spec": {"containers": containers}, "status": pod_status("10.0.0.1")}
    api.namespace("web")
    api.put("pods", body)
    assert set(survey(api)) == {("orders", 8000)}


def test_every_weight_adds_up_to_the_log_odds(api):
    deploy(api, "risk", "fraud", ["10.0.0.1"], env=[{"name": "MODEL_NAME"}], args=["--model", "x"])
    (one,) = running(world_of(api), NOW)
    found = weigh(one, 8000)
    assert found.log_odds == pytest.approx(sum(evidence.weight for evidence in found.evidence))


OWNERS = [
    ({"annotations": {"example.test/owner": "team-a"}}, {}, "team-a", 0.95, "annotation example.test/owner"),
    ({"labels": {"team": "team-b"}}, {}, "team-b", 0.95, "label team of Deployment"),
    ({}, {"labels": {"team": "team-c"}}, "team-c", 0.8, "label team of namespace"),
    ({"labels": {"app.kubernetes.io/part-of": "fraud-suite"}}, {}, "fraud-suite", 0.6, "part-of"),
    ({"labels": {"app.kubernetes.io/part-of": "helm"}}, {}, "risk", 0.3, "the name of namespace risk"),
    ({"annotations": {"argocd.argoproj.io/tracking-id": "scoring:apps/Deployment:risk/a"}}, {}, "scoring", 0.5, "Argo"),
    ({"annotations": {"meta.helm.sh/release-name": "fraud-7", "meta.helm.sh/release-namespace": "risk"}}, {},
     "fraud-7", 0.4, "the Helm release in risk"),
    ({}, {}, "risk", 0.3, "the name of namespace risk"),
]  # fmt: skip


@pytest.mark.parametrize(("workload", "namespace", "owner", "confidence", "by"), OWNERS)
def test_an_owner_comes_with_its_provenance(api, workload, namespace, owner, confidence, by):
    api.namespace("risk", **namespace)
    deploy(api, "risk", "a", ["10.0.0.1"], **workload)
    (owned,) = facts(api, "a", Owned)
    assert (owned.owner, owned.confidence) == (owner, confidence)
    assert by in owned.said_by


def test_nobody_owns_what_only_a_shared_namespace_names(api):
    deploy(api, "default", "a", ["10.0.0.1"])
    assert facts(api, "a", Owned) == []


GATEWAY = {"namespaceSelector": {"matchLabels": {"name": "infra"}}}
POLICIES = [
    ([], True),
    ([{"policyTypes": ["Egress"]}], True),
    ([{"podSelector": {"matchLabels": {"app": "other"}}}], True),
    ([{"ingress": []}], False),
    ([{"ingress": [{}]}], True),
    ([{"ingress": [{"from": []}]}], True),
    ([{"ingress": [{"from": [GATEWAY]}]}], False),
    ([{"ingress": [{"from": [{"podSelector": {}}]}]}], True),
    ([{"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "gw"}}}]}]}], False),
    ([{"ingress": [{"from": [{"namespaceSelector": {}}]}]}], True),
    ([{"ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "gw"}}}]}]}], False),
    ([{"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}], True),
    ([{"ingress": [{"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]}], False),
    ([{"ingress": [{"ports": [{"port": 9090}]}]}], False),
    ([{"ingress": [{"ports": [{"port": 8000}]}]}], True),
    ([{"ingress": [{"ports": [{"port": "http"}]}]}], True),
    ([{"ingress": [{"ports": [{"port": 7000, "endPort": 9000}]}]}], True),
    ([{"ingress": [{"ports": [{"port": 8000, "protocol": "UDP"}]}]}], False),
    ([{"ingress": []}, {"ingress": [{}]}], True),
    ([{"ingress": []}, {"ingress": [{"from": [GATEWAY]}]}], False),
]


@pytest.mark.parametrize(("specs", "open_"), POLICIES)
def test_who_may_come_in_by_the_policies(specs, open_):
    policies = [
        read_policy({"metadata": meta("risk", f"p{n}", uid=f"u{n}"), "spec": {"podSelector": {}} | spec})
        for n, spec in enumerate(specs)
    ]
    said = {"metadata": meta("risk", "a", uid="a", labels={"app": "fraud"}), "spec": pod_spec()}
    pod = read_pod(said | {"status": pod_status("10.0.0.1")})
    found = entry(pod, 8000, policies)
    assert found.open is open_
    assert found.why
    elsewhere = read_pod(said | {"metadata": meta("other", "a", uid="a"), "status": pod_status("10.0.0.1")})
    assert entry(elsewhere, 8000, policies).open


@pytest.mark.parametrize(
    ("operator", "values", "labels", "matches"),
    [
        ("In", ["a"], {"k": "a"}, True), ("In", ["a"], {}, False), ("NotIn", ["a"], {}, True),
        ("NotIn", ["a"], {"k": "a"}, False), ("Exists", [], {"k": "x"}, True), ("Exists", [], {}, False),
        ("DoesNotExist", [], {}, True), ("DoesNotExist", [], {"k": "x"}, False), ("Sideways", [], {"k": "x"}, False),
    ],
)  # fmt: skip
def test_selectors_mean_what_the_api_says(operator, values, labels, matches):
    assert Selector(expressions=(("k", operator, frozenset(values)),)).matches(labels) is matches


def test_one_endpoint_has_every_way_to_it(api):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    balancer = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    service = expose(api, "risk", "fraud", target="http", type="LoadBalancer", more={"nodePort": 31080})
    api.put("services", service | balancer)
    http_route(api, "risk", "fraud", "fraud")
    backend = {"service": {"name": "fraud", "port": {"number": 80}}}
    rule = {"host": "scores.test", "http": {"paths": [{"path": "/fraud", "backend": backend}]}}
    api.put("ingresses", {"metadata": meta("risk", "fraud"), "spec": {"tls": [{}], "rules": [rule]}})
    (reached,) = facts(api, "fraud", Reached)
    assert {(way.via, way.url) for way in reached.exposures} == {
        ("service", "http://fraud.risk.svc"),
        ("node-port", "http://10.9.0.1:31080"),
        ("load-balancer", "http://192.0.2.7"),
        ("gateway", "http://fraud.example.test/score"),
        ("ingress", "https://scores.test/fraud"),
    }
    places = {(said.address, said.port) for said in survey(api)["fraud", 8000].said if isinstance(said.fact, Placed)}
    assert places == {("10.0.0.1", 8000), ("10.9.0.1", 31080), ("10.96.0.10", 80), ("192.0.2.7", 80)}


def test_a_service_of_two_workloads_stands_for_neither(api):
    deploy(api, "risk", "old", ["10.0.0.1"], labels={"app": "fraud"})
    deploy(api, "risk", "new", ["10.0.0.2"], labels={"app": "fraud"})
    expose(api, "risk", "fraud", target="http", type="NodePort", more={"nodePort": 31080})
    for name, address in (("old", "10.0.0.1"), ("new", "10.0.0.2")):
        sighting = survey(api)[name, 8000]
        assert {said.address for said in sighting.said if isinstance(said.fact, Placed)} == {address}
        assert sighting.doors == (Door("risk", f"{name}-1-0", "8000", "pods"),)


def test_slices_tell_where_a_service_without_a_selector_leads(api):
    pod = run_pod(api, "risk", "alone", "10.0.0.1")
    expose(api, "risk", "by-hand", target=8000, selector={})
    entry_ = {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "uid": pod["metadata"]["uid"]}}
    labels = {"kubernetes.io/service-name": "by-hand"}
    api.put("endpointslices", {"metadata": meta("risk", "by-hand-1", labels=labels), "endpoints": [entry_]})
    http_route(api, "risk", "alone", "by-hand")
    found = survey(api)["alone", 8000]
    assert found.declared.by == "HTTPRoute risk/alone"
    # The proxy finds a Service's addresses in its Endpoints, which nothing tells that there are.
    assert found.doors == (Door("risk", "alone", "8000", "pods"), Door("risk", "by-hand", "http"))


def test_a_service_is_the_first_door_and_its_port_goes_by_its_name(api):
    deploy(api, "risk", "fraud", ["10.0.0.1"])
    expose(api, "risk", "fraud", target="http", clusterIP="None")
    deploy(api, "risk", "plain", ["10.0.0.2"])
    expose(api, "risk", "plain", port=8080, target=8000, more={"name": ""})
    assert survey(api)["fraud", 8000].doors == (
        Door("risk", "fraud", "http"),
        Door("risk", "fraud-1-0", "8000", "pods"),
    )
    assert survey(api)["plain", 8000].doors[0] == Door("risk", "plain", "8080")


def test_the_pod_that_is_asked_is_a_ready_one(api):
    deploy(api, "risk", "fraud", ["10.0.0.1"], ready=False)
    run_pod(
        api, "risk", "z-ready", "10.0.0.2", owners=api.select("v1", "pods", "risk")[0]["metadata"]["ownerReferences"]
    )
    assert survey(api)["fraud", 8000].doors == (Door("risk", "z-ready", "8000", "pods"),)


def test_a_service_finds_ports_that_no_container_declares(api):
    deploy(api, "risk", "quiet", ["10.0.0.1"], port=None)
    assert survey(api) == {}
    expose(api, "risk", "quiet", target=9000)
    assert set(survey(api)) == {("quiet", 9000)}


@pytest.mark.parametrize(
    ("containers", "image"),
    [
        ([("team/app:1", [8000])], "team/app:1"),
        ([("team/app:1", [])], "team/app:1"),
        ([("team/app:1", [8000]), ("team/other:1", [9000])], "team/app:1"),
        ([("team/app:1", []), ("team/other:1", [])], None),
        ([("team/app:1", []), ("istio/proxyv2:1", [])], "team/app:1"),
    ],
)
def test_the_image_behind_a_port_is_that_of_the_container_that_has_it(containers, image):
    told = [Container(f"c{n}", name, tuple(("", port) for port in ports)) for n, (name, ports) in enumerate(containers)]
    assert image_behind(PodObject(Meta("ml", "p", "u"), containers=tuple(told)), 8000) == image
