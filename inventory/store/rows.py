"""Rows of endpoints: read, written with their facets and the clock, and forgotten with a tombstone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from inventory.listing import place_key
from inventory.model import Endpoint
from inventory.store.database import batches, clock_of, insert_into
from inventory.store.facets import FacetDeltas
from inventory.store.tables import EndpointRow, TombstoneRow

# SQLite takes 32,766 variables in a statement.
BATCH = 2000

TABLE = EndpointRow.metadata.tables[str(EndpointRow.__tablename__)]
ENDPOINT_COLUMNS: Final = tuple(TABLE.c[name] for name in Endpoint.model_fields)

# Inside a class with a method of that name, ``list`` is no longer the type.
Endpoints = list[Endpoint]


@dataclass(frozen=True, slots=True)
class Due:
    """An endpoint to be written, and when time alone will change what it says."""

    endpoint: Endpoint
    due_at: datetime | None


def select_endpoints() -> Select[Any]:
    """The query of whole endpoints, without what only the store keeps."""
    return sa_select(*ENDPOINT_COLUMNS)


def read_endpoints(session: Session, query: Select[Any]) -> Endpoints:
    """The endpoints of such a query. Rows as objects would double the time that a long list takes."""
    return [Endpoint.model_validate(dict(row)) for row in session.connection().execute(query).mappings()]


def by_ids(session: Session, ids: Iterable[str]) -> dict[str, Endpoint]:
    """The endpoints of those ids; ids that are not known are left out."""
    found: dict[str, Endpoint] = {}
    for batch in batches(ids, BATCH):
        query = select_endpoints().where(col(EndpointRow.id).in_(batch))
        found |= {one.id: one for one in read_endpoints(session, query)}
    return found


def facets_of(session: Session, ids: Iterable[str]) -> dict[str, int]:
    """The facet that each known endpoint is in."""
    found: dict[str, int] = {}
    for batch in batches(ids, BATCH):
        query = sa_select(TABLE.c.id, TABLE.c.facet).where(TABLE.c.id.in_(batch))
        found.update((row[0], row[1]) for row in session.connection().execute(query))
    return found


def keep(session: Session, endpoints: Iterable[Due], facets: Mapping[str, int] | None = None) -> None:
    """Insert or replace rows. ``facets``, where the caller has read them, says where each was until now."""
    insert = insert_into(session, EndpointRow)
    columns = {column.name: column for column in insert.excluded if column.name != "id"}
    upsert = insert.on_conflict_do_update(index_elements=["id"], set_=columns)
    clock = clock_of(session)
    deltas = FacetDeltas()
    for batch in batches(endpoints, BATCH):
        before = facets if facets is not None else facets_of(session, [due.endpoint.id for due in batch])
        rows = []
        for due in batch:
            one = due.endpoint
            if one.id in before:
                deltas.leaves(before[one.id])
            stored = {
                "place": place_key(one.address, one.port, one.id),
                "facet": deltas.joins(one),
                "clock": clock,
                "due_at": due.due_at,
            }
            rows.append(one.model_dump() | stored)
        session.connection().execute(upsert, rows)
    deltas.write(session)


def forget(session: Session, gone: Mapping[str, str | None], why: str, now: datetime) -> None:
    """Remove rows, and leave a tombstone of each: ``gone`` maps an id to what took its place."""
    deltas = FacetDeltas()
    clock = clock_of(session)
    for batch in batches(gone, BATCH):
        for facet in facets_of(session, batch).values():
            deltas.leaves(facet)
        session.connection().execute(delete(EndpointRow).where(col(EndpointRow.id).in_(batch)))
        for endpoint_id in batch:
            session.merge(TombstoneRow(id=endpoint_id, clock=clock, at=now, why=why, successor=gone[endpoint_id]))
    deltas.write(session)


def unbury(session: Session, ids: Iterable[str]) -> None:
    """Take away the tombstones of ids that name endpoints again."""
    for batch in batches(ids, BATCH):
        session.connection().execute(delete(TombstoneRow).where(col(TombstoneRow.id).in_(batch)))
