"""How the suite is shared between workers: a file's tests stay together, and so do all that set up demonstrations.

Each file has loopback addresses of its own, demonstrations claim the same few, and one test holds all of those at once.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.store import open_store
from inventory.store import store as opening
from inventory.store.database import Database


@pytest.hookimpl(tryfirst=True)  # the workers read the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        demonstration = item.path.parent.name == "demo" or item.path.name == "test_demo.py"
        item.add_marker(pytest.mark.xdist_group("demo" if demonstration else str(item.path)))


@pytest.fixture(scope="session", autouse=True)
def _migrated_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new SQLite database of this process begins as a copy of one that went through every migration.

    Thousands of tests open one, and its migrations take longer than most of them.
    """
    template = tmp_path_factory.mktemp("migrated") / "inventory.db"
    open_store(f"sqlite:///{template}").close()
    migrate, turn = opening.migrate, threading.Lock()

    def migrate_copy(database: Database) -> None:
        name, _, path = database.url.partition(":///")
        with turn:
            if name == "sqlite" and Path(path).stat().st_size == 0:
                shutil.copyfile(template, path)
        migrate(database)

    opening.migrate = migrate_copy
    yield
    opening.migrate = migrate
