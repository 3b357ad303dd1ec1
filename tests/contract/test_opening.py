"""What is opened as a database: of any version, of another program's, of none; on SQLite and on a real PostgreSQL."""

import sqlite3
from pathlib import Path

import pytest
from making import NOW, identified, observation
from sqlalchemy import text

from inventory.model import Posture, Postured
from inventory.store import StoreError, open_store
from inventory.store.database import Database
from inventory.store.migrate import EMPTY, FOLDER, HEAD, current_revision, migrate


def test_the_schema_goes_down_and_up_again_with_its_data(database_url: str):
    with open_store(database_url) as store:
        seen = [observation(Postured(posture=Posture.OPEN)), observation(identified())]
        store.observations.append(seen)
        store.endpoints.refold({one.listener for one in seen}, NOW)
        before = store.endpoints.list()
    database = Database(database_url)
    for revision in sorted((path.name[:4] for path in (FOLDER / "versions").glob("0*.py")), reverse=True)[1:]:
        migrate(database, revision)
        assert current_revision(database) == revision
    database.close()
    with open_store(database_url) as store:
        assert store.endpoints.list("kind:model-endpoint") == before
        assert (store.endpoints.count("posture:open"), store.endpoints.count()) == (1, 1)
    database = Database(database_url)
    migrate(database, EMPTY)
    assert current_revision(database) is None
    database.close()
    with open_store(database_url) as store:
        assert store.endpoints.list() == []


def test_a_database_of_a_newer_version_is_left_alone(database_url: str):
    open_store(database_url).close()
    database = Database(database_url)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreError, match="written by a newer gnomon"):
        open_store(database_url)


def test_head_is_the_newest_migration():
    assert max(path.name[:4] for path in (FOLDER / "versions").glob("0*.py")) == HEAD


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://root:secret@host/x", "'mysql' are not supported"),
        ("sqlite://", "needs a file"),
        ("postgresql://ana:secret@127.0.0.1:1/x", "failed: "),
        ("sqlite:////proc/none/x.db", "cannot be opened"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_sentence_without_the_password(url: str, words: str):
    with pytest.raises(StoreError, match=words) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_left_as_it_was(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, " * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text() == "not a database, " * 100


def test_an_inventory_is_for_its_owner_alone(tmp_path: Path):
    open_store(f"sqlite:///{tmp_path}/new/inventory.db").close()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new" / "inventory.db").stat().st_mode & 0o077 == 0


def test_another_programs_database_is_left_alone(tmp_path: Path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(StoreError, match="none of gnomon's"):
        open_store(f"sqlite:///{path}")
