from ipaddress import IPv4Network, IPv6Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from scanner.spans import Spans
from scanner.targets import Network

# 16 IPv4 and 16 IPv6 addresses, so that everything that can overlap or touch does.
small = st.one_of(
    st.integers(28, 32).flatmap(
        lambda prefix: st.integers(0, 15).map(lambda n: IPv4Network((0x7F010200 | n, prefix), strict=False))
    ),
    st.integers(124, 128).flatmap(
        lambda prefix: st.integers(0, 15).map(lambda n: IPv6Network((n, prefix), strict=False))
    ),
)
several = st.lists(small, max_size=6)


def members(networks: list[Network]) -> set[str]:
    return {str(address) for network in networks for address in network}


def listed(spans: Spans) -> list[str]:
    return [spans.address(index) for index in range(len(spans))]


@given(several, several)
def test_the_algebra_is_that_of_sets(left: list[Network], right: list[Network]) -> None:
    a, b = Spans.of(left), Spans.of(right)
    assert set(listed(a)) == members(left)
    assert set(listed(a | b)) == members(left) | members(right)
    assert set(listed(a - b)) == members(left) - members(right)
    assert set(listed(a & b)) == members(left) & members(right)
    assert (a <= b) == (members(left) <= members(right))
    assert bool(a) == bool(left)


@given(several)
def test_equal_sets_are_equal_spans_and_addresses_are_sorted(networks: list[Network]) -> None:
    spans = Spans.of(networks)
    assert spans == Spans.of(reversed(networks)) == Spans.of(spans.networks())
    keys = [(ip_address(text).version, ip_address(text)) for text in listed(spans)]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) == len(spans)


@given(several, st.integers(1, 40))
def test_parts_are_the_whole_without_overlap(networks: list[Network], of: int) -> None:
    whole = Spans.of(networks)
    parts = [listed(whole.part(number, of)) for number in range(1, of + 1)]
    assert [address for part in parts for address in part] == listed(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
