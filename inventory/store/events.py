"""What happened to endpoints: appended in the transaction that finds out, never edited."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import Session, col, select

from inventory.changes import Event, Happening
from inventory.store.database import Database, batches
from inventory.store.tables_history import BookmarkRow, EventRow

BATCH = 2000

# Inside a class with a method of that name, ``list`` is no longer the type.
Events = list[Event]


class EventRepository:
    """What is new, changed, gone and back, as it was found out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(
        self,
        *,
        since: datetime | None = None,
        endpoint: str | None = None,
        what: Iterable[Happening] = (),
        limit: int = 1000,
    ) -> Events:
        """The latest events, newest first."""
        query = select(EventRow).order_by(col(EventRow.number).desc()).limit(limit)
        if since is not None:
            query = query.where(EventRow.at >= since)
        if endpoint is not None:
            query = query.where(EventRow.endpoint == endpoint)
        if wanted := [one.value for one in what]:
            query = query.where(col(EventRow.what).in_(wanted))
        with self._database.read() as session:
            return [_event(row) for row in session.exec(query)]

    def after(self, number: int, limit: int = 1000) -> Events:
        """The events after one, in the order that they were kept."""
        query = select(EventRow).where(col(EventRow.number) > number).order_by(col(EventRow.number)).limit(limit)
        with self._database.read() as session:
            return [_event(row) for row in session.exec(query)]

    def latest(self) -> int:
        """The number of the last event, 0 where there is none."""
        with self._database.read() as session:
            return session.exec(select(EventRow.number).order_by(col(EventRow.number).desc()).limit(1)).first() or 0

    def bookmark(self, reader: str) -> int | None:
        """How far a reader has come; None for one that never read."""
        with self._database.read() as session:
            row = session.get(BookmarkRow, reader)
            return row.number if row else None

    def set_bookmark(self, reader: str, number: int) -> None:
        """Keep how far a reader has come. Nobody is woken."""
        with self._database.write(notify=False) as session:
            session.merge(BookmarkRow(reader=reader, number=number))


def _event(row: EventRow) -> Event:
    return Event.model_validate(row.body | {"number": row.number})


def append(session: Session, events: Iterable[Event]) -> None:
    """Append events inside the transaction that found them."""
    for batch in batches(events, BATCH):
        rows = [
            {"at": one.at, "endpoint": one.endpoint, "what": one.what.value,
             "body": one.model_dump(mode="json", exclude={"number"}, exclude_none=True)}
            for one in batch
        ]  # fmt: skip
        session.connection().execute(insert(EventRow), rows)
