"""Live traffic by backend, and the evidence of paired answers."""

from collections.abc import Iterable

from sqlmodel import select

from inventory.model import ShadowEvidence, Traffic
from inventory.store.database import Database, batches, upsert
from inventory.store.tables import ShadowRow, TrafficRow

_AT_ONCE = 500


class ShadowRepository:
    """The latest counts, by route."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, *evidence: ShadowEvidence) -> None:
        """Insert or replace the evidence of some pairs of backends. Nobody is woken: it grows all the time."""
        rows = [
            {"route": one.route, "primary": one.primary, "shadow": one.shadow, "body": one.model_dump(mode="json")}
            for one in evidence
        ]
        if rows:
            with self._database.write(ring=False) as session:
                upsert(session, ShadowRow, rows)

    def of(self, route: str) -> list[ShadowEvidence]:
        """The evidence of every pair of backends that a route has had."""
        query = select(ShadowRow).where(ShadowRow.route == route).order_by(ShadowRow.primary, ShadowRow.shadow)
        with self._database.read() as session:
            return [ShadowEvidence.model_validate(row.body) for row in session.exec(query)]

    def save_traffic(self, traffic: Iterable[Traffic]) -> None:
        """Insert or replace the counts of some backends. Nobody is woken, and nobody waits for thousands of them."""
        for batch in batches(traffic, _AT_ONCE):
            rows = [{"route": one.route, "backend": one.backend, "body": one.model_dump(mode="json")} for one in batch]
            with self._database.write(ring=False) as session:
                upsert(session, TrafficRow, rows)

    def traffic(self, route: str) -> list[Traffic]:
        """The counts of every backend that a route has had, by name."""
        query = select(TrafficRow).where(TrafficRow.route == route).order_by(TrafficRow.backend)
        with self._database.read() as session:
            return [Traffic.model_validate(row.body) for row in session.exec(query)]
