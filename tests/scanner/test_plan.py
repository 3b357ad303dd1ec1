import time
import tracemalloc
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Scan, utc_now
from scanner.plan import NotAuthorised, Plan, Shard, make_plan, parse_shard
from scanner.spans import Spans
from scanner.targets import Addresses, parse_network, parse_target

Pairs = set[tuple[str, int]]

networks = st.integers(28, 32).flatmap(
    lambda prefix: st.integers(0, 15).map(
        lambda n: str(parse_network(f"127.1.2.{n & ~((1 << (32 - prefix)) - 1)}/{prefix}"))
    )
)
hosts = st.integers(0, 15).map(lambda n: f"127.1.2.{n}")
single = st.tuples(hosts, st.sampled_from([80, 81, 82, 9000])).map(lambda pair: f"{pair[0]}:{pair[1]}")
target_texts = st.lists(st.one_of(networks, single), min_size=1, max_size=5)
port_sets = st.sets(st.sampled_from([80, 81, 82]), min_size=1)


def plan_of(texts: list[str], ports: set[int], exclude: list[str] | None = None, key: bytes = b"k") -> Plan:
    return make_plan(resolved(texts), sorted(ports), map(parse_network, exclude or []), key=key)


def resolved(texts: list[str]) -> list[Addresses]:
    targets = [parse_target(text) for text in texts]
    assert all(isinstance(target, Addresses) for target in targets)
    return [target for target in targets if isinstance(target, Addresses)]


def wanted(texts: list[str], ports: set[int]) -> Pairs:
    return {
        (str(address), port)
        for target in resolved(texts)
        for address, port in product(target.network, [target.port] if target.port else ports)
    }


@given(target_texts, port_sets, st.lists(networks, max_size=3), st.binary(max_size=8))
def test_every_wanted_pair_is_planned_once_and_exclusions_win(
    texts: list[str], ports: set[int], exclude: list[str], key: bytes
) -> None:
    plan = plan_of(texts, ports, exclude, key)
    gone = {str(address) for text in exclude for address in parse_network(text)}
    everything = wanted(texts, ports)
    expected = {pair for pair in everything if pair[0] not in gone}
    pairs = list(plan.pairs())
    assert len(pairs) == len(plan) == len(expected)
    assert set(pairs) == expected
    assert pairs == [plan.pair(position) for position in range(len(plan))]
    assert plan.account.planned == len(everything)
    assert plan.account.excluded == len(everything) - len(expected)
    assert plan.account.unprobed == len(expected)


@given(target_texts, port_sets, st.lists(networks, max_size=3))
def test_what_a_scan_claims_to_cover_was_planned(texts: list[str], ports: set[int], exclude: list[str]) -> None:
    plan = plan_of(texts, ports, exclude)
    scan = Scan(
        id="s",
        scope="s",
        site="default",
        source="subnet",
        targets=plan.coverage.targets,
        exclude=plan.coverage.exclude,
        ports=plan.coverage.ports,
        started_at=utc_now(),
    )
    planned = set(plan.pairs())
    claimed = {
        (f"127.1.2.{n}", port)
        for n, port in product(range(16), [80, 81, 82, 9000])
        if scan.covers(f"127.1.2.{n}", port)
    }
    assert claimed <= planned
    if not any(":" in text for text in texts):
        assert claimed == planned


@given(target_texts, port_sets, st.data())
def test_a_plan_goes_on_from_one_integer(texts: list[str], ports: set[int], data: st.DataObject) -> None:
    plan = plan_of(texts, ports)
    position = data.draw(st.integers(0, len(plan)))
    again = plan_of(texts, ports)
    assert [*islice(plan.pairs(), position), *again.pairs(position)] == list(plan.pairs())
    assert again.digest == plan.digest != plan_of(texts, ports, key=b"another").digest


AUTHORISED = ["10.0.0.0/8", "172.16.0.0/12", "192.168.1.1", "127.0.0.1", "::1", "fd00::/112", "::ffff:10.0.0.1"]
PUBLIC = [
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.0/16",
    "192.0.2.0/24",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0/0",
    "8.0.0.0/5",
    "2001:db8::1",
    "fe80::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", AUTHORISED)
