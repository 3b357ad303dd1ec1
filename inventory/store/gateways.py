"""What gateways report of themselves: a heartbeat, and the state of each route, which is kept apart.

A gateway of ten thousand routes tells of the few that changed; nobody reads or writes the others.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from inventory.model import GatewayStatus, Refusal
from inventory.store.database import Database, batches, upsert
from inventory.store.gateway_tables import GatewayRouteRow
from inventory.store.tables import GatewayRow

# Inside a class with a method of that name, ``list`` is no longer the type.
GatewayStatuses = list[GatewayStatus]
_OF_ROUTES = {"revisions", "refused"}
_AT_ONCE = 500


class GatewayRepository:
    """The last report of every gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, status: GatewayStatus) -> None:
        """Keep a whole report, in place of everything that this gateway said before."""
        with self._database.write() as session:
            session.connection().execute(delete(GatewayRouteRow).where(col(GatewayRouteRow.gateway) == status.id))
            _beat(session, status)
            _tell(session, status.id, status.revisions, status.refused)

    def beat(self, status: GatewayStatus) -> None:
        """Keep a heartbeat; what the status says of routes is left aside. One without news wakes nobody."""
        with self._database.read() as session:
            row = session.get(GatewayRow, status.id)
            before = GatewayStatus.model_validate(row.body) if row else None
        aside: dict[str, object] = {"heartbeat_at": status.heartbeat_at, "revisions": {}, "refused": {}}
        news = before is None or before.model_copy(update=aside) != status.model_copy(update=aside)
        with self._database.write(notify=news) as session:
            _beat(session, status)

    def tell(self, gateway: str, revisions: Mapping[str, int | None], refused: Mapping[str, Refusal]) -> None:
        """Keep the state of some routes: the revision each is served at, None where it is not, and any refusal.

        It wakes nobody: who waits for it asks, and nobody else decides anything by it.
        """
        with self._database.write(ring=False) as session:
            _tell(session, gateway, revisions, refused)

    def forget(self, gateway: str) -> None:
        """Keep nothing of what a gateway reported: it is none any more."""
        with self._database.read() as session:
            known = session.get(GatewayRow, gateway) is not None
        if known:
            with self._database.write() as session:
                forget(session, gateway)

    def list(self) -> GatewayStatuses:
        """The last report of every gateway, by id."""
        return self._of(None)

    def heartbeats(self) -> dict[str, datetime]:
        """When each gateway was last heard of. What they report of routes is not read."""
        with self._database.read() as session:
            rows = session.exec(select(GatewayRow)).all()
        return {row.id: GatewayStatus.model_validate(row.body).heartbeat_at for row in rows}

    def of(self, route: str) -> GatewayStatuses:
        """The last report of every gateway, by id, with the state of one route alone."""
        return self._of(route)

    def _of(self, route: str | None) -> GatewayStatuses:
        states = select(GatewayRouteRow)
        if route is not None:
            states = states.where(GatewayRouteRow.route == route)
        with self._database.read() as session:
            rows = session.exec(select(GatewayRow).order_by(GatewayRow.id)).all()
            told = session.exec(states).all()
        return [_status(row, [one for one in told if one.gateway == row.id]) for row in rows]


def forget(session: Session, gateway: str) -> None:
    """Delete what a gateway reported, within a transaction."""
    session.connection().execute(delete(GatewayRouteRow).where(col(GatewayRouteRow.gateway) == gateway))
    session.connection().execute(delete(GatewayRow).where(col(GatewayRow.id) == gateway))


def _status(row: GatewayRow, told: Iterable[GatewayRouteRow]) -> GatewayStatus:
    told = list(told)
    return GatewayStatus.model_validate(row.body).model_copy(
        update={
            "revisions": {one.route: one.number for one in told if one.number is not None},
            "refused": {
                one.route: Refusal(error=one.error, number=one.refused) for one in told if one.error is not None
            },
        }
    )


def _beat(session: Session, status: GatewayStatus) -> None:
    session.merge(GatewayRow(id=status.id, body=status.model_dump(mode="json", exclude=_OF_ROUTES)))


def _tell(session: Session, gateway: str, revisions: Mapping[str, int | None], refused: Mapping[str, Refusal]) -> None:
    rows, nothing = [], []
    for route in sorted(revisions.keys() | refused.keys()):
        number, why = revisions.get(route), refused.get(route)
        if number is None and why is None:
            nothing.append(route)
            continue
        row = {"gateway": gateway, "route": route, "number": number}
        rows.append(row | {"refused": why.number if why else None, "error": why.error if why else None})
    of_gateway = col(GatewayRouteRow.gateway) == gateway
    # By their names: a look for rows that say nothing would go through those of all routes.
    for some in batches(nothing, _AT_ONCE):
        session.connection().execute(delete(GatewayRouteRow).where(of_gateway, col(GatewayRouteRow.route).in_(some)))
    upsert(session, GatewayRouteRow, rows)
