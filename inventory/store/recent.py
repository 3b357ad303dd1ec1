"""Scans and scopes as a transaction sees them: what metrics are about."""

from collections.abc import Sequence

from sqlalchemy import func, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.model import Scan, Scope
from inventory.store.tables import ScanRow, ScopeRow

SCANS_CONSIDERED = 1000


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
