"""What the screens show: values read from the store in one go. How they are read is ``tui.snapshot``."""

from dataclasses import dataclass, field
from datetime import datetime

from inventory.coverage import Coverage
from inventory.model import Endpoint, GatewayStatus, Revision, Scan, Scope, ShadowEvidence, Traffic


@dataclass(frozen=True, slots=True)
class RouteState:
    """A route with what gateways and shadows report of it."""

    revision: Revision
    traffic: tuple[Traffic, ...] = ()
    evidence: tuple[ShadowEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store held at one version. ``by_id`` finds endpoints."""

    version: int
    at: datetime
    endpoints: tuple[Endpoint, ...]
    coverage: Coverage
    scopes: tuple[Scope, ...] = ()
    scans: tuple[Scan, ...] = ()
    routes: tuple[RouteState, ...] = ()
    gateways: tuple[GatewayStatus, ...] = ()
    by_id: dict[str, Endpoint] = field(default_factory=dict)

    def route(self, name: str | None) -> RouteState | None:
        """The state of a route; None where there is none of that name."""
        return next((state for state in self.routes if state.revision.route == name), None)
