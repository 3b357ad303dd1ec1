"""Endpoints for a screen: all ids in order, the rows in view, and counts. Nothing here reads every endpoint.

A screen that can jump anywhere in a hundred thousand rows needs their order at once, which pages do not give. It is
the ids alone: the index over facets and places holds them, and the database puts them into one text.
"""

import ipaddress
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, not_, or_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from inventory.coverage import BEHIND_THE_GATEWAY
from inventory.listing import BY_FACET, BY_ROW, Order
from inventory.model import Endpoint, Governance, Kind, Presence, Routing
from inventory.query import TEXT_FIELDS, Query
from inventory.store import facets
from inventory.store.database import Database
from inventory.store.paging import split
from inventory.store.rows import TABLE, by_ids, read_endpoints, select_endpoints
from inventory.store.tables import EndpointRow, FacetRow

_BEFORE_THE_ID = {4: 1 + 8 + 4, 6: 1 + 32 + 4}
"""How many characters of a place come before the id, by the version of its address (see ``place_key``)."""


class EndpointPages:
    """Reads parts of the endpoints' table. Every method blocks; all are safe in several threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys(self, query: Query, order: Order, now: datetime, *, gaps: bool = False) -> list[str]:
        """The ids of the endpoints that match, in order; ``gaps`` keeps only those of ``coverage.is_gap``."""
        parts = split(query, now)
        of_facets = [*parts.facet, *([_gap()] if gaps else [])]
        found: Select[Any] = sa_select(TABLE.c.place).where(*parts.row)
        if order.by in BY_FACET:
            found = found.join_from(TABLE, FacetRow, TABLE.c.facet == col(FacetRow.id)).where(*of_facets)
        elif of_facets:
            found = found.where(TABLE.c.facet.in_(sa_select(col(FacetRow.id)).where(*of_facets)))
        with self._database.read() as session:
            text = session.connection().execute(_joined(session, found, _sorting(order))).scalar()
        return text.split("\n") if text else []

    def rows(self, ids: Collection[str]) -> dict[str, Endpoint]:
        """The endpoints of those ids that there are, by id. Meant for what fits on a screen."""
        with self._database.read() as session:
            return by_ids(session, ids)

    def worst(self, limit: int) -> list[Endpoint]:
        """The riskiest gaps."""
        found: list[Endpoint] = []
        with self._database.read() as session:
            risks = sa_select(col(FacetRow.risk)).where(_gap()).distinct().order_by(col(FacetRow.risk).desc())
            for risk in session.connection().execute(risks).scalars().all():
                those = sa_select(col(FacetRow.id)).where(_gap(), col(FacetRow.risk) == risk)
                query = select_endpoints().where(TABLE.c.facet.in_(those)).order_by(TABLE.c.place)
                found += read_endpoints(session, query.limit(limit - len(found)))
                if len(found) >= limit:
                    break
        return found

    def found_by_day(self, now: datetime, days: int) -> list[int]:
        """How many endpoints were first seen in each of the last days, the oldest first. A day is 24 hours."""
        first = col(EndpointRow.first_seen)
        with self._database.read() as session:
            counts = []
            for age in range(days, 0, -1):
                end, start = now - timedelta(days=age - 1), now - timedelta(days=age)
                query = sa_select(func.count()).select_from(TABLE).where(first > start, first <= end)
                counts.append(int(session.connection().execute(query).scalar_one()))
        return counts

    def values(self, field: str, beginning: str, limit: int = 12) -> list[str]:
        """Values that a text field of the filter grammar has and that begin so, the most frequent first.

        Only fields that facets hold are answered; KeyError for any other.
        """
        name = TEXT_FIELDS[field]
        if name not in facets.COLUMNS:
            raise KeyError(field)
        column = getattr(FacetRow, name)
        query = (
            sa_select(column)
            .where(column.is_not(None), column.istartswith(beginning, autoescape=True))
            .group_by(column)
            .order_by(func.sum(col(FacetRow.count)).desc(), column)
            .limit(limit)
        )
        with self._database.read() as session:
            return [str(value) for value in session.connection().execute(query).scalars()]

    def beside(self, endpoint: Endpoint, limit: int = 20) -> list[Endpoint]:
        """The other endpoints of the same host: the same address in the same site."""
        query = select_endpoints().where(
            TABLE.c.address == endpoint.address, TABLE.c.site == endpoint.site, TABLE.c.id != endpoint.id
        )
        with self._database.read() as session:
            return read_endpoints(session, query.order_by(TABLE.c.place).limit(limit))

    def blocks(self) -> list[tuple[str, str, int]]:
        """How many endpoints that are not gone each piece of a site's address space has: IPv4 by /24, IPv6 by /64."""
        place = TABLE.c.place
        block = func.substr(place, 1, case((place.startswith("4"), 1 + 6), else_=1 + 16))
        site = col(FacetRow.site)
        query = (
            sa_select(site, block, func.count())
            .join_from(TABLE, FacetRow, TABLE.c.facet == col(FacetRow.id))
            .where(col(FacetRow.presence) != Presence.GONE.value)
            .group_by(site, block)
        )
        with self._database.read() as session:
            return [(where_, _network(start), count) for where_, start, count in session.connection().execute(query)]


def _network(start: str) -> str:
    """The network whose places begin so."""
    digits = bytes.fromhex(start[1:])
    address = ipaddress.ip_address(digits.ljust(4 if start[0] == "4" else 16, b"\0"))
    return f"{address}/{8 * len(digits)}"


def _sorting(order: Order) -> list[Any]:
    """What a list is sorted by: as ``store.endpoints.page`` does."""
    place = TABLE.c.place
    if order.by == "endpoint":
        return [place.desc() if order.descending else place.asc()]
    key = getattr(FacetRow, order.by) if order.by in BY_FACET else TABLE.c[BY_ROW[order.by]]
    keys = [key.is_(None), key] if order.by in BY_FACET and order.by != "risk" else [key]
    sorting = [each.desc() if order.descending else each.asc() for each in keys]
    falls = order.descending and order.by not in BY_FACET
    return [*sorting, place.desc() if falls else place.asc()]


def _joined(session: Session, found: Select[Any], sorting: Sequence[Any]) -> Select[Any]:
    """One text of the ids, in order, a line each: the driver makes one value of it, while the screen goes on."""
    place = TABLE.c.place
    first = case((place.startswith("4"), _BEFORE_THE_ID[4] + 1), else_=_BEFORE_THE_ID[6] + 1)
    name = func.substr(place, first)
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import aggregate_order_by

        return found.with_only_columns(func.string_agg(name, aggregate_order_by(literal("\n"), *sorting)))
    # SQLite takes the rows of an ordered subquery as they come; a test holds it to that.
    inner = found.with_only_columns(name.label("id")).order_by(*sorting).subquery()
    return sa_select(func.group_concat(inner.c.id, "\n"))


def _gap() -> ColumnElement[bool]:
    """``coverage.is_gap`` as a condition on facets; a test compares the two over every combination of traits."""
    ml = [kind.value for kind in Kind if kind.is_ml]
    behind = [routing.value for routing in BEHIND_THE_GATEWAY]
    governance, routing, presence = col(FacetRow.governance), col(FacetRow.routing), col(FacetRow.presence)
    over = governance.in_([Governance.BLOCKED.value, Governance.RETIRED.value])
    outside = and_(governance != Governance.EXEMPT.value, not_(routing.in_(behind)))
    around = and_(routing == Routing.ENFORCED.value, presence == Presence.SEEN.value)
    return and_(col(FacetRow.kind).in_(ml), presence != Presence.GONE.value, or_(over, outside, around))
