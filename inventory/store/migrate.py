"""Brings a database to this version's schema, and says clearly when it cannot."""

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from inventory.store.database import Database
from inventory.store.errors import StoreError, explain, hide_password

FOLDER = Path(__file__).parent / "migrations"
HEAD = max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*.py"))
"""The newest schema: versions are files named by their number."""
EMPTY = "base"
# One number for all of gnomon's migrations, so that two processes that start at once take turns.
ADVISORY_LOCK = 0x676E6F6D6F6E


def migrate(database: Database, to: str = HEAD) -> None:
    """Upgrade or downgrade to a revision; nothing where the database is there already.

    Raises StoreError for a database that cannot be opened, is none of gnomon's, or was written by a
    newer gnomon.
    """
    current = current_revision(database)
    if current == to:
        return
    known = {path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*.py")}
    if current is not None and current not in known:
        raise StoreError(
            f"the database {hide_password(database.url)} was written by a newer gnomon (schema {current}): "
            "upgrade gnomon"
        )
    _run(database, current, to)


def current_revision(database: Database) -> str | None:
    """The schema revision that a database is at, None where it is empty. Raises StoreError."""
    try:
        with database.engine.connect() as connection:
            tables = set(inspect(connection).get_table_names())
            if "alembic_version" in tables:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except SQLAlchemyError as error:
        raise explain(database.url, error) from error
    if tables:
        raise StoreError(
            f"the database {hide_password(database.url)} holds other tables and none of gnomon's: name another one"
        )
    return None


def _run(database: Database, current: str | None, to: str) -> None:
    # Alembic is slow to import, and nearly every start finds the schema as it should be.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    try:
        with database.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            config.attributes["connection"] = connection
            down = to == EMPTY or (current is not None and to < current)
            (command.downgrade if down else command.upgrade)(config, to)
    except SQLAlchemyError as error:
        raise explain(database.url, error) from error
