"""What coverage was when each scan ended, and the counts that it is worked out from."""

from collections.abc import Sequence

from sqlalchemy import func, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.coverage import Facet, Standing, metrics
from inventory.model import Governance, Kind, Posture, Presence, Routing, Scan, Scope
from inventory.store.tables import FacetRow, ScanRow, ScopeRow
from inventory.store.tables_history import TrendRow

SCANS_CONSIDERED = 1000


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


def scans_in(session: Session, limit: int = SCANS_CONSIDERED) -> list[Scan]:
    """The latest scans, and the last of each scope and status, however long ago it was; in no order."""
    query = select(ScanRow).order_by(col(ScanRow.started_at).desc()).limit(limit)
    latest = {row.id: row for row in [*session.exec(query), *_last_rows(session)]}
    return [Scan.model_validate(row.body) for row in latest.values()]


def last_scans_in(session: Session) -> list[Scan]:
    """The last scan of each scope and status: what metrics are about."""
    return [Scan.model_validate(row.body) for row in _last_rows(session)]


def _last_rows(session: Session) -> Sequence[ScanRow]:
    key = (col(ScanRow.scope), col(ScanRow.status))
    newest = sa_select(*key, func.max(col(ScanRow.started_at))).group_by(*key)
    return session.exec(select(ScanRow).where(tuple_(*key, col(ScanRow.started_at)).in_(newest))).all()


def scopes_in(session: Session) -> list[Scope]:
    """Every authorised scope."""
    return [Scope.model_validate(row.body) for row in session.exec(select(ScopeRow))]
