"""What screens read, on every database: the same rows, orders and counts as the endpoints themselves give."""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from making import NOW, ago, endpoint

from inventory.coverage import is_gap
from inventory.listing import ORDERS, Order
from inventory.model import Endpoint, Governance, Kind, Posture, Presence, Routing
from inventory.query import Query, parse
from inventory.store import Store, open_store
from inventory.store.rows import Due, keep


def everything() -> Iterator[Endpoint]:
    """An endpoint of every combination of kind, presence, governance and routing; IPv6 and two sites among them."""
    combinations = itertools.product([*Kind, None], Presence, Governance, Routing)
    owners, postures = itertools.cycle((None, "ana", "bo")), itertools.cycle(Posture)
    for n, (kind, presence, governance, routing) in enumerate(combinations):
        address = f"fd00::{n:x}" if n % 10 == 0 else f"10.0.{n % 4}.{n % 250}"
        yield endpoint(
            id=f"id{n:04}", address=address, port=5000 + n % 3, site="berlin" if n % 7 == 0 else "default", kind=kind,
            presence=presence, governance=governance, routing=routing, owner=next(owners), posture=next(postures),
            risk=n % 101, first_seen=ago(hours=n % 90), last_seen=ago(minutes=n),
        )  # fmt: skip


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        with opened._database.write() as session:
            keep(session, [Due(one, None) for one in everything()], NOW)
        yield opened


def test_the_ids_in_order_are_the_list_in_order(store: Store) -> None:
    for by, descending in itertools.product(ORDERS, (True, False)):
        order = Order(by, descending)
        listed = [one.id for one in store.endpoints.list("kind:notebook,ml-ui", order=order)]
        assert store.order.read(parse("kind:notebook,ml-ui"), order, NOW).keys == listed, order
    assert store.order.read(parse("owner:nobody"), Order(), NOW).keys == []


def test_gaps_and_counts_are_those_of_the_endpoints(store: Store) -> None:
    every = store.endpoints.list()
    gaps = [one for one in every if is_gap(one)]
    assert store.order.read(Query(), Order(), NOW, gaps=True).keys == [one.id for one in gaps]
    assert [one.id for one in store.pages.worst(20)] == [one.id for one in gaps[:20]]
    assert (store.pages.count(), store.pages.count(gaps=True)) == (len(every), len(gaps))
    found = store.pages.found_by_day(NOW, 4)
    assert sum(found) == len(every)
    assert found[-1] == sum(one.first_seen > ago(days=1) for one in every)


def test_rows_and_neighbours_are_whole_endpoints(store: Store) -> None:
    every = {one.id: one for one in store.endpoints.list()}
    assert store.pages.rows(["id0001", "nobody", "id0002"]) == {i: every[i] for i in ("id0001", "id0002")}
    one = every["id0003"]
    expected = {e.id for e in every.values() if (e.site, e.address) == (one.site, one.address)} - {one.id}
    assert {e.id for e in store.pages.beside(one)} == expected
    assert store.pages.values("owner", "A") == ["ana"]
    with pytest.raises(KeyError):
        store.pages.values("title", "")


def test_the_address_space_is_counted_by_blocks(store: Store) -> None:
    expected = Counter(
        (one.site, f"{one.address.rpartition('.')[0]}.0/24" if "." in one.address else "fd00::/64")
        for one in store.endpoints.list()
        if one.presence is not Presence.GONE
    )
    assert {(site, network): count for site, network, count in store.pages.blocks()} == expected
