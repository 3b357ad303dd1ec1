"""Samples of live traffic: a time series for each backend of a route, of bounded size."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from inventory.model import Sample, Traffic
from inventory.store.database import Database
from inventory.store.gateway_tables import TrafficSampleRow
from inventory.store.tables import TrafficRow
from inventory.traffic import COARSE_KEPT, COARSE_SECONDS, FINE_KEPT, joined

MOST_ROWS = 500_000
"""Samples that are kept of all routes together; beyond, the oldest go first."""

_BATCH = 5_000


class TrafficRepository:
    """What passed, over time, and since each route was made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, samples: Iterable[Sample]) -> None:
        """Keep samples; one of the same backend and moment is replaced. Nobody is woken for it."""
        with self._database.write(notify=False) as session:
            for one in samples:
                session.merge(_row(one))

    def series(self, route: str, since: datetime) -> list[Sample]:
        """The samples of a route from a moment on, oldest first."""
        query = select(TrafficSampleRow).where(TrafficSampleRow.route == route, col(TrafficSampleRow.at) >= since)
        with self._database.read() as session:
            rows = session.exec(query.order_by(col(TrafficSampleRow.at), TrafficSampleRow.backend))
            return [_sample(row) for row in rows]

    def totals(self) -> list[Traffic]:
        """What passed to every backend since its route was made, by route and backend."""
        with self._database.read() as session:
            rows = session.exec(select(TrafficRow).order_by(TrafficRow.route, TrafficRow.backend))
            return [Traffic.model_validate(row.body) for row in rows]

    def thin(self, now: datetime, most: int = MOST_ROWS) -> None:
        """Put old samples together, and forget those that are too old or too many."""
        with self._database.write(notify=False) as session:
            session.connection().execute(
                delete(TrafficSampleRow).where(col(TrafficSampleRow.at) < now - timedelta(seconds=COARSE_KEPT))
            )
            _coarsen(session, now)
            count = session.exec(select(func.count()).select_from(TrafficSampleRow)).one()
            if count > most:
                query = select(TrafficSampleRow.at).order_by(col(TrafficSampleRow.at)).offset(count - most).limit(1)
                first = session.exec(query).one()
                session.connection().execute(delete(TrafficSampleRow).where(col(TrafficSampleRow.at) < first))


def _coarsen(session: Session, now: datetime) -> None:
    # Whole periods only: one that is still filling would be put together twice.
    edge = datetime.fromtimestamp((now.timestamp() - FINE_KEPT) // COARSE_SECONDS * COARSE_SECONDS, UTC)
    key = (col(TrafficSampleRow.route), col(TrafficSampleRow.backend), col(TrafficSampleRow.at))
    query = select(TrafficSampleRow).where(key[2] < edge, col(TrafficSampleRow.seconds) < COARSE_SECONDS)
    rows = session.exec(query.order_by(*key).limit(_BATCH)).all()
    periods: dict[tuple[str, str, float], list[TrafficSampleRow]] = {}
    for row in rows:
        place = row.route, row.backend, row.at.timestamp() // COARSE_SECONDS
        periods.setdefault(place, []).append(row)
    if len(rows) == _BATCH and len(periods) > 1:
        # The last one may go on beyond what was read.
        periods.popitem()
    for found in periods.values():
        whole = joined(map(_sample, found), COARSE_SECONDS)
        for row in found:
            session.delete(row)
        session.flush()
        for one in whole:
            session.merge(_row(one.model_copy(update={"seconds": float(COARSE_SECONDS)})))


def _row(one: Sample) -> TrafficSampleRow:
    body = one.model_dump(mode="json", exclude={"route", "backend", "at", "seconds"})
    return TrafficSampleRow(route=one.route, backend=one.backend, at=one.at, seconds=one.seconds, body=body)


def _sample(row: TrafficSampleRow) -> Sample:
    return Sample.model_validate(
        {**row.body, "route": row.route, "backend": row.backend, "at": row.at, "seconds": row.seconds}
    )
