"""What a report is about, read from the store in one go."""

from dataclasses import dataclass
from datetime import datetime

from inventory.changes import Event
from inventory.coverage import Trend
from inventory.drift import Report as DriftReport
from inventory.drift import drift
from inventory.model import ApiKey, Change, Endpoint, PolicyState, Scan, Scope, Seal
from inventory.store import Store
from inventory.store.coverage import Report as CoverageReport
from tui import snapshot
from tui.viewmodel.state import RouteState, Snapshot

MOST = 200
"""Rows of any list: a report is read by people, and what it leaves out it counts."""
_SCANS = 200
_TRENDS = 60


@dataclass(frozen=True)
class Facts:
    """Everything that a report says. ``since`` is where its period begins, ``at`` where it ends.

    ``worst`` are the riskiest gaps of ``gaps`` in all, ``seals`` the latest trials of each route, ``keys`` those that
    may be used now.
    """

    at: datetime
    since: datetime
    coverage: CoverageReport
    trend: tuple[Trend, ...]
    worst: tuple[Endpoint, ...]
    gaps: int
    drift: DriftReport
    events: tuple[Event, ...]
    changes: tuple[Change, ...]
    routes: tuple[RouteState, ...]
    seals: dict[str, Seal]
    scans: tuple[Scan, ...]
    scopes: tuple[Scope, ...]
    policy: PolicyState
    keys: tuple[ApiKey, ...]


def read(store: Store, now: datetime, since: datetime) -> Facts:
    """Read it. Raises StoreError."""
    shown: Snapshot = snapshot.read(store, now)
    declarations = store.declarations
    seals = {state.revision.route: store.seals.of_route(state.revision.route, limit=1) for state in shown.routes}
    return Facts(
        at=now,
        since=since,
        coverage=store.coverage.report(),
        trend=store.coverage.trend(limit=_TRENDS),
        worst=tuple(store.pages.worst(MOST)),
        gaps=shown.gaps,
        drift=drift(store.endpoints.list(), declarations.list(), declarations.rulings(), shown.scans),
        events=tuple(store.events.list(since=since, limit=MOST)),
        changes=tuple(store.changes.list(since=since, limit=MOST)),
        routes=shown.routes,
        seals={route: found[0] for route, found in seals.items() if found},
        scans=tuple(scan for scan in shown.scans[:_SCANS] if scan.started_at >= since),
        scopes=shown.scopes,
        policy=store.policies.state(),
        keys=tuple(one for one in store.keys.list() if one.revoked_at is None and one.expires_at > now),
    )
