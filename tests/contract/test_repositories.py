"""A store makes its repositories when they are asked for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def test_every_repository_is_of_the_kind_that_is_declared(store: Store) -> None:
    declared = Store.__annotations__
    assert {name: type(getattr(store, name)).__name__ for name in declared} == declared


def test_a_repository_is_made_once_whoever_asks_first(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: store.coverage, range(32)))
    assert all(one is made[0] for one in made)


def test_a_name_that_is_none_is_an_error(store: Store) -> None:
    with pytest.raises(AttributeError, match="a store has no 'endpoitns'"):
        getattr(store, "endpoitns")  # noqa: B009 - mypy refuses it otherwise
