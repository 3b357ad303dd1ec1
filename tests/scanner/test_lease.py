import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.store import Store, StoreError, open_store
from scanner.lease import Lease


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{path}") as opened:
        yield opened


def test_one_holder_at_a_time(store: Store) -> None:
    first, second = Lease(store, "name"), Lease(store, "name")
    assert first.take()
    assert first.take()
    assert not second.take()
    assert not second.keep()
    assert Lease(store, "another").take()
    first.give_back()
    assert second.take()
    first.give_back()
    assert not first.take()


def test_a_store_that_fails_takes_the_lease_only_when_its_time_is_over(store: Store, path: Path) -> None:
    held, short = Lease(store, "held", seconds=60), Lease(store, "short", seconds=0.0)
    assert held.take()
    assert short.take()
    never = Lease(store, "never")
    held._renew_at = 0.0
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE lease")
    connection.close()
    assert held.keep()
    assert not short.keep()
    assert not never.keep()
    with pytest.raises(StoreError):
        held.take()
    held.give_back()
