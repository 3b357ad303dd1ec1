"""Which listeners the workloads of clusters have had: an index over the observations that say so."""

from collections.abc import Iterable

from sqlalchemy import Index, tuple_
from sqlmodel import Field, Session, SQLModel, col, select

from inventory.model import Listener, Observation, Placed
from inventory.store.database import batches, insert_into

# SQLite takes 32,766 variables in a statement; a placement has six.
_BATCH = 2000


class PlacementRow(SQLModel, table=True):
    """A listener that a pod of a workload had at some time. Never updated."""

    __tablename__ = "placement"
    __table_args__ = (Index("ix_placement_workload", "site", "workload"),)
    site: str = Field(primary_key=True)
    address: str = Field(primary_key=True)
    port: int = Field(primary_key=True)
    workload: str = Field(primary_key=True)


def keep_placements(session: Session, observations: Iterable[Observation]) -> None:
    """Note the listeners that the observations place in a workload."""
    placed = {
        (one.listener.site, one.listener.address, one.listener.port, one.fact.workload.uid)
        for one in observations
        if isinstance(one.fact, Placed)
    }
    insert = insert_into(session, PlacementRow).on_conflict_do_nothing()
    for batch in batches(sorted(placed), _BATCH):
        rows = [{"site": site, "address": address, "port": port, "workload": uid} for site, address, port, uid in batch]
        session.connection().execute(insert, rows)


def with_neighbours(session: Session, listeners: Iterable[Listener]) -> tuple[list[Listener], set[str]]:
    """The listeners, with every other one that any of their workloads has had; and the UIDs of those workloads."""
    wanted = dict.fromkeys(listeners)
    workloads: dict[tuple[str, str], None] = {}
    where = tuple_(col(PlacementRow.site), col(PlacementRow.address), col(PlacementRow.port))
    for batch in batches(list(wanted), _BATCH):
        keys = [(one.site, one.address, one.port) for one in batch]
        found = select(PlacementRow.site, PlacementRow.workload).where(where.in_(keys)).distinct()
        workloads |= dict.fromkeys(session.exec(found))
    of = tuple_(col(PlacementRow.site), col(PlacementRow.workload))
    for part in batches(list(workloads), _BATCH):
        query = select(PlacementRow.site, PlacementRow.address, PlacementRow.port).where(of.in_(part))
        for site, address, port in session.exec(query):
            wanted.setdefault(Listener(site=site, address=address, port=port))
    return list(wanted), {uid for _, uid in workloads}
