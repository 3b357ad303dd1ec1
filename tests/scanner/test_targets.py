from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.targets import (
    Addresses,
    HostName,
    Prefixed,
    Target,
    TargetError,
    can_be_walked,
    may_be_framed,
    parse_network,
    parse_target,
)


def network(text: str, port: int | None = None) -> Addresses:
    return Addresses(ip_network(text), port)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("127.1.2.0/24", network("127.1.2.0/24")),
        ("10.0.0.0/255.255.255.0", network("10.0.0.0/24")),
        (" 127.0.0.1 ", network("127.0.0.1/32")),
        ("127.0.0.1:8000", network("127.0.0.1/32", 8000)),
        ("http://127.0.0.1:8000/x?y", network("127.0.0.1/32", 8000)),
        ("http://127.0.0.1", network("127.0.0.1/32", 80)),
        ("https://127.0.0.1/", network("127.0.0.1/32", 443)),
        ("::1", network("::1/128")),
        ("[::1]", network("::1/128")),
        ("[::1]:8000", network("::1/128", 8000)),
        ("http://[::1]:8000/", network("::1/128", 8000)),
        ("dead:beef::/120", network("dead:beef::/120")),
        ("::ffff:8.8.8.8", network("8.8.8.8/32")),
        ("::ffff:8.8.8.0/120", network("8.8.8.0/24")),
        ("Localhost", HostName("localhost")),
        ("models.example.:80", HostName("models.example", 80)),
        ("http://models.example/predict", HostName("models.example", 80)),
        ("k8s:8000", HostName("k8s", 8000)),
        ("k8s:prod", Prefixed("k8s", "prod")),
        ("K8S:", Prefixed("k8s", "")),
        ("k8s:prod/team-a", Prefixed("k8s", "prod/team-a")),
        ("mlflow:http://models.example:5000", Prefixed("mlflow", "http://models.example:5000")),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "is not a target"),
        ("a b", "is not a target"),
        ("a\x1b[2J", "is not a target"),
        ("10.0.0.5/24", "write 10.0.0.0/24"),
        ("10.0.0.0/33", "is not a CIDR"),
        ("10.0.0.0/24:80", "a network takes no port"),
        ("10.0.0.1-20", "written as CIDRs"),
        ("300.1.1.1", "is not an address"),
        ("127.1", "is not an address"),
        ("0x7f000001", "is not an address"),
        ("127.0.0.1:", "'' is not a port"),
        ("127.0.0.1:0", "'0' is not a port"),
        ("127.0.0.1:65536", "'65536' is not a port"),
        ("127.0.0.1:80a", "'80a' is not a port"),
        ("127.0.0.1:٣", "is not a port"),
        (":80", "neither an address nor a host name"),
        ("-x", "neither an address nor a host name"),
        ("a..b", "neither an address nor a host name"),
        ("x" * 64, "neither an address nor a host name"),
        ("ftp://10.0.0.1", "only http and https"),
        ("http://", "names no host"),
        ("http://h:0/", "is not a port"),
        ("http://h:99999/", "is not a URL"),
        ("http://[zz]/", "is not a URL"),
        ("[1.2.3.4]:80", "brackets are for IPv6"),
        ("[::1", "[2001:db8::1]:8000"),
        ("[::1]80", "[2001:db8::1]:8000"),
        ("fe80::1%eth0", "leave out '%eth0'"),
    ],
)
def test_a_malformed_target_is_named_in_one_sentence(text: str, because: str) -> None:
    with pytest.raises(TargetError, match=r"\A[^\n]+\Z") as caught:
        parse_target(text)
    assert because in str(caught.value)


def test_a_network_of_any_size_is_a_target_and_those_that_can_be_walked_are_known() -> None:
    for text, walked in (("10.0.0.0/8", True), ("fd00::/112", True), ("fd00::/111", False), ("fd00::/64", False)):
        assert parse_target(text) == Addresses(ip_network(text))
        assert can_be_walked(ip_network(text)) is walked


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(TargetError) as caught:
        parse_target("http://joe:hunter2@models.example/")
    assert "hunter2" not in str(caught.value)
    assert "joe" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    said = ""
    try:
        parse_target(text)
    except TargetError as error:
        said = str(error)
    assert "\n" not in said
    assert "\x1b" not in said


@given(
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(
        lambda address: not (isinstance(address, IPv6Address) and address.ipv4_mapped)
    ),
    st.integers(1, 65535),
)
def test_every_address_and_port_is_read_back(address: IPv4Address | IPv6Address, port: int) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    assert parse_target(f"{host}:{port}") == Addresses(ip_network(address), port)
    assert parse_target(f"http://{host}:{port}/") == Addresses(ip_network(address), port)
    assert parse_target(str(address)) == Addresses(parse_network(str(address)))


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("10.0.0.0/24", True),
        ("web.example:80", True),
        ("127.0.0.1", False),
        ("k8s:prod", False),
        ("10.0.0.0/99", False),
    ],
)
def test_what_frames_may_reach(text: str, may: bool) -> None:
    assert may_be_framed(text) is may
