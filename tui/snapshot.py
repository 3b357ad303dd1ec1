"""One consistent look at the store: everything that the screens show beside endpoints, read in a worker thread."""

from dataclasses import replace
from datetime import datetime

from inventory.model import Revision
from inventory.store import Store
from tui.viewmodel.state import RouteState, Snapshot

SCANS = 200
"""How many of the latest scans are read, beside the last ones of each scope."""
WORST = 12
DAYS = 30
TRENDS = 40
CHANGES = 200


def read(store: Store, now: datetime, before: Snapshot | None = None, *, figures: bool = True) -> Snapshot:
    """Read it; without ``figures``, those stay what they were ``before``. Raises StoreError.

    The version is read first: whatever is written meanwhile makes a newer version, and is read next.
    """
    version = store.version()
    scans = tuple(store.scans.latest(SCANS))
    read = replace(
        before or Snapshot(version, now),
        version=version,
        at=now,
        known=store.pages.count(),
        open=store.pages.count(gaps=True),
        scope_gaps=store.coverage.scope_gaps(),
        views={view.name: view.filter for view in store.views.list()},
        scopes=tuple(store.scopes.list()),
        schedules=tuple(store.schedules.list()),
        scans=scans,
        routes=tuple(_route(store, revision) for revision in store.routes.list()),
        gateways=tuple(store.gateways.list()),
    )
    return _with_figures(store, now, read) if figures else read


def _with_figures(store: Store, now: datetime, read: Snapshot) -> Snapshot:
    facets = store.coverage.facets()
    return replace(
        read,
        figures_of=read.version,
        facets=facets,
        metrics=store.coverage.metrics(),
        worst=tuple(store.pages.worst(WORST)),
        red_flags=store.coverage.red_flags(),
        trend=store.coverage.trend(limit=TRENDS),
        found=tuple(store.pages.found_by_day(now, DAYS)),
        changes=tuple(store.changes.list(limit=CHANGES)),
    )


def _route(store: Store, revision: Revision) -> RouteState:
    name = revision.route
    traffic, evidence = tuple(store.shadow.traffic(name)), tuple(store.shadow.of(name))
    return RouteState(revision, traffic, evidence, store.rollouts.get(name))
