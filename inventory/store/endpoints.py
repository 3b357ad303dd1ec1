"""Endpoints: the materialised fold, rebuilt listener by listener, and read by filter."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select as sa_select
from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from inventory.fold import fold
from inventory.lifecycle import PresenceRule, in_force, next_change, presence
from inventory.listing import Changed, Order, Page
from inventory.model import Endpoint, Governance, Listener, Routing, Scan, ScanStatus, Triage, utc_now
from inventory.query import parse
from inventory.risk import assess
from inventory.settings import Settings
from inventory.store import paging
from inventory.store.database import Database, batches
from inventory.store.observations import BATCH, observations_of
from inventory.store.rows import TABLE, Due, by_ids, forget, keep, read_endpoints, select_endpoints, unbury
from inventory.store.tables import ClockRow, ScanRow, TombstoneRow, TriageRow

SCANS_CONSIDERED: Final = 200
CHANGES_AT_ONCE: Final = 2000
RISKIEST_FIRST: Final = Order()

# Inside a class with a method of that name, ``list`` is no longer the type.
Endpoints = list[Endpoint]


class EndpointRepository:
    """Every endpoint that observations tell of."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._rule = PresenceRule.of(settings)

    def refold(self, listeners: Iterable[Listener], now: datetime) -> Endpoints:
        """Fold the observations of some listeners again, and keep the result. Returns it.

        Idempotent: what people decided and what gateways reported is laid over the fold again.
        """
        wanted = list(dict.fromkeys(listeners))
        folded: Endpoints = []
        with self._database.write() as session:
            before = _rows_of(session, wanted)
            scans = complete_scans(session, {listener.site for listener in wanted})
            for listener, observations in observations_of(session, wanted).items():
                known = before[listener]
                endpoints = fold(observations)
                folded += [
                    self._present(one, known[one.id][0] if one.id in known else Routing.DIRECT, scans[one.site], now)
                    for one in endpoints
                ]
                superseded = dict.fromkeys(known.keys() - {one.id for one in endpoints})
                forget(session, superseded, "identified under another path", now)
            folded = finish(session, folded, now)
            facets = {its: facet for known in before.values() for its, (_, facet) in known.items()}
            unbury(session, [one.id for one in folded if one.id not in facets])
            keep(session, self._due(folded, now), facets)
        return folded

    def settle(self, scan: Scan, now: datetime) -> None:
        """After a scan ended: work out the presence of everything that it covered.

        What time alone has changed since is worked out too, wherever it is.
        """
        columns = (TABLE.c.id, TABLE.c.address, TABLE.c.port, TABLE.c.last_seen, TABLE.c.presence)
        with self._database.write() as session:
            scans = complete_scans(session, {scan.site})[scan.site]
            moved: list[str] = []
            for endpoint_id, address, port, last_seen, was in session.connection().execute(
                sa_select(*columns).where(TABLE.c.site == scan.site).execution_options(yield_per=BATCH)
            ):
                if scan.covers(address, port) and presence(address, port, last_seen, scans, now, self._rule) != was:
                    moved.append(endpoint_id)
            overdue = session.connection().execute(sa_select(TABLE.c.id).where(TABLE.c.due_at <= now)).scalars()
            self._renew(session, dict.fromkeys([*moved, *overdue]), now)

    def renew(self, now: datetime) -> int:
        """Work out again what time alone has changed: exemptions that ended, sightings that grew old. How many."""
        with self._database.read() as session:
            if (
                session.connection().execute(sa_select(TABLE.c.id).where(TABLE.c.due_at <= now).limit(1)).first()
                is None
            ):
                return 0
        with self._database.write() as session:
            overdue = list(session.connection().execute(sa_select(TABLE.c.id).where(TABLE.c.due_at <= now)).scalars())
            self._renew(session, overdue, now)
        return len(overdue)

    def _renew(self, session: Session, ids: Iterable[str], now: datetime) -> None:
        for batch in batches(ids, BATCH):
            known = by_ids(session, batch).values()
            scans = complete_scans(session, {one.site for one in known})
            present = [self._present(one, one.routing, scans[one.site], now) for one in known]
            keep(session, self._due(finish(session, present, now), now))

    def set_routing(self, endpoint_id: str, routing: Routing) -> None:
        """Record what the gateway has. An endpoint that is not known is left alone."""
        with self._database.write() as session:
            known = by_ids(session, [endpoint_id]).values()
            changed = [one.model_copy(update={"routing": routing}) for one in known if one.routing is not routing]
            keep(session, self._due([assessed(one, utc_now()) for one in changed], utc_now()))

    def rewrite(self, session: Session, endpoints: Iterable[Endpoint], now: datetime) -> Endpoints:
        """Keep endpoints whose decisions were changed in this transaction. Returns them as they are then."""
        finished = finish(session, endpoints, now)
        keep(session, self._due(finished, now))
        return finished

    def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint of that id, or of the one id that begins so.

        Raises LookupError, with a sentence, where there is none or more than one.
        """
        with self._database.read() as session:
            begins = paging.beginning(endpoint_id)
            found = read_endpoints(session, select_endpoints().where(begins).limit(2)) if endpoint_id else []
            buried = session.get(TombstoneRow, endpoint_id) if not found else None
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{endpoint_id!r} begins more than one endpoint's id: give more of it")
        if buried is not None:
            instead = f": it is {buried.successor} now" if buried.successor else ""
            raise LookupError(f"there is no endpoint {endpoint_id!r} any more ({buried.why}){instead}")
        raise LookupError(f"there is no endpoint {endpoint_id!r}: `gnomon endpoints` lists them")

    def page(
        self, filter_text: str = "", *, order: Order = RISKIEST_FIRST, limit: int = 100, after: str | None = None
    ) -> Page:
        """A page of the endpoints that match a filter, in an order; ``after`` is what the page before gave.

        Raises QueryError for a filter, CursorError for an ``after`` that cannot be read.
        """
        query = parse(filter_text)
        with self._database.read() as session:
            return paging.page(session, query, order, limit, after, utc_now())

    def list(self, filter_text: str = "", limit: int | None = None, order: Order = RISKIEST_FIRST) -> Endpoints:
        """Every endpoint that matches a filter, or the first ``limit``. Raises QueryError."""
        query = parse(filter_text)
        with self._database.read() as session:
            return [*paging.listing(session, query, order, limit, utc_now())]

    def count(self, filter_text: str = "") -> int:
        """How many endpoints match a filter. Raises QueryError for a filter that cannot be read."""
        query = parse(filter_text)
        with self._database.read() as session:
            return paging.count(session, query, utc_now())

    def changed(self, since: int, limit: int = CHANGES_AT_ONCE) -> Changed:
        """What was written after a version of the store: see ``Changed``. Whoever has read up to it reads on."""
        with self._database.read() as session:
            version = session.exec(select(ClockRow.value)).one()
            newer = select_endpoints().where(TABLE.c.clock > since).order_by(TABLE.c.clock, TABLE.c.id)
            rows = read_endpoints(session, newer.limit(limit + 1))
            gone = select(TombstoneRow.id).where(col(TombstoneRow.clock) > since).limit(limit + 1)
            buried = session.exec(gone).all()
        more = len(rows) > limit or len(buried) > limit
        return Changed(version, tuple(rows[:limit]), tuple(buried[:limit]), more)

    def _present(self, endpoint: Endpoint, routing: Routing, scans: Sequence[Scan], now: datetime) -> Endpoint:
        """Lay presence and routing over a fold."""
        there = presence(endpoint.address, endpoint.port, endpoint.last_seen, scans, now, self._rule)
        return endpoint.model_copy(update={"presence": there, "routing": routing})

    def _due(self, endpoints: Iterable[Endpoint], now: datetime) -> Iterable[Due]:
        return (Due(one, next_change(one, self._rule, now)) for one in endpoints)


def finish(session: Session, endpoints: Iterable[Endpoint], now: datetime) -> Endpoints:
    """Lay what people decided over endpoints, and work out their risk."""
    found: Endpoints = []
    for batch in batches(endpoints, BATCH):
        query = select(TriageRow).where(col(TriageRow.endpoint).in_([one.id for one in batch]))
        decided = {row.endpoint: Triage.model_validate(row.body) for row in session.exec(query)}
        found += [assessed(_overlaid(one, decided.get(one.id), now), now) for one in batch]
    return found


def _overlaid(endpoint: Endpoint, triage: Triage | None, now: datetime) -> Endpoint:
    if triage is None:
        return endpoint
    governance = in_force(triage, now)
    until = triage.exempt_until if governance is Governance.EXEMPT else None
    changes = {"governance": governance, "exempt_until": until, "owner": triage.owner or endpoint.owner}
    return endpoint.model_copy(update=changes)


def assessed(endpoint: Endpoint, now: datetime) -> Endpoint:
    """The endpoint with its risk worked out for a moment."""
    risk, reasons = assess(endpoint, now)
    return endpoint.model_copy(update={"risk": risk, "risk_reasons": reasons})


def _rows_of(session: Session, listeners: Sequence[Listener]) -> dict[Listener, dict[str, tuple[Routing, int]]]:
    """The endpoints that are known of each listener: their ids, the routing that gateways reported, their facets."""
    found: dict[Listener, dict[str, tuple[Routing, int]]] = defaultdict(dict)
    columns = (TABLE.c.address, TABLE.c.port, TABLE.c.site)
    for batch in batches(listeners, BATCH):
        keys = [(one.address, one.port, one.site) for one in batch]
        query = sa_select(*columns, TABLE.c.id, TABLE.c.routing, TABLE.c.facet).where(tuple_(*columns).in_(keys))
        for address, port, site, endpoint_id, routing, facet in session.connection().execute(query):
            found[Listener(site=site, address=address, port=port)][endpoint_id] = (Routing(routing), facet)
    return found


def complete_scans(session: Session, sites: Iterable[str]) -> dict[str, list[Scan]]:
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
