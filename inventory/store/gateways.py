"""What gateways report of themselves."""

from sqlmodel import select

from inventory.model import GatewayStatus
from inventory.store.database import Database
from inventory.store.tables import GatewayRow

# Inside a class with a method of that name, ``list`` is no longer the type.
GatewayStatuses = list[GatewayStatus]


class GatewayRepository:
    """The last report of every gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, status: GatewayStatus) -> None:
        """Keep a report. A mere heartbeat wakes nobody."""
        with self._database.read() as session:
            row = session.get(GatewayRow, status.id)
            before = GatewayStatus.model_validate(row.body) if row else None
        news = before is None or before.model_copy(update={"heartbeat_at": status.heartbeat_at}) != status
        with self._database.write(notify=news) as session:
            session.merge(GatewayRow(id=status.id, body=status.model_dump(mode="json")))

    def list(self) -> GatewayStatuses:
        """The last report of every gateway, by id."""
        with self._database.read() as session:
            rows = session.exec(select(GatewayRow).order_by(GatewayRow.id))
            return [GatewayStatus.model_validate(row.body) for row in rows]
