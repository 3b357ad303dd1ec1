from ipaddress import IPv4Address, IPv4Network, ip_network

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scanner.io.arp import Neighbours
from scanner.io.ways import Route, Ways, by_route, find_ways
from scanner.spans import Spans

networks = st.builds(
    lambda number, prefix: IPv4Network((number >> (32 - prefix) << (32 - prefix), prefix)),
    st.integers(0x0A000000, 0x0A0000FF),
    st.integers(24, 32),
)
routes = st.lists(st.builds(Route, networks, st.sampled_from(["a", "b"]), st.none(), st.none(), st.integers(0, 3)))


@given(st.lists(networks, max_size=3), routes)
def test_the_longest_prefix_wins_then_the_least_metric(wanted, table):
    found = {
        address: route
        for addresses, route in by_route(Spans.of(wanted), table)
        for network in addresses.networks()
        for address in network
    }
    for address in {address for network in wanted for address in network}:
        fitting = [route for route in table if address in route.network]
        best = min(((-one.network.prefixlen, one.metric) for one in fitting), default=None)
        chosen = found.pop(address, None)
        assert best == (chosen and (-chosen.network.prefixlen, chosen.metric))
    assert not found


@given(st.dictionaries(st.integers(0, 40), st.binary(min_size=6, max_size=6)), st.lists(st.integers(0, 40)))
def test_neighbours_are_found_by_address(table, asked):
    hardware = np.frombuffer(b"".join(table.values()), dtype=np.uint8).reshape(len(table), 6)
    neighbours = Neighbours(np.array(list(table), dtype=np.uint32), hardware)
    known, rows = neighbours.find(np.array(asked, dtype=np.uint32))
    assert known.tolist() == [one in table for one in asked]
    assert [bytes(neighbours.hardware[row]) for row in rows] == [table[one] for one in asked if one in table]


def test_what_has_no_link_is_told():
    assert find_ways(Spans.of([ip_network("127.0.0.0/8"), ip_network("::1/128")])) == Ways(
        (), ("loopback has no link layer",)
    )
    assert find_ways(Spans.of([ip_network("fd00::/126")])) == Ways((), ("IPv6 goes by connecting",))
    assert find_ways(Spans.of([IPv4Network(IPv4Address("127.1.2.3"))])).addresses == Spans()
