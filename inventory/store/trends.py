"""What coverage was when each scan ended, and the counts that it is worked out from."""

from sqlalchemy import func
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from inventory.coverage import Facet, Standing, metrics
from inventory.model import Governance, Kind, Posture, Presence, Routing, Scan
from inventory.store.recent import last_scans_in, scopes_in
from inventory.store.tables import FacetRow
from inventory.store.tables_history import TrendRow


def record_trend(session: Session, scan: Scan) -> None:
    """Keep what the metrics are in this transaction as those after a scan."""
    now = metrics(facets_in(session), last_scans_in(session), scopes_in(session))
    standings = [Standing(name=one.name, part=one.part, whole=one.whole) for one in now]
    body = {"standings": [one.model_dump() for one in standings]}
    session.merge(TrendRow(scan=scan.id, scope=scan.scope, at=scan.ended_at or scan.started_at, body=body))


def facets_in(session: Session, by: str | None = None) -> list[Facet]:
    """The facets that metrics are sums of, in the groups of one of its columns."""
    owned = col(FacetRow.owner).is_not(None)
    columns = [
        getattr(FacetRow, name) for name in ("kind", "posture", "presence", "governance", "routing")
    ]  # fmt: skip
    groups = [getattr(FacetRow, by)] if by else []
    query = sa_select(func.sum(FacetRow.count), owned, *columns, *groups).group_by(owned, *columns, *groups)
    rows = session.connection().execute(query)
    return [
        Facet(
            int(count), Kind(kind) if kind else None, Posture(posture), Presence(presence), Governance(governance),
            Routing(routing), bool(has_owner), group[0] if group else None,
        )
        for count, has_owner, kind, posture, presence, governance, routing, *group in rows
    ]  # fmt: skip
