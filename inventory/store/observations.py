"""Observations: appended in bulk, never changed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sqlalchemy import tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from inventory.model import Listener, Observation
from inventory.store.database import Database
from inventory.store.tables import ObservationRow

# SQLite takes 32,766 variables in a statement; a row has seven.
BATCH = 2000

T = TypeVar("T")


class ObservationRepository:
    """Everything that was ever seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, observations: Iterable[Observation]) -> int:
        """Keep observations, all or none. How many were new: the same one twice is one."""
        dialect = postgresql if self._database.engine.dialect.name == "postgresql" else sqlite
        added = 0
        with self._database.write() as session:
            for batch in _batches(observations, BATCH):
                rows = [_row(observation) for observation in batch]
                insert = dialect.insert(ObservationRow).on_conflict_do_nothing(index_elements=["id"])
                kept = session.connection().execute(insert.values(rows).returning(col(ObservationRow.id)))
                added += len(kept.all())
        return added

    def of(self, listener: Listener) -> list[Observation]:
        """Everything that was seen of a listener, oldest first."""
        with self._database.read() as session:
            return observations_of(session, [listener])[listener]


def observations_of(session: Session, listeners: Iterable[Listener]) -> dict[Listener, list[Observation]]:
    """Everything that was seen of each listener, oldest first, inside a transaction that is under way."""
    found: dict[Listener, list[Observation]] = defaultdict(list)
    for batch in _batches(listeners, BATCH):
        keys = [(listener.site, listener.address, listener.port) for listener in batch]
        where = tuple_(col(ObservationRow.site), col(ObservationRow.address), col(ObservationRow.port)).in_(
            keys
        )
        rows = session.exec(
            select(ObservationRow).where(where).order_by(col(ObservationRow.at), ObservationRow.id)
        )
        for row in rows:
            observation = Observation.model_validate(row.body)
            found[observation.listener].append(observation)
    return found


def _row(observation: Observation) -> dict[str, object]:
    listener = observation.listener
    return {
        "id": observation.id,
        "scan": observation.scan,
        "site": listener.site,
        "address": listener.address,
        "port": listener.port,
        "at": observation.at,
        "body": observation.model_dump(mode="json"),
    }


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
