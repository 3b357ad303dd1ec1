"""What the screens show: values read from the store in one go. How they are read is ``tui.snapshot``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from inventory.coverage import Facet, Gap, Metric, Trend
from inventory.model import (
    Change,
    Endpoint,
    GatewayStatus,
    Revision,
    Rollout,
    Scan,
    Schedule,
    Scope,
    ShadowEvidence,
    Traffic,
)
from inventory.space import RedFlag


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route with what gateways and shadows report of it, and its latest rollout, ended or not."""

    revision: Revision
    traffic: tuple[Traffic, ...] = ()
    evidence: tuple[ShadowEvidence, ...] = ()
    rollout: Rollout | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store held at one version, without the endpoints themselves: its size does not grow with theirs.

    What only Pulse shows is of the version ``figures_of``, which lags while another screen is looked at: ``facets``,
    ``metrics``, ``worst``, ``red_flags``, ``trend``, ``found`` and ``changes``. ``known`` is how many endpoints there
    are, ``open`` how many of them are gaps.

    ``worst`` are the riskiest gaps among them, ``red_flags`` the blocks with endpoints that nobody scanned whole,
    ``trend`` what coverage was after each of the latest scans, the oldest first, ``found`` how many were first seen
    on each of the last days, ``views`` the saved filters by name.
    """

    version: int
    at: datetime
    figures_of: int = -1
    known: int = 0
    open: int = 0
    facets: tuple[Facet, ...] = ()
    metrics: tuple[Metric, ...] = ()
    worst: tuple[Endpoint, ...] = ()
    scope_gaps: tuple[Gap, ...] = ()
    red_flags: tuple[RedFlag, ...] = ()
    trend: tuple[Trend, ...] = ()
    found: tuple[int, ...] = ()
    changes: tuple[Change, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    scopes: tuple[Scope, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    scans: tuple[Scan, ...] = ()
    routes: tuple[RouteState, ...] = ()
    gateways: tuple[GatewayStatus, ...] = ()

    @property
    def gaps(self) -> int:
        """How many endpoints and scopes are gaps."""
        return self.open + len(self.scope_gaps)

    def route(self, name: str | None) -> RouteState | None:
        """The state of a route; None where there is none of that name."""
        return next((state for state in self.routes if state.revision.route == name), None)

    def route_of(self, endpoint_id: str | None) -> RouteState | None:
        """The route that leads to an endpoint; None where there is none."""
        return next((state for state in self.routes if endpoint_id and endpoint_id in endpoints_of(state)), None)


def endpoints_of(state: RouteState) -> set[str]:
    """The ids of the endpoints that a route is about."""
    spec = state.revision.spec
    return {one for one in (spec.endpoint, *(b.endpoint for b in spec.backends)) if one} if spec else set()
