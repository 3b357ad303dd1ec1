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
    assert not feed.behind(range(1))


async def test_a_listing_of_one_page_is_read_once(store: Store, now) -> None:
    feed = Feed(store, Order("risk"))
    await feed.follow(now)
    await feed.load(range(8))
    assert list(feed.around(range(8))) == feed.keys
    assert set(feed.rows) == set(feed.keys)
