"""Rows of endpoints: read, written with their facets and the clock, and forgotten with a tombstone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from inventory.changes import WATCHED, Event, Look, diff
from inventory.listing import place_key
from inventory.model import Endpoint, Listener, Routing
from inventory.query import IN_CLUSTER, searched, value_of
from inventory.store.database import batches, clock_of, insert_into
from inventory.store.events import append
from inventory.store.facets import BlockDeltas, FacetDeltas
from inventory.store.tables import EndpointRow, TombstoneRow

# SQLite takes 32,766 variables in a statement.
BATCH = 2000

TABLE = EndpointRow.metadata.tables[str(EndpointRow.__tablename__)]
# What the value calls cluster is a document; the column of that name is for filters.
_NAMED = {"cluster": TABLE.c.membership.label("cluster")}
ENDPOINT_COLUMNS: Final = tuple(_NAMED.get(name, TABLE.c[name]) for name in Endpoint.model_fields)

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


@dataclass(frozen=True, slots=True)
class OnListener:
    """Where the columns of a row say that its endpoint is, and the UID of its workload."""

    listener: Listener
    workload: str | None


def rows_on(session: Session, listeners: Iterable[Listener]) -> dict[str, OnListener]:
    """The endpoints whose rows name one of those listeners, by their ids."""
    found: dict[str, OnListener] = {}
    columns = (TABLE.c.address, TABLE.c.port, TABLE.c.site)
    for batch in batches(listeners, BATCH):
        keys = [(one.address, one.port, one.site) for one in batch]
        query = sa_select(*columns, TABLE.c.id, TABLE.c.workload_uid).where(tuple_(*columns).in_(keys))
        for address, port, site, id_, workload in session.connection().execute(query):
            found[id_] = OnListener(Listener(site=site, address=address, port=port), workload)
    return found


@dataclass(frozen=True, slots=True)
class Known:
    """What a writer has to know of the row that it replaces."""

    facet: int
    site: str
    place: str
    routing: Routing
    sealed_at: datetime | None
    look: Look


_KNOWN: Final = tuple(
    TABLE.c[n] for n in ("id", "facet", "site", "place", "routing", "sealed_at", "presence", *WATCHED)
)


def known_of(session: Session, ids: Iterable[str]) -> dict[str, Known]:
    """What is known of the rows of those ids; ids that are not known are left out."""
    found: dict[str, Known] = {}
    for batch in batches(ids, BATCH):
        query = sa_select(*_KNOWN).where(TABLE.c.id.in_(batch))
        for endpoint_id, facet, site, place, routing, sealed, presence, *watched in session.connection().execute(query):
            there = Look(presence, tuple(watched))
            found[endpoint_id] = Known(facet, site, place, Routing(routing), sealed, there)
    return found


def keep(session: Session, endpoints: Iterable[Due], now: datetime, known: Mapping[str, Known] | None = None) -> None:
    """Insert or replace rows, and tell what happened. ``known``, where the caller has read it, is what was before."""
    insert = insert_into(session, EndpointRow)
    columns = {column.name: column for column in insert.excluded if column.name != "id"}
    upsert = insert.on_conflict_do_update(index_elements=["id"], set_=columns)
    clock = clock_of(session)
    deltas, blocks = FacetDeltas(), BlockDeltas()
    for batch in batches(endpoints, BATCH):
        before = known if known is not None else known_of(session, [due.endpoint.id for due in batch])
        rows = []
        happened: list[Event] = []
        for due in batch:
            one = due.endpoint
            was = before.get(one.id)
            if was is not None:
                deltas.leaves(was.facet)
                blocks.add(was.site, was.place, -1)
            happened += diff(was.look if was else None, one, now)
            place = place_key(one.address, one.port, one.id)
            blocks.add(one.site, place, 1)
            stored = {
                **_documents(one),
                "place": place,
                "facet": deltas.joins(one),
                "clock": clock,
                "due_at": due.due_at,
                "words": searched(one),
            }
            rows.append(one.model_dump() | stored)
        session.connection().execute(upsert, rows)
        append(session, happened)
    deltas.write(session)
    blocks.write(session)


def _documents(one: Endpoint) -> dict[str, Any]:
    """What of an endpoint holds moments within JSON, and the columns that are of its place in a cluster."""
    places = [place.model_dump(mode="json") for place in one.places]
    if one.cluster is None:
        return {"places": places, "membership": None, **dict.fromkeys((*IN_CLUSTER, "workload_uid"))}
    within = {name: value_of(one, name) for name in IN_CLUSTER}
    uid = one.cluster.workload.uid
    return {"places": places, "membership": one.cluster.model_dump(mode="json"), "workload_uid": uid, **within}


def forget(session: Session, gone: Mapping[str, str | None], why: str, now: datetime) -> None:
    """Remove rows, and leave a tombstone of each: ``gone`` maps an id to what took its place."""
    if not gone:
        return
    deltas, blocks = FacetDeltas(), BlockDeltas()
    clock = clock_of(session)
    for batch in batches(gone, BATCH):
        for its in known_of(session, batch).values():
            deltas.leaves(its.facet)
            blocks.add(its.site, its.place, -1)
        session.connection().execute(delete(EndpointRow).where(col(EndpointRow.id).in_(batch)))
        for endpoint_id in batch:
            session.merge(TombstoneRow(id=endpoint_id, clock=clock, at=now, why=why, successor=gone[endpoint_id]))
    deltas.write(session)
    blocks.write(session)


def unbury(session: Session, ids: Iterable[str]) -> None:
    """Take away the tombstones of ids that name endpoints again."""
    for batch in batches(ids, BATCH):
        session.connection().execute(delete(TombstoneRow).where(col(TombstoneRow.id).in_(batch)))


def successor_of(session: Session, endpoint_id: str) -> str:
    """What an id names by now: itself, or the endpoint that it was found to be."""
    seen = {endpoint_id}
    while (row := session.get(TombstoneRow, endpoint_id)) is not None and row.successor not in {None, *seen}:
        endpoint_id = str(row.successor)
        seen.add(endpoint_id)
    return endpoint_id
