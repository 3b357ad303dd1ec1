"""Rules that shut direct paths: what they say, and that the tools that apply them take them."""

import shutil
import subprocess

import pytest
import yaml

from inventory.model import Path
from router.closing import ClosingError, network_policy, nftables, sources_of

PATHS = (
    Path(via="address", host="10.0.0.5", port=8000),
    Path(via="address", host="10.0.0.5", port=8001),
    Path(via="address", host="fd00::5", port=8000),
    Path(via="service", host="iris.ml.svc", port=80, name="iris.ml.svc"),
)


def test_addresses_that_mean_something_else_elsewhere_let_nobody_in():
    machine = ("127.0.0.1", "::1", "fe80::1", "10.0.0.1", "fd00::1")
    assert sources_of(machine, ()) == ("10.0.0.1/32", "fd00::1/128")
    assert sources_of((), ("10.1.0.0/16", "10.0.0.2", "namespace:gateway")) == (
        "10.0.0.2/32", "10.1.0.0/16", "namespace:gateway"
    )  # fmt: skip


@pytest.mark.parametrize(("machines", "more", "words"), [
    (("127.0.0.1",), (), "no address of the gateway"),
    ((), ("gateway",), "no network"),
    ((), ("namespace:",), "no network"),
])  # fmt: skip
def test_sources_that_cannot_be_used_say_why(machines, more, words):
    with pytest.raises(ClosingError, match=words):
        sources_of(machines, more)


def test_each_host_has_its_ports_shut_to_all_but_the_gateway():
    text = nftables("iris-v2", PATHS, sources_of((), ("10.0.0.1", "fd00::1")))
    assert "table inet gnomon_iris_v2 {" in text
    assert "tcp dport { 8000, 8001 } fib daddr type local ip saddr != { 10.0.0.1/32 } drop" in text
    assert "tcp dport { 8000 } fib daddr type local ip6 saddr != { fd00::1/128 } drop" in text
    assert text.count("# on ") == 2


@pytest.mark.parametrize(("paths", "sources", "words"), [
    (PATHS, ("10.0.0.1/32",), "no IPv6 address"),
    (PATHS[3:], ("10.0.0.1/32",), "are names"),
    (PATHS, ("namespace:gateway",), "no namespaces"),
])  # fmt: skip
def test_rules_that_cannot_be_written_say_why(paths, sources, words):
    with pytest.raises(ClosingError, match=words):
        nftables("iris", paths, sources)


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_nft_takes_the_rules():
    text = nftables("iris", PATHS, ("10.0.0.1/32", "fd00::1/128"))
    done = subprocess.run(["nft", "--check", "-f", "-"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0 or "Operation not permitted" in done.stderr, done.stderr


def test_a_policy_selects_the_pods_and_lets_the_gateway_in():
    text = network_policy("iris", "ml", {"app": "iris"}, [8000, 8000], ("10.0.0.1/32", "namespace:gateway"))
    document = yaml.safe_load(text)
    assert document["metadata"] == {"name": "gnomon-iris", "namespace": "ml"}
    assert document["spec"]["podSelector"] == {"matchLabels": {"app": "iris"}}
    (rule,) = document["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8000}]
    assert rule["from"] == [
        {"ipBlock": {"cidr": "10.0.0.1/32"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}},
    ]
    with pytest.raises(ClosingError, match="selector"):
        network_policy("iris", "ml", {}, [8000], ("10.0.0.1/32",))
