"""Endpoints for a screen: their order, the rows in view, and counts. Nothing here reads everything.

A listing of a hundred thousand is its ids in order, which the database puts into one text; whole endpoints are
read only for the rows that are looked at.
"""

import ipaddress
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, cast, func, literal, not_, or_
from sqlalchemy import select as sa_select
from sqlalchemy.dialects.postgresql import INET, aggregate_order_by
from sqlmodel import Session, col

from inventory.coverage import BEHIND_THE_GATEWAY, Traits
from inventory.model import Endpoint, Governance, Kind, Posture, Presence, Routing
from inventory.order import SORTABLE, Order
from inventory.query import TEXT_FIELDS, Query
from inventory.store.database import Database, batches
from inventory.store.endpoints import read_endpoints
from inventory.store.filters import where
from inventory.store.tables import EndpointRow

_TABLE = EndpointRow.metadata.tables[str(EndpointRow.__tablename__)]
_AT_ONCE = 200
COLUMNS = {"endpoint": "address", "seen": "last_seen", "found": "first_seen"}
"""Columns of a listing that are called otherwise in the table."""


class EndpointPages:
    """Reads parts of the endpoints' table. Every method blocks; all are safe in several threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys(self, query: Query, order: Order, now: datetime, *, gaps: bool = False) -> list[str]:
        """The ids of the endpoints that match, in order; ``gaps`` keeps only those of ``coverage.is_gap``."""
        conditions = [*where(query, now), *([_gap()] if gaps else [])]
        with self._database.read() as session:
            sorting = _sorting(session, order)
            if session.get_bind().dialect.name == "postgresql":
                joined = func.string_agg(col(EndpointRow.id), aggregate_order_by(literal("\n"), *sorting))
                found: Select[Any] = sa_select(joined).where(*conditions)
            else:
                inner = sa_select(col(EndpointRow.id)).where(*conditions).order_by(*sorting).subquery()
                found = sa_select(func.group_concat(inner.c.id, "\n"))
            text = session.connection().execute(found).scalar()
        return text.split("\n") if text else []

    def rows(self, ids: Collection[str]) -> dict[str, Endpoint]:
        """The endpoints of those ids that there are, by id. Meant for what fits on a screen."""
        found: dict[str, Endpoint] = {}
        with self._database.read() as session:
            for batch in batches(ids, _AT_ONCE):
                query = sa_select(_TABLE).where(col(EndpointRow.id).in_(batch))
                found.update((one.id, one) for one in read_endpoints(session, query))
        return found

    def top(self, limit: int, *, gaps: bool = False) -> list[Endpoint]:
        """The riskiest endpoints."""
        query = sa_select(_TABLE).where(*([_gap()] if gaps else []))
        ordered = query.order_by(col(EndpointRow.risk).desc(), *_ties()).limit(limit)
        with self._database.read() as session:
            return read_endpoints(session, ordered)

    def tally(self) -> dict[Traits, int]:
        """How many endpoints there are of each combination of traits."""
        row = EndpointRow
        owned = col(row.owner).is_not(None)
        traits = (col(row.kind), col(row.posture), col(row.presence), col(row.governance), col(row.routing), owned)
        query = sa_select(*traits, func.count()).group_by(*traits)
        with self._database.read() as session:
            rows = session.connection().execute(query).all()
        return {
            Traits(Kind(kind) if kind else None, Posture(posture), Presence(presence), Governance(governance),
                   Routing(routing), bool(owned)): count
            for kind, posture, presence, governance, routing, owned, count in rows
        }  # fmt: skip

    def found_by_day(self, now: datetime, days: int) -> list[int]:
        """How many endpoints were first seen in each of the last days, the oldest first. A day is 24 hours."""
        first = col(EndpointRow.first_seen)
        with self._database.read() as session:
            counts = []
            for age in range(days, 0, -1):
                end, start = now - timedelta(days=age - 1), now - timedelta(days=age)
                query = sa_select(func.count()).select_from(_TABLE).where(first > start, first <= end)
                counts.append(int(session.connection().execute(query).scalar_one()))
        return counts

    def values(self, field: str, beginning: str, limit: int = 12) -> list[str]:
        """Values that a text field of the filter grammar has, the most frequent first. KeyError for no field."""
        column = getattr(EndpointRow, TEXT_FIELDS[field])
        query = (
            sa_select(column)
            .where(column.is_not(None), column.istartswith(beginning, autoescape=True))
            .group_by(column)
            .order_by(func.count().desc(), column)
            .limit(limit)
        )
        with self._database.read() as session:
            return [str(value) for value in session.connection().execute(query).scalars()]

    def beside(self, endpoint: Endpoint, limit: int = 20) -> list[Endpoint]:
        """The other endpoints of the same host: the same address in the same site."""
        query = sa_select(_TABLE).where(
            col(EndpointRow.site) == endpoint.site, col(EndpointRow.address) == endpoint.address,
            col(EndpointRow.id) != endpoint.id,
        )  # fmt: skip
        with self._database.read() as session:
            return read_endpoints(session, query.order_by(col(EndpointRow.port), col(EndpointRow.id)).limit(limit))

    def addresses(self) -> list[tuple[str, str, int, int]]:
        """Every known host that is not gone: site, address, how many endpoints it has, and how many are gaps."""
        gap = func.sum(cast(_gap(), _TABLE.c.port.type))
        if self._database.engine.dialect.name != "postgresql":
            gap = func.sum(_gap())
        where_ = col(EndpointRow.presence) != Presence.GONE.value
        key = (col(EndpointRow.site), col(EndpointRow.address))
        query = sa_select(*key, func.count(), gap).where(where_).group_by(*key)
        with self._database.read() as session:
            return [(site, address, count, int(gaps or 0))
                    for site, address, count, gaps in session.connection().execute(query)]  # fmt: skip


def _sorting(session: Session, order: Order) -> list[Any]:
    if order.by not in SORTABLE:
        raise ValueError(f"a listing cannot be sorted by {order.by!r}")
    if order.by == "endpoint":
        key: Any = _address(session)
    else:
        key = getattr(EndpointRow, COLUMNS.get(order.by, order.by))
    nothing_last = [] if order.by in {"risk", "endpoint", "seen", "found"} else [key.is_(None)]
    return [*nothing_last, key.desc() if order.descending else key.asc(), *_ties()]


def _address(session: Session) -> ColumnElement[Any]:
    """What addresses are sorted by: their numbers, which their text is not in the order of."""
    if session.get_bind().dialect.name == "postgresql":
        return cast(col(EndpointRow.address), INET)
    driver: Any = session.connection().connection.driver_connection
    driver.create_function("address_number", 1, _number, deterministic=True)
    return func.address_number(col(EndpointRow.address))


def _number(address: str) -> str:
    try:
        numeric = ipaddress.ip_address(address)
    except ValueError:
        return f"9{address}"
    return f"{numeric.version}{numeric.packed.hex()}"


def _ties() -> Sequence[Any]:
    return (col(EndpointRow.address), col(EndpointRow.port), col(EndpointRow.id))


def _gap() -> ColumnElement[bool]:
    """``coverage.is_gap`` as a condition; a test compares the two over every combination of traits."""
    ml = [kind.value for kind in Kind if kind.is_ml]
    behind = [routing.value for routing in BEHIND_THE_GATEWAY]
    governance, routing = col(EndpointRow.governance), col(EndpointRow.routing)
    over = governance.in_([Governance.BLOCKED.value, Governance.RETIRED.value])
    outside = and_(governance != Governance.EXEMPT.value, not_(routing.in_(behind)))
    around = and_(routing == Routing.ENFORCED.value, col(EndpointRow.presence) == Presence.SEEN.value)
    present = col(EndpointRow.presence) != Presence.GONE.value
    return and_(col(EndpointRow.kind).in_(ml), present, or_(over, outside, around))
