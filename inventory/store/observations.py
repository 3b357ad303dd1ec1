"""Observations: appended in bulk, never changed."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import select as sa_select
from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from inventory.model import Listener, Observation
from inventory.store.database import Database, batches, insert_into
from inventory.store.placements import keep_placements
from inventory.store.tables import ObservationRow

# SQLite takes 32,766 variables in a statement; a listener has three.
BATCH = 2000
_TABLE = ObservationRow.metadata.tables[str(ObservationRow.__tablename__)]
# In the table's order, which is the statement's.
_COLUMNS = ("scan", "id", "site", "address", "port", "at", "body")
_PLACE = itemgetter(*(_COLUMNS.index(name) for name in ("site", "address", "port")))
_WHERE = (col(ObservationRow.site), col(ObservationRow.address), col(ObservationRow.port))


class ObservationRepository:
    """Everything that was ever seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, observations: Iterable[Observation]) -> int:
        """Keep observations, all or none. How many were new: the same one twice is one."""
        with self._database.write() as session:
            return append_in(session, observations)

    def of(self, listener: Listener) -> list[Observation]:
        """Everything that was seen of a listener, oldest first."""
        with self._database.read() as session:
            return observations_of(session, [listener]).get(listener, [])

    def seen_by(self, scan: str) -> frozenset[tuple[str, int]]:
        """The addresses and ports that a scan saw anything of."""
        with self._database.read() as session:
            where = col(ObservationRow.scan) == scan
            return frozenset(session.exec(select(ObservationRow.address, ObservationRow.port).where(where)).all())


def append_in(session: Session, observations: Iterable[Observation]) -> int:
    """``append`` inside a transaction that is under way."""
    added, connection = 0, session.connection()
    insert = insert_into(session, ObservationRow).on_conflict_do_nothing(index_elements=["scan", "id"])
    # Straight to the driver: to look at each parameter of each row takes a quarter of the time that keeping them does.
    form = insert.compile(dialect=connection.dialect, column_keys=_COLUMNS)
    process = _TABLE.c.at.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    # All that is seen of a listener at once has one moment.
    moment = lru_cache(maxsize=16)(process or _as_it_is)
    for batch in batches(observations, BATCH):
        rows: list[Any] = [_row(one, moment(one.at)) for one in batch]
        # Rows that lie together in an index go in together: a scan finds its listeners in no order.
        rows.sort(key=_PLACE)
        if not form.positional:
            rows = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        done = connection.exec_driver_sql(str(form), rows, execution_options={"preserve_rowcount": True})
        added += done.rowcount
        keep_placements(session, batch)
    return added


def _as_it_is(value: object) -> object:
    return value


def observations_of(session: Session, listeners: Iterable[Listener]) -> dict[Listener, list[Observation]]:
    """Everything that was seen of each listener, oldest first, inside a transaction that is under way."""
    # By the columns first: values that are compared field by field, once an observation, take as long as to read them.
    found: dict[tuple[str, str, int], list[Observation]] = defaultdict(list)
    for batch in batches(listeners, BATCH):
        keys = [(listener.site, listener.address, listener.port) for listener in batch]
        where = tuple_(*_WHERE).in_(keys)
        query = sa_select(*_WHERE, col(ObservationRow.body)).where(where)
        for site, address, port, body in session.connection().execute(
            query.order_by(col(ObservationRow.at), col(ObservationRow.id))
        ):
            found[site, address, port].append(Observation.from_canonical(body))
    return {its[0].listener: its for its in found.values()}


def _row(observation: Observation, at: object) -> tuple[object, ...]:
    """The values of ``_COLUMNS``."""
    where = observation.listener
    return observation.scan, observation.id, where.site, where.address, where.port, at, observation.canonical
