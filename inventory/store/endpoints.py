"""Endpoints: the materialised fold, rebuilt listener by listener, and read by filter."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import Select, delete, func, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.fold import fold_all
from inventory.lifecycle import in_force, presence
from inventory.membership import presence_in_cluster
from inventory.model import Endpoint, Governance, Listener, Routing, Scan, ScanStatus, Triage, utc_now
from inventory.query import parse
from inventory.risk import assess
from inventory.settings import Settings
from inventory.store.database import Database, batches, insert_into
from inventory.store.filters import where
from inventory.store.observations import BATCH, observations_of
from inventory.store.placements import with_neighbours
from inventory.store.tables import EndpointRow, ScanRow, TriageRow

SCANS_CONSIDERED = 200
_TABLE = EndpointRow.metadata.tables[str(EndpointRow.__tablename__)]

# Inside a class with a method of that name, ``list`` is no longer the type.
Endpoints = list[Endpoint]


class EndpointRepository:
    """Every endpoint that observations tell of."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def refold(self, listeners: Iterable[Listener], now: datetime) -> Endpoints:
        """Fold the observations of some listeners again, and keep the result. Returns it.

        Idempotent: what people decided and what gateways reported is laid over the fold again.
        """
        wanted = list(dict.fromkeys(listeners))
        with self._database.write() as session:
            near, placed = with_neighbours(session, wanted)
            known = _rows_of(session, near)
            scans = _complete_scans(session, {listener.site for listener in wanted})
            endpoints, workloads = fold_all(wanted, observations_of(session, near), placed)
            folded = [
                self._present(one, known[one.id].routing if one.id in known else Routing.DIRECT, scans[one.site], now)
                for one in endpoints
            ]
            _forget(session, _replaced(known, set(wanted), workloads) - {one.id for one in endpoints})
            folded = finish(session, folded, now)
            keep(session, folded)
        return folded

    def settle(self, scan: Scan, now: datetime) -> None:
        """After a scan ended: work out the presence of everything that it covered."""
        with self._database.write() as session:
            scans = _complete_scans(session, {scan.site})[scan.site]
            there = read_endpoints(session, sa_select(_TABLE).where(col(EndpointRow.site) == scan.site))
            covered = [one for one in there if _covers(scan, one)]
            present = [self._present(one, one.routing, scans, now) for one in covered]
            keep(session, finish(session, present, now))

    def set_routing(self, endpoint_id: str, routing: Routing) -> None:
        """Record what the gateway has. An endpoint that is not known is left alone."""
        with self._database.write() as session:
            known = read_endpoints(session, select_endpoint(endpoint_id))
            changed = [one.model_copy(update={"routing": routing}) for one in known if one.routing is not routing]
            keep(session, [assessed(one, utc_now()) for one in changed])

    def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint of that id, or of the one id that begins so.

        Raises LookupError, with a sentence, where there is none or more than one.
        """
        with self._database.read() as session:
            prefix = col(EndpointRow.id).startswith(endpoint_id.lower(), autoescape=True)
            found = read_endpoints(session, sa_select(_TABLE).where(prefix).limit(2)) if endpoint_id else []
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{endpoint_id!r} begins more than one endpoint's id: give more of it")
        raise LookupError(f"there is no endpoint {endpoint_id!r}: `gnomon endpoints` lists them")

    def list(self, filter_text: str = "", limit: int | None = None, offset: int = 0) -> Endpoints:
        """Endpoints that match a filter, the riskiest first. QueryError for one that cannot be read."""
        query = sa_select(_TABLE).where(*where(parse(filter_text), utc_now()))
        ordered = query.order_by(
            col(EndpointRow.risk).desc(), col(EndpointRow.address), col(EndpointRow.port), col(EndpointRow.id)
        )
        with self._database.read() as session:
            return read_endpoints(session, ordered.limit(limit).offset(offset))

    def count(self, filter_text: str = "") -> int:
        """How many endpoints match a filter. Raises QueryError for a filter that cannot be read."""
        query = select(func.count()).select_from(EndpointRow).where(*where(parse(filter_text), utc_now()))
        with self._database.read() as session:
            return session.exec(query).one()

    def _present(self, endpoint: Endpoint, routing: Routing, scans: Sequence[Scan], now: datetime) -> Endpoint:
        """Lay presence and routing over a fold."""
        ages = _Ages(
            now=now,
            stale_after=timedelta(seconds=self._settings.stale_after),
            gone_after_scans=self._settings.gone_after_scans,
        )
        if endpoint.cluster is not None:
            there = presence_in_cluster(endpoint.cluster, endpoint.last_seen, scans, **ages)
        else:
            there = presence(endpoint.address, endpoint.port, endpoint.last_seen, scans, **ages)
        return endpoint.model_copy(update={"presence": there, "routing": routing})


def finish(session: Session, endpoints: Iterable[Endpoint], now: datetime) -> Endpoints:
    """Lay what people decided over endpoints, and work out their risk."""
    found: Endpoints = []
    for batch in batches(endpoints, BATCH):
        query = select(TriageRow).where(col(TriageRow.endpoint).in_([one.id for one in batch]))
        decided = {row.endpoint: Triage.model_validate(row.body) for row in session.exec(query)}
        found += [assessed(_overlaid(one, decided.get(one.id), now), now) for one in batch]
    return found


def keep(session: Session, endpoints: Iterable[Endpoint]) -> None:
    """Insert or replace the rows of endpoints."""
    insert = insert_into(session, EndpointRow)
    columns = {column.name: column for column in insert.excluded if column.name != "id"}
    upsert = insert.on_conflict_do_update(index_elements=["id"], set_=columns)
    for batch in batches(endpoints, BATCH):
        session.connection().execute(upsert, [_row(one) for one in batch])


def _row(endpoint: Endpoint) -> dict[str, Any]:
    # Moments are columns of their own but for those of a place in a cluster, which is one JSON value.
    place = endpoint.cluster.model_dump(mode="json") if endpoint.cluster else None
    return endpoint.model_dump(exclude={"cluster"}) | {"cluster": place}


def _forget(session: Session, ids: Iterable[str]) -> None:
    for endpoint_id in ids:
        session.connection().execute(delete(EndpointRow).where(col(EndpointRow.id) == endpoint_id))


def _overlaid(endpoint: Endpoint, triage: Triage | None, now: datetime) -> Endpoint:
    if triage is None:
        return endpoint
    governance = in_force(triage, now)
    until = triage.exempt_until if governance is Governance.EXEMPT else None
    changes = {"governance": governance, "exempt_until": until, "owner": triage.owner or endpoint.owner}
    return endpoint.model_copy(update=changes)


def select_endpoint(endpoint_id: str) -> Select[Any]:
    """The query of one whole row, by its id."""
    return sa_select(_TABLE).where(col(EndpointRow.id) == endpoint_id)


def read_endpoints(session: Session, query: Select[Any]) -> Endpoints:
    """The endpoints of a query of whole rows. Rows as objects would double the time that a long list takes."""
    return [Endpoint.model_validate(dict(row)) for row in session.connection().execute(query).mappings()]


def assessed(endpoint: Endpoint, now: datetime) -> Endpoint:
    """The endpoint with its risk worked out for a moment."""
    risk, reasons = assess(endpoint, now)
    return endpoint.model_copy(update={"risk": risk, "risk_reasons": reasons})


class _Ages(TypedDict):
    now: datetime
    stale_after: timedelta
    gone_after_scans: int


@dataclass(frozen=True)
class _Known:
    """What the row of an endpoint says that is not folded, and whose row it is."""

    listener: Listener
    workload: str | None
    routing: Routing


def _rows_of(session: Session, listeners: Sequence[Listener]) -> dict[str, _Known]:
    """The endpoints that are known of some listeners, by their ids."""
    found: dict[str, _Known] = {}
    columns = (col(EndpointRow.site), col(EndpointRow.address), col(EndpointRow.port))
    more = (col(EndpointRow.id), col(EndpointRow.routing), col(EndpointRow.cluster))
    for batch in batches(listeners, BATCH):
        keys = [(one.site, one.address, one.port) for one in batch]
        query = sa_select(*columns, *more).where(tuple_(*columns).in_(keys))
        for site, address, port, endpoint_id, routing, cluster in session.connection().execute(query):
            listener = Listener(site=site, address=address, port=port)
            workload = cluster["workload"]["uid"] if cluster else None
            found[endpoint_id] = _Known(listener, workload, Routing(routing))
    return found


def _replaced(known: dict[str, _Known], wanted: set[Listener], workloads: frozenset[str]) -> set[str]:
    """The rows that a fold of some listeners and workloads stands for, whether it brings them back or not."""
    return {
        endpoint_id
        for endpoint_id, row in known.items()
        if (row.listener in wanted if row.workload is None else row.workload in workloads)
    }


def _covers(scan: Scan, endpoint: Endpoint) -> bool:
    """Whether the scan should have seen the endpoint. Pods move, so only scans of their cluster tell of them."""
    if endpoint.cluster is not None:
        return scan.covers_namespace(endpoint.cluster.workload.cluster, endpoint.cluster.workload.namespace)
    return scan.covers(endpoint.address, endpoint.port)


def _complete_scans(session: Session, sites: Iterable[str]) -> dict[str, list[Scan]]:
    """The latest complete scans of each site: absence is counted in a few of them, not in all of a year."""
    found: dict[str, list[Scan]] = {}
    for site in sites:
        query = (
            select(ScanRow)
            .where(ScanRow.site == site, ScanRow.status == ScanStatus.COMPLETE.value)
            .order_by(col(ScanRow.started_at).desc())
            .limit(SCANS_CONSIDERED)
        )
        found[site] = [Scan.model_validate(row.body) for row in session.exec(query)]
    return found
