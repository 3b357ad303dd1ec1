"""Address space: sets of addresses that add up, and the blocks with hosts that nobody scanned."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, scan

from inventory.model import Account, ScanStatus, Scope
from inventory.space import Block, Ranges, networks_of, ranges_of, red_flags, spaces

networks = st.builds(
    lambda start, bits: ipaddress.ip_network((0x0A000000 + start * 4, 32 - bits), strict=False),
    st.integers(0, 40),
    st.integers(0, 6),
)
sets = st.lists(networks, max_size=5)


def addresses(networks) -> set:
    return {address for network in networks for address in network}


@given(sets, sets, networks)
def test_ranges_are_sets_of_addresses(one, two, probe):
    a, b = Ranges(one), Ranges(two)
    assert len(a) == len(addresses(one))
    assert len(a - b) == len(addresses(one) - addresses(two))
    assert len(a | b) == len(addresses(one) | addresses(two))
    assert len(a & b) == len(addresses(one) & addresses(two))
    block = Block.of("default", probe, 1)
    assert block.network == probe
    assert a.holds(block.span) == (set(probe) <= addresses(one))
    assert len(a.within(block.span)) == len(set(probe) & addresses(one))


@pytest.mark.parametrize(
    ("target", "network"),
    [
        ("10.0.0.0/24", "10.0.0.0/24"), ("10.0.0.5", "10.0.0.5/32"), ("10.0.0.5:8080", "10.0.0.5/32"),
        ("http://10.0.0.5:80/x", "10.0.0.5/32"), ("[::1]:80", "::1/128"), ("fd00::/64", "fd00::/64"),
        ("k8s:prod", None), ("mlflow:http://10.0.0.5:5000", None), ("host.example:80", None),
    ],
)  # fmt: skip
def test_targets_that_are_address_space(target: str, network: str | None):
    assert [str(one) for one in networks_of([target])] == ([network] if network else [])


SCOPE = Scope(name="lab", targets=("10.0.0.0/23",), exclude=("10.0.1.128/25",), created_at=NOW)


def test_a_scope_adds_up_to_scanned_partly_and_never():
    whole = scan(targets=("10.0.0.0/25",), started_at=ago(days=1), account=Account(planned=9, answered=5, lost=4))
    cut = scan(id="s2", targets=("10.0.0.0/24",), status=ScanStatus.INCOMPLETE)
    (space,) = spaces([SCOPE], [cut, whole])
    assert (space.authorised, space.scanned, space.partly, space.never) == (384, 128, 128, 128)
    assert (space.lost, space.as_of) == (4, NOW)
    (unseen,) = spaces([SCOPE], [])
    assert (unseen.never, unseen.as_of) == (384, None)
    assert spaces([SCOPE.model_copy(update={"targets": ("k8s:prod",)})], []) == ()


@given(st.lists(st.builds(scan, targets=st.tuples(networks.map(str)), status=st.sampled_from(ScanStatus)), max_size=4))
def test_the_parts_of_a_space_are_all_of_it(scans):
    scope = Scope(name="lab", targets=("10.0.0.0/25",), created_at=NOW)
    (space,) = spaces([scope], scans)
    assert space.scanned + space.partly + space.never == space.authorised


def test_a_block_with_endpoints_that_nobody_scanned_is_a_red_flag():
    def block(network: str, count: int = 1, site: str = "default") -> Block:
        return Block.of(site, ipaddress.ip_network(network), count)

    whole = scan(targets=("10.0.0.0/24", "10.0.1.0/26"))
    blocks = [block("10.0.0.0/24", 9), block("10.0.1.0/24", 2), block("10.0.2.0/24", 5),
              block("10.0.0.0/24", 1, "other")]  # fmt: skip
    wide = SCOPE.model_copy(update={"targets": ("10.0.0.0/22",)})
    flags = red_flags(blocks, [wide], [whole, scan(id="cut", targets=("10.0.2.0/24",), status=ScanStatus.FAILED)])
    assert [(flag.site, flag.network, flag.endpoints) for flag in flags] == [
        ("default", "10.0.2.0/24", 5), ("default", "10.0.1.0/24", 2), ("other", "10.0.0.0/24", 1),
    ]  # fmt: skip
    assert ["never" in flags[0].why, "part" in flags[1].why, "no scope" in flags[2].why] == [True] * 3
    assert red_flags([block("10.0.1.0/24")], [], [whole]) == (), "a part that was scanned whole, and no more is named"
    assert red_flags([block("10.0.1.128/25")], [SCOPE], []) == (), "what is excluded shall not be scanned"
    assert len(ranges_of(["10.0.0.0/30"], ["10.0.0.1"])) == 3


@pytest.mark.parametrize(("sources", "flags"), [(["kubernetes"], 0), (["kubernetes", "subnet"], 1), ([], 1)])
def test_a_site_of_clusters_alone_has_no_space_to_cover(sources, flags):
    scans = [scan(id=f"s{n}", source=source, targets=("127.0.0.0/30",)) for n, source in enumerate(sources)]
    known = Block.of("default", ipaddress.ip_network("10.0.1.0/24"), 3)
    assert len(red_flags([known], [], scans)) == flags
