from ipaddress import IPv4Network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.batches import Members, batches, ordered
from scanner.order import Order
from scanner.plan import make_plan
from scanner.spans import Spans
from scanner.targets import Addresses, parse_network

networks = st.builds(
    lambda number, prefix: IPv4Network((number >> (32 - prefix) << (32 - prefix), prefix)),
    st.integers(0x0A000000, 0x0A0003FF),
    st.integers(26, 32),
)
targets = st.lists(st.builds(Addresses, networks, st.none() | st.integers(1, 65535)), max_size=5)
ports = st.lists(st.integers(1, 65535), min_size=1, max_size=20)


def dotted(number: int) -> str:
    return ".".join(str(octet) for octet in number.to_bytes(4, "big"))


@given(targets, ports, st.lists(networks, max_size=2), st.binary(max_size=4))
def test_batches_are_the_plan_in_its_order(given_targets, given_ports, exclude, key):
    plan = make_plan(given_targets, given_ports, exclude, key=key)
    found = [
        (dotted(address), port)
        for batch in batches(plan)
        for address, port in zip(batch.addresses.tolist(), batch.ports.tolist(), strict=True)
    ]
    assert found == list(plan.pairs())


@given(st.integers(1, (1 << 64) - 1), st.binary(max_size=4), st.data())
def test_orders_of_any_size_are_the_same_in_arrays(size, key, data):
    order = Order(size, key)
    start = data.draw(st.integers(0, size - 1))
    stop = min(size, start + 9)
    assert ordered(order, start, stop).tolist() == [order[position] for position in range(start, stop)]


@given(st.lists(networks, max_size=4), st.lists(st.integers(0x09FFFFF0, 0x0A000410), max_size=20))
def test_members(some, asked):
    spans = Spans.of(some)
    members = Members(spans)
    everything = {int(address) for network in some for address in network}
    assert members.contain(np.array(asked, dtype=np.uint32)).tolist() == [one in everything for one in asked]
    if everything:
        assert members.at(np.arange(len(spans), dtype=np.uint64)).tolist() == sorted(everything)


def test_ipv6_has_no_batches():
    plan = make_plan([Addresses(parse_network("fd00::/124"))], [80])
    with pytest.raises(ValueError, match="IPv4"):
        batches(plan)
