"""Copies of a SQLite database that is in use, by SQLite's own online backup."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url

from inventory.store.errors import StoreError, explain

PAGES_AT_ONCE = 2048


def copy_database(url: str, to: Path) -> None:
    """Copy the database of a URL to a new file, which only its owner may read.

    Others may write meanwhile: the copy is of one moment. Raises StoreError, and leaves no half of a file.
    """
    parsed = make_url(url)
    if parsed.drivername != "sqlite" or not parsed.database:
        raise StoreError("only SQLite databases are copied so: use pg_dump for PostgreSQL")
    if not Path(parsed.database).exists():
        raise StoreError(f"there is no database {parsed.database}")
    draft = to.with_name(f".{to.name}.draft")
    try:
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(parsed.database)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy, pages=PAGES_AT_ONCE)
        draft.rename(to)
    except (sqlite3.Error, OSError) as error:
        draft.unlink(missing_ok=True)
        raise explain(url, error) from error
