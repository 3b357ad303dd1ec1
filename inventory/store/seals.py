"""Trials of direct paths: appended, and what they come to laid over the endpoint in the same transaction."""

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from inventory.model import Change, Routing, Seal, Verdict, utc_now
from inventory.store.changes import record
from inventory.store.database import Database, batches
from inventory.store.endpoints import EndpointRepository
from inventory.store.gateway_tables import SealRow
from inventory.store.rows import BATCH, by_ids, successor_of

# Inside a class with a method of that name, ``list`` is no longer the type.
Seals = list[Seal]


class SealRepository:
    """Every trial of direct paths that was ever made."""

    def __init__(self, database: Database, endpoints: EndpointRepository) -> None:
        self._database = database
        self._endpoints = endpoints

    def put(self, seal: Seal, otherwise: Routing) -> Seal:
        """Keep the trials of an endpoint, and what follows: sealed, or no longer. Returns them with their number.

        ``otherwise`` is how its callers are served where it is not sealed. What proves nothing changes nothing.
        Raises LookupError for an endpoint that is not known.
        """
        with self._database.write() as session:
            wanted = successor_of(session, seal.endpoint)
            endpoint = by_ids(session, [wanted]).get(wanted)
            if endpoint is None:
                raise LookupError(f"there is no endpoint {seal.endpoint!r}: `gnomon endpoints` lists them")
            seal = seal.model_copy(update={"endpoint": endpoint.id})
            row = SealRow(endpoint=seal.endpoint, route=seal.route, at=seal.at, verdict=seal.verdict.value,
                          body=seal.model_dump(mode="json", exclude={"number"}))  # fmt: skip
            session.add(row)
            session.flush()
            after = endpoint
            if seal.verdict is Verdict.SEALED:
                after = endpoint.model_copy(update={"routing": Routing.SEALED, "sealed_at": seal.at})
            elif seal.verdict is Verdict.BYPASS and endpoint.routing is Routing.SEALED:
                after = endpoint.model_copy(update={"routing": otherwise, "sealed_at": None})
            if after is not endpoint:
                # Presence rests on the seal: it is worked out again with it.
                self._endpoints.overlay(session, after, utc_now())
            if after.routing is not endpoint.routing:
                record(session, _change(seal, endpoint.routing, after.routing))
            assert row.number is not None
            return seal.model_copy(update={"number": row.number})

    def of(self, endpoint: str, limit: int = 100) -> Seals:
        """The trials of an endpoint, the latest first."""
        return self._of(col(SealRow.endpoint) == endpoint, limit)

    def of_route(self, route: str, limit: int = 100) -> Seals:
        """The trials that were made for a route, the latest first."""
        return self._of(col(SealRow.route) == route, limit)

    def in_force(self) -> Seals:
        """The latest trials that sealed, of every endpoint that is sealed now; the oldest first."""
        sealed = self._endpoints.list("routing:sealed")
        with self._database.read() as session:
            numbers = _latest_sealing(session, [one.id for one in sealed])
            rows = [row for batch in batches(numbers, BATCH) for row in
                    session.exec(select(SealRow).where(col(SealRow.number).in_(batch)))]  # fmt: skip
        return sorted((_seal(row) for row in rows), key=lambda one: one.at)

    def _of(self, condition: object, limit: int) -> Seals:
        query = select(SealRow).where(condition).order_by(col(SealRow.number).desc()).limit(limit)  # type: ignore[arg-type]
        with self._database.read() as session:
            return [_seal(row) for row in session.exec(query)]


_SEALING = col(SealRow.verdict) == Verdict.SEALED.value


def _latest_sealing(session: Session, endpoints: Sequence[str]) -> list[int]:
    found: list[int] = []
    for batch in batches(endpoints, BATCH):
        query = select(func.max(SealRow.number)).where(col(SealRow.endpoint).in_(batch), _SEALING)
        found += [number for number in session.exec(query.group_by(SealRow.endpoint)) if number is not None]
    return found


def _seal(row: SealRow) -> Seal:
    return Seal.model_validate(row.body | {"number": row.number})


def _change(seal: Seal, before: Routing, after: Routing) -> Change:
    action = "seal" if seal.verdict is Verdict.SEALED else "unseal"
    return Change(at=utc_now(), who=seal.who, action=action, subject=seal.endpoint, why=f"{seal.why}: {seal.reason}",
                  before=before.value, after=after.value)  # fmt: skip
