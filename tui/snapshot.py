"""One consistent look at the store: everything that the screens show, read in a worker thread."""

from datetime import datetime

from inventory.coverage import coverage
from inventory.model import Revision
from inventory.store import Store
from tui.viewmodel.state import RouteState, Snapshot

SCANS = 200
"""How many of the latest scans are read: enough for the last one of each scope."""


def read(store: Store, now: datetime, limit: int | None = None) -> Snapshot:
    """Read everything, or only the ``limit`` riskiest endpoints for a first paint. Raises StoreError.

    The version is read first: whatever is written meanwhile makes a newer version, and is read next.
    """
    version = store.version()
    endpoints = tuple(store.endpoints.list(limit=limit))
    scans = tuple(store.scans.list(limit=SCANS))
    return Snapshot(
        version=version,
        at=now,
        endpoints=endpoints,
        coverage=coverage(endpoints, scans),
        scopes=tuple(store.scopes.list()),
        scans=scans,
        routes=tuple(_route(store, revision) for revision in store.routes.list()),
        gateways=tuple(store.gateways.list()),
        by_id={endpoint.id: endpoint for endpoint in endpoints},
    )


def _route(store: Store, revision: Revision) -> RouteState:
    name = revision.route
    return RouteState(revision, tuple(store.shadow.traffic(name)), tuple(store.shadow.of(name)))
