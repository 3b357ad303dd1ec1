"""Endpoints: the materialised fold, rebuilt listener by listener, and read by filter."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.lifecycle import PresenceRule
from inventory.listing import Changed, Order, Page, Point
from inventory.model import Endpoint, Exposure, Listener, Membership, Observation, Routing, Scan, utc_now
from inventory.query import Query, parse
from inventory.settings import Settings
from inventory.store import folding, paging
from inventory.store.database import Database
from inventory.store.observations import append_in
from inventory.store.rows import TABLE, by_ids, keep, read_endpoints, select_endpoints, successor_of
from inventory.store.tables import ClockRow, TombstoneRow
from inventory.store.trends import record_trend
from inventory.store.views import views_in

CHANGES_AT_ONCE: Final = 2000
POINTS_AT_ONCE: Final = 5000
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
        with self._database.write() as session:
            return folding.refold(session, listeners, self._rule, now)

    def take_in(self, observations: Sequence[Observation], now: datetime) -> int:
        """Keep observations and fold whatever they are about again: all of it or nothing. How many were new."""
        with self._database.write() as session:
            added = append_in(session, observations)
            folding.refold(session, {one.listener for one in observations}, self._rule, now)
        return added

    def settle(self, scan: Scan, now: datetime) -> None:
        """After a scan ended: work out the presence of everything that it covered, and what time alone has changed.

        After a complete one: which of what is new is what is missed elsewhere.
        """
        with self._database.read() as session:
            moved = folding.to_settle(session, scan, self._rule, now)
        with self._database.write() as session:
            folding.settle(session, scan, moved, self._rule, now)
            record_trend(session, scan)

    def renew(self, now: datetime) -> int:
        """Work out again what time alone has changed: exemptions that ended, sightings that grew old. How many."""
        due = sa_select(TABLE.c.id).where(TABLE.c.due_at <= now)
        with self._database.read() as session:
            if session.connection().execute(due.limit(1)).first() is None:
                return 0
        with self._database.write() as session:
            overdue = list(session.connection().execute(due).scalars())
            folding.renew(session, overdue, self._rule, now)
        return len(overdue)

    def folded(self, session: Session, listeners: Iterable[Listener], now: datetime) -> Endpoints:
        """What ``refold`` would keep, inside a transaction that is under way. Nothing is written."""
        return folding.as_folded(session, listeners, self._rule, now)

    def set_routing(self, endpoint_id: str, routing: Routing) -> None:
        """Record what the gateway has. An endpoint that is not known is left alone.

        What is sealed stays so while the gateway has it at all: a trial of its direct paths says otherwise, or the
        end of its route.
        """
        now = utc_now()
        with self._database.write() as session:
            known = by_ids(session, [successor_of(session, endpoint_id)]).values()
            sealed = [one for one in known if one.routing is Routing.SEALED and routing is Routing.DIRECT]
            for one in sealed:
                self.overlay(session, one.model_copy(update={"routing": routing, "sealed_at": None}), now)
            others = (one for one in known if one.routing not in {routing, Routing.SEALED})
            changed = [folding.assessed(one.model_copy(update={"routing": routing}), now) for one in others]
            keep(session, folding.due(changed, self._rule, now), now)

    def overlay(self, session: Session, endpoint: Endpoint, now: datetime) -> None:
        """Keep an endpoint that was sealed or no longer is, with its presence and risk, in this transaction."""
        scans = folding.complete_scans(session, {endpoint.site})[endpoint.site]
        changed = folding.assessed(folding.laid_over(endpoint, scans, self._rule, now), now)
        keep(session, folding.due([changed], self._rule, now), now)

    def rewrite(self, session: Session, endpoints: Iterable[Endpoint], now: datetime) -> Endpoints:
        """Keep endpoints whose decisions were changed in this transaction. Returns them as they are then."""
        finished = folding.finish(session, endpoints, now)
        keep(session, folding.due(finished, self._rule, now), now)
        return finished

    def refold_in(self, session: Session, listeners: Iterable[Listener], now: datetime) -> Endpoints:
        """``refold`` inside a transaction that is under way."""
        return folding.refold(session, listeners, self._rule, now)

    def get(self, endpoint_id: str) -> Endpoint:
        """The endpoint of that id, or of the one id that begins so; of an id that joined another, that one.

        Raises LookupError, with a sentence, where there is none or more than one.
        """
        with self._database.read() as session:
            wanted = successor_of(session, endpoint_id.lower())
            begins = paging.beginning(wanted)
            found = read_endpoints(session, select_endpoints().where(begins).limit(2)) if endpoint_id else []
            buried = session.get(TombstoneRow, wanted) if not found else None
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{endpoint_id!r} begins more than one endpoint's id: give more of it")
        why = f"there is no endpoint {endpoint_id!r} any more: {buried.why}" if buried else ""
        raise LookupError(why or f"there is no endpoint {endpoint_id!r}: `gnomon endpoints` lists them")

    def parse(self, filter_text: str) -> Query:
        """Read a filter, with the saved views that it names. Raises QueryError."""
        if "@" not in filter_text:
            return parse(filter_text)
        with self._database.read() as session:
            return parse(filter_text, views_in(session))

    def page(
        self, filter_text: str = "", *, order: Order = RISKIEST_FIRST, limit: int = 100, after: str | None = None
    ) -> Page:
        """A page of the endpoints that match a filter, in an order; ``after`` is what the page before gave.

        Raises QueryError for a filter, CursorError for an ``after`` that cannot be read.
        """
        query = self.parse(filter_text)
        with self._database.read() as session:
            return paging.page(session, query, order, limit, after, utc_now())

    def list(self, filter_text: str = "", limit: int | None = None, order: Order = RISKIEST_FIRST) -> Endpoints:
        """Every endpoint that matches a filter, or the first ``limit``. Raises QueryError."""
        query = self.parse(filter_text)
        with self._database.read() as session:
            return [*paging.listing(session, query, order, limit, utc_now())]

    def points(self) -> Iterator[Point]:
        """What the graph shows of every endpoint, in no order, read as a stream."""
        columns = [TABLE.c.membership if name == "cluster" else TABLE.c[name] for name in Point._fields]
        query = sa_select(*columns).execution_options(yield_per=POINTS_AT_ONCE)
        with self._database.read() as session:
            for *plain, exposures, cluster in session.connection().execute(query):
                ways = tuple(Exposure.model_construct(**way) for way in exposures)
                yield Point._make([*plain, ways, Membership.model_validate(cluster) if cluster else None])

    def count(self, filter_text: str = "") -> int:
        """How many endpoints match a filter. Raises QueryError for a filter that cannot be read."""
        query = self.parse(filter_text)
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
