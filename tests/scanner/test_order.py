from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.order import Order


@given(st.integers(0, 3000), st.binary(max_size=16))
def test_every_number_comes_once(size: int, key: bytes) -> None:
    order = Order(size, key)
    values = [order[position] for position in range(size)]
    assert sorted(values) == list(range(size))
    assert list(order.walk(size // 3)) == values[size // 3 :]


@given(st.integers(1, 2**80), st.binary(max_size=16), st.data())
def test_huge_orders_stay_in_their_range_and_are_one_to_one(size: int, key: bytes, data: st.DataObject) -> None:
    order = Order(size, key)
    positions = data.draw(st.sets(st.integers(0, size - 1), max_size=20))
    values = {order[position] for position in positions}
    assert len(values) == len(positions)
    assert all(0 <= value < size for value in values)


def test_the_order_is_the_same_on_every_machine_and_in_every_version() -> None:
    # A checkpoint is a position: a change of the order would make every one of them mean something else.
    assert [Order(1000, b"key")[position] for position in range(8)] == PINNED


PINNED = [540, 328, 434, 105, 889, 884, 395, 985]


def test_another_key_is_another_order() -> None:
    first, second = Order(10_000, b"a"), Order(10_000, b"b")
    same = sum(first[position] == second[position] for position in range(10_000))
    assert same < 20


@pytest.mark.parametrize("key", [b"a", b"b", b"c", b"d"])
def test_neighbours_in_time_are_strangers_in_space(key: bytes) -> None:
    # 256 hosts by 64 ports: two probes in a row to one host should be about as rare as by chance.
    order = Order(256 * 64, key)
    hosts = [order[position] // 64 for position in range(order.size)]
    in_a_row = sum(before == after for before, after in pairwise(hosts))
    assert in_a_row / order.size < 0.02
    busiest = max(
        max(hosts[start : start + 256].count(host) for host in set(hosts[start : start + 256]))
        for start in range(0, order.size, 256)
    )
    assert busiest <= 16


def test_positions_beyond_the_end_are_errors() -> None:
    with pytest.raises(IndexError):
        Order(10, b"")[10]
    with pytest.raises(IndexError):
        Order(10, b"")[-1]
    with pytest.raises(ValueError, match="negative"):
        Order(-1, b"")
