"""What a listing keeps of its endpoints: where the next key may lead, and nothing else."""

from inventory.listing import Order
from inventory.store import Store
from tui.feed import Feed


async def test_rows_are_read_around_the_view_and_at_both_ends(store: Store, now) -> None:
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    assert len(feed.keys) == 8
    await feed.load(range(3, 4))
    assert set(feed.rows) == {feed.keys[place] for place in (0, 1, 2, 3, 4, 6, 7)}
    await feed.load(range(7, 8))
    assert set(feed.rows) == {feed.keys[place] for place in (0, 1, 6, 7)}
    assert not feed.lacks(range(1))


async def test_a_listing_of_one_page_is_read_once(store: Store, now) -> None:
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    await feed.load(range(8))
    assert list(feed.around(range(8))) == feed.keys
    assert set(feed.rows) == set(feed.keys)


async def test_rows_in_view_are_read_before_those_around_it(store: Store, now, monkeypatch) -> None:
    monkeypatch.setattr("tui.feed.AT_ONCE", 2)
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    assert feed.lacks(range(4, 6))[:2] == list(feed.keys[4:6])
    assert await feed.load(range(4, 6)) == set(feed.keys[4:6])
    assert not set(feed.lacks(range(4, 6))) & set(feed.keys[4:6])
    while feed.lacks(range(4, 6)):
        await feed.load(range(4, 6))
    assert set(feed.around(range(4, 6))) <= set(feed.rows)


async def test_who_looks_into_the_rows_sees_what_is_read_later(store: Store, now) -> None:
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    row_of = feed.rows.get
    await feed.load(range(1))
    assert row_of(feed.keys[4]) is None
    await feed.load(range(4, 5))
    assert row_of(feed.keys[4]) == feed.rows[feed.keys[4]]


async def test_what_others_wrote_is_read_again_and_nothing_else(store: Store, now) -> None:
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    await feed.load(range(8))
    kept = dict(feed.rows)
    key = feed.keys[3]
    store.triage.apply([key], owner="bo", who="ana", why="asked")
    feed.hurry()
    assert feed.due(store.version())
    await feed.follow(now)
    assert not feed.due(store.version())
    assert feed.lacks(range(8)) == [key]
    assert await feed.load(range(8)) == {key}
    assert feed.rows[key].owner == "bo"
    assert all(feed.rows[other] is kept[other] for other in kept if other != key)