def test_private_and_loopback_need_no_word(text: str) -> None:
    assert len(plan_of([text], {80})) == resolved([text])[0].network.num_addresses


@pytest.mark.parametrize("text", PUBLIC)
@pytest.mark.parametrize("beside", [[], ["127.0.0.1"]])
def test_everything_else_needs_an_authorisation(text: str, beside: list[str]) -> None:
    with pytest.raises(NotAuthorised, match="neither private nor loopback"):
        plan_of([*beside, text], {80})
    assert len(make_plan(resolved([text]), [80], allow_public=True)) > 0


def test_what_is_excluded_needs_no_authorisation() -> None:
    assert len(plan_of(["8.8.8.8", "127.0.0.1"], {80}, ["8.8.8.0/24"])) == 1


def test_the_sentence_names_the_public_part() -> None:
    with pytest.raises(NotAuthorised, match=r"10\.0\.0\.0/7 is not scanned: it holds 11\.0\.0\.0/8, which is neither"):
        plan_of(["10.0.0.0/7"], {80})


def test_addresses_that_no_listener_can_have_are_forbidden_and_counted() -> None:
    plan = make_plan(resolved(["224.0.0.0/30", "0.0.0.0", "127.0.0.1"]), [80, 81], allow_public=True)
    assert set(plan.pairs()) == {("127.0.0.1", 80), ("127.0.0.1", 81)}
    assert plan.account.forbidden == 10
    assert plan.account.unprobed == 2


def test_an_empty_plan_is_a_plan() -> None:
    plan = plan_of(["127.0.0.1"], {80}, ["127.0.0.0/8"])
    assert list(plan.pairs()) == []
    assert plan.account.excluded == plan.account.planned == 1


def test_a_slash_8_by_every_port_costs_no_memory_and_no_time() -> None:
    tracemalloc.start()
    began = time.process_time()
    try:
        plan = make_plan(
            [Addresses(parse_network("10.0.0.0/8"))], range(1, 65536), [parse_network("10.9.0.0/16")], key=b"k"
        )
        some = list(islice(plan.pairs(len(plan) // 2), 1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(plan) == (2**24 - 2**16) * 65535
    assert len(set(some)) == 1000
    assert not any(address.startswith("10.9.") for address, _ in some)
    assert peak < 20_000_000
    assert time.process_time() - began < 1.0


@given(st.integers(1, 9))
def test_shards_are_the_whole_scope_and_so_are_their_accounts(of: int) -> None:
    targets = resolved(["127.0.0.0/29", "127.0.0.4:81", "127.0.0.9:82", "0.0.0.1"])
    exclude = [parse_network("127.0.0.2/31")]

    def made(shard: Shard | None) -> Plan:
        return make_plan(targets, [80, 81], exclude, allow_public=True, shard=shard)

    whole, parts = made(None), [made(Shard(number, of)) for number in range(1, of + 1)]
    assert sorted(pair for part in parts for pair in part.pairs()) == sorted(whole.pairs())
    for count in ("planned", "excluded", "forbidden"):
        assert sum(getattr(part.account, count) for part in parts) == getattr(whole.account, count)


def test_the_parts_of_a_plan_by_address_are_the_plan() -> None:
    plan = plan_of(["127.0.0.0/28"], {80, 81})
    some = Spans.of([parse_network("127.0.0.4/30"), parse_network("10.0.0.0/8")])
    within, without = plan.within(some), plan.within(plan.addresses - some)
    assert len(within) == 8
    assert sorted([*within.pairs(), *without.pairs()]) == sorted(plan.pairs())


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "2/", "/8", "-1/8", "a/b", "1/1/1", "\u0662/8", "1/10000000"])
def test_what_is_no_shard_is_a_clear_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard: write the part and how many there are, such as 2/8"):
        parse_shard(text)


def test_a_shard_reads_as_it_is_written() -> None:
    assert parse_shard("2/8") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"
