from bisect import bisect_left
from collections import defaultdict
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.caps import _PRUNE_AT, Caps


def busiest(moments: list[float], width: float) -> int:
    moments = sorted(moments)
    return max(index - bisect_left(moments, moment - width + 1e-9) + 1 for index, moment in enumerate(moments))


asked = st.lists(st.tuples(st.integers(0, 600), st.floats(0, 0.05)), min_size=1, max_size=200)


@given(asked, st.sampled_from([None, 1.0, 10.0]), st.sampled_from([None, 5.0, 20.0]))
def test_no_host_and_no_subnet_gets_more_than_its_share(asked, per_host, per_subnet):
    caps, now = Caps(per_host, per_subnet), 100.0
    hosts, subnets = defaultdict(list), defaultdict(list)
    for address, later in asked:
        now += later
        [moment] = caps.moments([address], now)
        assert moment >= now
        hosts[address].append(moment)
        subnets[address >> 8].append(moment)
    for groups, cap in ((hosts, per_host), (subnets, per_subnet)):
        if cap is not None:
            assert all(busiest(moments, 10 / cap) <= 10 for moments in groups.values())


def test_without_caps_everything_goes_at_once():
    caps = Caps()
    assert not caps
    assert caps.moments([1, 1, 1], 5.0) == [5.0] * 3


@pytest.mark.parametrize(("one", "same_net", "other_net"), [
    ("10.0.0.1", "10.0.0.2", "10.0.1.1"), ("fd00::1", "fd00::2", "fd00:0:0:1::1"),
])  # fmt: skip
def test_subnets_are_a_24_or_a_64(one, same_net, other_net):
    caps = Caps(per_subnet=2)
    assert [caps.moment(address, 0.0) for address in (one, same_net, other_net)] == [0.0, 0.5, 0.0]


def test_text_and_number_are_one_host():
    caps = Caps(per_host=1)
    assert caps.moments([int(ip_address("10.1.2.3"))], 0.0) == [0.0]
    assert caps.moment("10.1.2.3", 0.0) == 1.0
    # IPv4 and IPv6 never share a host or a subnet by accident.
    assert Caps(per_host=1, per_subnet=1).moment("::a01:203", 0.0) == 0.0


def test_hosts_that_may_be_probed_anyway_take_no_memory():
    caps = Caps(per_host=1000)
    for number in range(4 * _PRUNE_AT):
        caps.moments([number], number * 0.01)
    assert caps._host is not None
    assert len(caps._host.due) <= _PRUNE_AT
