import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.store import Store, StoreError, open_store
from scanner.lease import Lease, has_died

ROOT = Path(__file__).parents[2]


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


ANOTHER = """
import sys
from inventory.store import open_store
from scanner.lease import Lease
with open_store(sys.argv[1]) as store:
    print(Lease(store, "name", 3600).take(), flush=True)
    sys.stdin.read()
"""


def test_who_was_killed_on_this_machine_blocks_nobody(store: Store, path: Path) -> None:
    command = [sys.executable, "-c", ANOTHER, f"sqlite:///{path}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        heir = Lease(store, "name")
        assert not heir.take()
        process.kill()
    assert heir.take()


def test_nobody_is_taken_for_dead_who_may_live(store: Store) -> None:
    lease = Lease(store, "name")
    assert lease.take()
    mine = store.leases.holder("name")
    assert mine is not None
    machine, pid, began, token = mine.rsplit(":", 3)
    assert not has_died(mine)
    assert has_died(f"{machine}:{pid}:{int(began) + 1}:{token}")
    for other in (
        f"elsewhere:{pid}:1:{token}",
        f"{machine}x:{pid}:1:{token}",
        "",
        "another",
        "a:b:c:d",
        f"{machine}:x:1:a",
    ):
        assert not has_died(other)
