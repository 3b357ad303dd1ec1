"""Endpoints for a screen: the rows in view, and counts. Nothing here reads every endpoint."""

import ipaddress
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, not_, or_
from sqlalchemy import select as sa_select
from sqlmodel import col

from inventory.coverage import BEHIND_THE_GATEWAY
from inventory.model import Endpoint, Governance, Kind, Presence, Routing
from inventory.query import TEXT_FIELDS
from inventory.store import facets
from inventory.store.database import Database
from inventory.store.rows import TABLE, by_ids, read_endpoints, select_endpoints
from inventory.store.tables import EndpointRow, FacetRow


class EndpointPages:
    """Reads parts of the endpoints' table. Every method blocks; all are safe in several threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, ids: Collection[str]) -> dict[str, Endpoint]:
        """The endpoints of those ids that there are, by id. Meant for what fits on a screen."""
        with self._database.read() as session:
            return by_ids(session, ids)

    def count(self, *, gaps: bool = False) -> int:
        """How many endpoints there are; with ``gaps``, how many of them are gaps."""
        query = sa_select(func.coalesce(func.sum(col(FacetRow.count)), 0)).where(*([of_gaps()] if gaps else []))
        with self._database.read() as session:
            return int(session.connection().execute(query).scalar_one())

    def worst(self, limit: int) -> list[Endpoint]:
        """The riskiest gaps."""
        found: list[Endpoint] = []
        with self._database.read() as session:
            risks = sa_select(col(FacetRow.risk)).where(of_gaps()).distinct().order_by(col(FacetRow.risk).desc())
            for risk in session.connection().execute(risks).scalars().all():
                those = sa_select(col(FacetRow.id)).where(of_gaps(), col(FacetRow.risk) == risk)
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

    def namespaces(self) -> dict[tuple[str, str], int]:
        """How many endpoints that are not gone each namespace has, by its cluster and its name."""
        cluster, name = col(FacetRow.cluster), col(FacetRow.namespace)
        query = (
            sa_select(cluster, name, func.sum(col(FacetRow.count)))
            .where(cluster.is_not(None), name.is_not(None), col(FacetRow.presence) != Presence.GONE.value)
            .group_by(cluster, name)
        )
        with self._database.read() as session:
            rows = session.connection().execute(query)
            return {(str(where_), str(space)): int(count) for where_, space, count in rows}


def _network(start: str) -> str:
    """The network whose places begin so."""
    digits = bytes.fromhex(start[1:])
    address = ipaddress.ip_address(digits.ljust(4 if start[0] == "4" else 16, b"\0"))
    return f"{address}/{8 * len(digits)}"


def of_gaps() -> ColumnElement[bool]:
    """``coverage.is_gap`` as a condition on facets; a test compares the two over every combination of traits."""
    ml = [kind.value for kind in Kind if kind.is_ml]
    behind = [routing.value for routing in BEHIND_THE_GATEWAY]
    governance, routing, presence = col(FacetRow.governance), col(FacetRow.routing), col(FacetRow.presence)
    over = governance.in_([Governance.BLOCKED.value, Governance.RETIRED.value])
    outside = and_(governance != Governance.EXEMPT.value, not_(routing.in_(behind)))
    around = and_(routing == Routing.ENFORCED.value, presence == Presence.SEEN.value)
    return and_(col(FacetRow.kind).in_(ml), presence != Presence.GONE.value, or_(over, outside, around))
