"""The order of a listing that follows what is written, on every database: always what reading all of it would give."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from making import NOW, ago, endpoint

from inventory.listing import ORDERS, Order
from inventory.model import Endpoint, Kind, Presence
from inventory.query import Query, parse
from inventory.store import Store, open_store, order
from inventory.store.order import Ordered, patched
from inventory.store.rows import Due, forget, keep


def one(n: int, **fields: object) -> Endpoint:
    given = {
        "id": f"id{n:03}", "address": f"fd00::{n:x}" if n % 9 == 0 else f"10.0.{n % 4}.{n}", "port": 5000 + n % 3,
        "kind": [Kind.NOTEBOOK, Kind.ML_UI, Kind.ORDINARY_WEB, None][n % 4], "owner": (None, "ana", "Bo")[n % 3],
        "product": (None, "flask", "Tgi")[n % 3], "risk": n % 101, "presence": Presence.SEEN,
        "first_seen": ago(hours=n), "last_seen": ago(minutes=n, seconds=n % 2),
    }  # fmt: skip
    return endpoint(**{**given, **fields})


def write(store: Store, *those: Endpoint) -> None:
    with store._database.write() as session:
        keep(session, [Due(each, None) for each in those], NOW)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        write(opened, *(one(n) for n in range(1, 60)))
        yield opened


QUERIES = (Query(), parse("kind:notebook,ml-ui"), parse("seen<20m"), parse("owner:ana address:10.*"))


def test_what_is_followed_is_what_would_be_read(store: Store) -> None:
    orders = [Order(by, descending) for by, descending in itertools.product(ORDERS, (True, False))]
    asked = [(query, each, gaps) for query in QUERIES for each in orders for gaps in (False, True)]
    before = {a: store.order.read(*a[:2], NOW, gaps=a[2]) for a in asked}
    # Values of facets that are there, rows that go, come, move, and enter or leave what a filter shows.
    write(
        store,
        one(5, risk=99, last_seen=ago(seconds=1)), one(8, owner="ana", kind=Kind.NOTEBOOK), one(12, kind=None),
        one(61, owner="Bo"), one(62, first_seen=ago(seconds=3)), one(20, presence=Presence.GONE),
        one(21, address="10.0.9.9"),
    )  # fmt: skip
    with store._database.write() as session:
        forget(session, {"id030": None, "id031": "id032"}, "a test", NOW)
    for query, each, gaps in asked:
        news = store.order.since(before[query, each, gaps], query, each, NOW, gaps=gaps)
        whole = store.order.read(query, each, NOW, gaps=gaps)
        if each.by == "presence":  # A value came that had no rank: see below.
            assert news is None
            continue
        assert news is not None
        assert patched(before[query, each, gaps], news) == whole, (query, each, gaps)


def test_no_news_is_nothing_read(store: Store) -> None:
    before = store.order.read(Query(), Order(), NOW)
    news = store.order.since(before, Query(), Order(), NOW)
    assert news is not None
    assert (news.version, news.changed, news.placed) == (before.version, frozenset(), ())


def test_a_value_without_a_rank_and_too_many_changes_ask_for_all_of_it(store: Store, monkeypatch) -> None:
    by_owner = Order("owner", descending=False)
    before = store.order.read(Query(), by_owner, NOW)
    write(store, one(7, owner="carl"))
    assert store.order.since(before, Query(), by_owner, NOW) is None
    again = store.order.read(Query(), by_owner, NOW)
    monkeypatch.setattr(order, "MANY", 3)
    write(store, *(one(n) for n in range(1, 5)))
    assert store.order.since(again, Query(), by_owner, NOW) is None


def test_what_was_before_stays_as_it_was(store: Store) -> None:
    before = store.order.read(Query(), Order(), NOW)
    kept = Ordered(before.version, list(before.keys), list(before.sorts), before.falling, before.ranked)
    write(store, one(3, risk=100))
    news = store.order.since(before, Query(), Order(), NOW)
    assert news is not None
    after = patched(before, news)
    assert before == kept
    assert replace(after, version=0) != replace(before, version=0)
