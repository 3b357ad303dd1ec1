"""The record of governed changes: appended in the transaction that makes each, never edited."""

from datetime import datetime
from typing import Final

from sqlalchemy import insert
from sqlmodel import Session, col, select

from inventory.model import Change
from inventory.store.database import Database
from inventory.store.tables import ChangeRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Changes = list[Change]

_APPEND: Final = insert(ChangeRow)


class ChangeRepository:
    """Who did what, when and why, before and after."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, subject: str | None = None, limit: int = 100, since: datetime | None = None) -> Changes:
        """The latest changes, newest first; ``subject`` is an endpoint's id, ``route:NAME`` or ``scope:NAME``."""
        query = select(ChangeRow).order_by(col(ChangeRow.number).desc()).limit(limit)
        if since is not None:
            query = query.where(ChangeRow.at >= since)
        if subject is not None:
            query = query.where(ChangeRow.subject == subject)
        with self._database.read() as session:
            return [Change.model_validate(row.body) for row in session.exec(query)]


def record(session: Session, change: Change) -> None:
    """Append a change inside the transaction that makes it."""
    row = {"at": change.at, "subject": change.subject, "body": change.model_dump(mode="json")}
    session.connection().execute(_APPEND, row)
