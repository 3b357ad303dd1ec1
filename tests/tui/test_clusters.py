"""Clusters by the real command line, in this process, from an API server over HTTP."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from apiserver import ApiServerDouble, kubeconfig, serving
from certificates import self_signed
from clusters import deploy, expose, http_route, only_from
from kubernetes.aio.config import incluster_config


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ApiServerDouble]:
    with serving(populated()) as double:
        path = tmp_path / "kubeconfig"
        path.write_text(kubeconfig({"prod": double, "off": "http://127.0.0.1:9"}))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield double


def populated(token: str = "secret-token-of-the-api") -> ApiServerDouble:
    """A cluster with one model behind a gateway and one beside it."""
    double = ApiServerDouble(token=token)
    deploy(double, "risk", "fraud", ["10.0.0.1"])
    expose(double, "risk", "fraud", target="http")
    http_route(double, "risk", "fraud", "fraud")
    only_from(double, "risk", "fraud")
    deploy(double, "risk", "rogue", ["10.0.0.2"], image="vllm/vllm-openai:v1")
    return double


@pytest.fixture
def cluster(gnomon, api: ApiServerDouble, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GNOMON_CLUSTER_REACH", "none")
    return gnomon


def by_name(ran) -> dict[str, dict]:
    return {one["cluster"]["workload"]["name"]: one for one in json.loads(ran.out) if one["cluster"]}


def test_a_scan_of_a_cluster_shows_how_everything_stands(cluster):
    ran = cluster("scan", "k8s:prod")
    assert ran.code == 0
    found = by_name(cluster("endpoints", "--format", "json"))
    assert {name: one["cluster"]["standing"] for name, one in found.items()} == {"fraud": "managed", "rogue": "shadow"}
    shown = cluster("endpoint", found["fraud"]["id"]).out
    assert "standing    managed: HTTPRoute risk/fraud leads to it, and NetworkPolicy" in shown
    assert "-> Service risk/fraud (selects)" in shown
    graph = cluster("graph", "--of", found["fraud"]["id"]).out
    for hop in ("Gateway infra/public", "HTTPRoute risk/fraud", "Service risk/fraud", "Deployment risk/fraud"):
        assert hop in graph


@pytest.fixture
def in_a_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[ApiServerDouble, Path]]:
    """The same cluster over TLS, as a pod of it sees it: no kubeconfig, a service account's token in a file."""
    made = self_signed(tmp_path, "kubernetes", ("127.0.0.1",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made / "cert.pem", made / "key.pem")
    token = tmp_path / "token"
    token.write_text("first-token-of-the-account")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(made / "cert.pem"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with serving(populated("first-token-of-the-account"), tls=tls) as double:
        port = double.url.rpartition(":")[2]
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setenv("GNOMON_CLUSTER_REACH", "none")
        yield double, token


def test_a_pod_scans_its_own_cluster(gnomon, in_a_pod):
    ran = gnomon("scan", "k8s:in-cluster")
    assert ran.code == 0, ran.err
    found = by_name(gnomon("endpoints", "--format", "json"))
    assert {name: one["cluster"]["standing"] for name, one in found.items()} == {"fraud": "managed", "rogue": "shadow"}


def test_a_token_that_was_rotated_is_read_again_in_the_middle_of_a_scan(gnomon, in_a_pod):
    double, token = in_a_pod

    def rotate() -> None:
        double.token = "second-token-of-the-account"
        token.write_text(double.token)

    double.after(5, rotate)
    ran = gnomon("scan", "k8s:in-cluster")
    assert ran.code == 0, ran.err
    assert {seen.headers["authorization"].partition(" ")[2] for seen in double.requests[-3:]} == {double.token}
    for secret in ("first-token", "second-token"):
        assert secret not in ran.out + ran.err


def test_a_token_that_is_no_longer_good_is_an_incomplete_scan_and_nothing_is_gone(gnomon, in_a_pod):
    double, _ = in_a_pod
    assert gnomon("scan", "k8s:in-cluster").code == 0
    double.token = "a-token-that-no-file-has"
    ran = gnomon("scan", "k8s:in-cluster")
    assert ran.code == 3
    assert "a-token-that" not in ran.err
    assert all(one["presence"] == "seen" for one in json.loads(gnomon("endpoints", "--format", "json").out))


def test_several_clusters_end_incomplete_where_one_is_not_there(cluster):
    ran = cluster("scan", "k8s:*", "--format", "json")
    assert ran.code == 3
    said = json.loads(ran.out)
    assert {one["site"]: one["status"] for one in said["scans"]} == {"k8s-prod": "complete", "k8s-off": "incomplete"}
    assert {one["site"] for one in said["endpoints"]} == {"k8s-prod"}


def test_holes_are_listed_and_the_exit_code_says_so(cluster, api):
    api.denied = {("pods", ""), ("pods", "risk"), ("httproutes", "*")}
    ran = cluster("scan", "k8s:prod")
    assert ran.code == 3
    assert "pods in 1 namespace (risk): forbidden, which hides everything that runs there" in ran.err
    assert "httproutes.gateway.networking.k8s.io in" in ran.err


def test_pods_that_may_not_be_asked_are_a_hole_and_the_exit_code_says_so(gnomon, api):
    api.denied = {("pods/proxy", "risk")}
    ran = gnomon("scan", "k8s:prod")
    assert ran.code == 3
    assert "pods/proxy in 1 namespace (risk): forbidden, which hides what answers at 1 port there" in ran.err
    found = by_name(gnomon("endpoints", "--format", "json"))
    assert {one["presence"] for one in found.values()} == {"seen"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("scan", "k8s:nope"), "there is no context 'nope' in the kubeconfig: there is prod, off"),
        (("scan", "k8s:"), "names no cluster"),
        (("scan", "k8s:prod#Bad"), "'Bad' is not a namespace"),
        (("scan", "k8s:prod", "10.0.0.0/30"), "targets of one source"),
        (("scan", "k8s:prod", "--shard", "1/2"), "not scanned in shards"),
        (("scan", "k8s:prod", "--exclude", "example.test"), "cannot be excluded from a cluster"),
        (("scan", "k8s:prod", "--explain"), "--explain is about addresses"),
        (("scan", "k8s:*", "--site", "office"), "cannot share the site 'office'"),
        (("scope", "add", "bad", "k8s:nope"), "there is no context 'nope'"),
        (("doctor", "k8s:nope"), "there is no context 'nope'"),
        (("doctor", "10.0.0.1"), "is no cluster: write k8s:CONTEXT"),
    ],
)
def test_bad_input_is_one_sentence(cluster, api, arguments, words):
    ran = cluster(*arguments)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert api.requests == []


def test_doctor_says_what_is_missing_and_what_that_hides(gnomon, api):
    assert gnomon("doctor", "k8s:prod").code == 0
    api.denied = {("services/proxy", ""), ("pods/proxy", ""), ("httproutes", "")}
    ran = gnomon("doctor", "k8s:prod", "--format", "json")
    assert ran.code == 1
    found = {one["check"]: one for one in json.loads(ran.out)}
    assert [name for name, one in found.items() if not one["works"]] == [
        "list and watch httproutes.gateway.networking.k8s.io",
        "ask services/proxy",
        "ask pods/proxy",
    ]
    assert found["ask services/proxy"]["finding"].endswith(
        "which hides what answers behind Services, where pods can be asked neither directly nor by pods/proxy"
    )
    assert found["ask pods/proxy"]["finding"].endswith(
        "which hides what answers in pods without a Service of their own, where pods cannot be reached directly"
    )
    assert gnomon("doctor", "k8s:off").code == 1
