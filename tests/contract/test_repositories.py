"""A store makes its repositories when they are asked for."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def test_a_repository_is_made_once_whoever_asks_first(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: store.coverage, range(32)))
    assert all(one is made[0] for one in made)


def test_to_import_the_store_imports_no_repository() -> None:
    told = "import sys, inventory.store; print(*(m.rpartition('.')[2] for m in sys.modules if 'inventory.store.' in m))"
    imported = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.split()
    assert {"store", "database"} <= set(imported)
    assert not {"calls", "coverage", "endpoints", "observations", "upkeep"} & set(imported)
