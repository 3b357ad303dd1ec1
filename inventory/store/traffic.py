"""Samples of live traffic: a time series for each backend of a route, of bounded size."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func
from sqlmodel import col, select

from inventory.model import Sample, Traffic
from inventory.store.database import Database, batches, upsert
from inventory.store.gateway_tables import TrafficSampleRow
from inventory.store.tables import TrafficRow
from inventory.traffic import COARSE_KEPT, COARSE_SECONDS, FINE_KEPT, joined

MOST_ROWS = 500_000
"""Samples that are kept of all routes together; beyond, the oldest go first."""

_BATCH = 5_000
_AT_ONCE = 500


class TrafficRepository:
    """What passed, over time, and since each route was made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, samples: Iterable[Sample]) -> None:
        """Keep samples; one of the same backend and moment is replaced. Nobody is woken for it."""
        for batch in batches(samples, _AT_ONCE):
            rows = [_row(one) for one in batch]
            with self._database.write(notify=False) as session:
                upsert(session, TrafficSampleRow, rows)

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
        while self._coarsen(now):
            pass
        with self._database.write(notify=False) as session:
            session.connection().execute(
                delete(TrafficSampleRow).where(col(TrafficSampleRow.at) < now - timedelta(seconds=COARSE_KEPT))
            )
            count = session.exec(select(func.count()).select_from(TrafficSampleRow)).one()
            if count > most:
                query = select(TrafficSampleRow.at).order_by(col(TrafficSampleRow.at)).offset(count - most).limit(1)
                first = session.exec(query).one()
                session.connection().execute(delete(TrafficSampleRow).where(col(TrafficSampleRow.at) < first))

    def _coarsen(self, now: datetime) -> bool:
        """Put some old samples together. Whether there are more: each time others may write between."""
        # Whole periods only: one that is still filling would be put together twice.
        edge = datetime.fromtimestamp((now.timestamp() - FINE_KEPT) // COARSE_SECONDS * COARSE_SECONDS, UTC)
        key = (col(TrafficSampleRow.route), col(TrafficSampleRow.backend), col(TrafficSampleRow.at))
        query = select(TrafficSampleRow).where(key[2] < edge, col(TrafficSampleRow.seconds) < COARSE_SECONDS)
        with self._database.read() as session:
            samples = [_sample(row) for row in session.exec(query.order_by(*key).limit(_BATCH))]
        periods: dict[tuple[str, str, float], list[Sample]] = {}
        for one in samples:
            periods.setdefault((one.route, one.backend, one.at.timestamp() // COARSE_SECONDS), []).append(one)
        more = len(samples) == _BATCH and len(periods) > 1
        if more:
            # The last one may go on beyond what was read.
            periods.popitem()
        fine = [one for found in periods.values() for one in found]
        whole = [one for found in periods.values() for one in joined(found, COARSE_SECONDS)]
        if fine:
            with self._database.write(notify=False) as session:
                session.connection().execute(_GONE, [{"r": one.route, "b": one.backend, "t": one.at} for one in fine])
                rows = [_row(one.model_copy(update={"seconds": float(COARSE_SECONDS)})) for one in whole]
                upsert(session, TrafficSampleRow, rows)
        return more


_GONE = delete(TrafficSampleRow).where(
    col(TrafficSampleRow.route) == bindparam("r"),
    col(TrafficSampleRow.backend) == bindparam("b"),
    col(TrafficSampleRow.at) == bindparam("t"),
)


def _row(one: Sample) -> dict[str, Any]:
    body = one.model_dump(mode="json", exclude={"route", "backend", "at", "seconds"})
    return {"route": one.route, "backend": one.backend, "at": one.at, "seconds": one.seconds, "body": body}


def _sample(row: TrafficSampleRow) -> Sample:
    return Sample.model_validate(
        {**row.body, "route": row.route, "backend": row.backend, "at": row.at, "seconds": row.seconds}
    )
