"""The store: one object that holds every repository of one database."""

from __future__ import annotations

from importlib import import_module
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from inventory.settings import Settings
from inventory.store.database import Database
from inventory.store.migrate import migrate

if TYPE_CHECKING:
    from inventory.changes import Event
    from inventory.model import Endpoint
    from inventory.store.bell import Bell
    from inventory.store.calls import CallRepository
    from inventory.store.changes import ChangeRepository
    from inventory.store.coverage import CoverageRepository
    from inventory.store.declarations import DeclarationRepository
    from inventory.store.endpoints import EndpointRepository
    from inventory.store.events import EventRepository
    from inventory.store.fleet import FleetRepository
    from inventory.store.gateways import GatewayRepository
    from inventory.store.identities import IdentityRepository
    from inventory.store.issuers import IssuerRepository
    from inventory.store.keys import KeyRepository
    from inventory.store.observations import ObservationRepository
    from inventory.store.pages import EndpointPages
    from inventory.store.policies import PolicyRepository
    from inventory.store.principals import PrincipalRepository
    from inventory.store.revocations import RevocationRepository
    from inventory.store.rollouts import RolloutRepository
    from inventory.store.routes import RouteRepository
    from inventory.store.scans import LeaseRepository, ScanRepository, ScheduleRepository, ScopeRepository
    from inventory.store.seals import SealRepository
    from inventory.store.shadow import ShadowRepository
    from inventory.store.traffic import TrafficRepository
    from inventory.store.triage import TriageRepository
    from inventory.store.upkeep import UpkeepRepository
    from inventory.store.views import ViewRepository

_MODULES = {
    "scopes": ("scans", "ScopeRepository"),
    "schedules": ("scans", "ScheduleRepository"),
    "leases": ("scans", "LeaseRepository"),
    "scans": ("scans", "ScanRepository"),
    "observations": ("observations", "ObservationRepository"),
    "endpoints": ("endpoints", "EndpointRepository"),
    "pages": ("pages", "EndpointPages"),
    "triage": ("triage", "TriageRepository"),
    "identities": ("identities", "IdentityRepository"),
    "coverage": ("coverage", "CoverageRepository"),
    "views": ("views", "ViewRepository"),
    "upkeep": ("upkeep", "UpkeepRepository"),
    "changes": ("changes", "ChangeRepository"),
    "events": ("events", "EventRepository"),
    "routes": ("routes", "RouteRepository"),
    "rollouts": ("rollouts", "RolloutRepository"),
    "gateways": ("gateways", "GatewayRepository"),
    "fleet": ("fleet", "FleetRepository"),
    "shadow": ("shadow", "ShadowRepository"),
    "seals": ("seals", "SealRepository"),
    "traffic": ("traffic", "TrafficRepository"),
    "principals": ("principals", "PrincipalRepository"),
    "calls": ("calls", "CallRepository"),
    "declarations": ("declarations", "DeclarationRepository"),
    "issuers": ("issuers", "IssuerRepository"),
    "keys": ("keys", "KeyRepository"),
    "revocations": ("revocations", "RevocationRepository"),
    "policies": ("policies", "PolicyRepository"),
}
"""Where each repository is. Importing all of them takes longer than most commands take."""

_OVER_ENDPOINTS = frozenset({"triage", "identities", "coverage", "upkeep", "seals"})
"""The repositories that change endpoints too, by way of theirs."""


class Store:
    """Every repository of one database. Safe to use from several threads; close it, or use ``with``.

    A repository is imported and made when it is first asked for.
    """

    scopes: ScopeRepository
    schedules: ScheduleRepository
    leases: LeaseRepository
    scans: ScanRepository
    observations: ObservationRepository
    endpoints: EndpointRepository
    pages: EndpointPages
    triage: TriageRepository
    identities: IdentityRepository
    coverage: CoverageRepository
    views: ViewRepository
    upkeep: UpkeepRepository
    changes: ChangeRepository
    events: EventRepository
    routes: RouteRepository
    rollouts: RolloutRepository
    gateways: GatewayRepository
    fleet: FleetRepository
    shadow: ShadowRepository
    seals: SealRepository
    traffic: TrafficRepository
    principals: PrincipalRepository
    calls: CallRepository
    declarations: DeclarationRepository
    issuers: IssuerRepository
    keys: KeyRepository
    revocations: RevocationRepository
    policies: PolicyRepository

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        """Over a migrated database. ``settings`` gives the ages at which endpoints become stale."""
        self._database = database
        self._settings = settings
        self._making = RLock()

    if not TYPE_CHECKING:  # or a misspelt name were no error

        def __getattr__(self, name: str) -> Any:
            """The repository of that name, which stays."""
            if name not in _MODULES:
                raise AttributeError(f"a store has no {name!r}")
            with self._making:
                if name not in self.__dict__:
                    module, kind = _MODULES[name]
                    make = getattr(import_module(f"inventory.store.{module}"), kind)
                    further: list[object] = []
                    if name == "endpoints":
                        further.append(self._settings or Settings())
                    elif name in _OVER_ENDPOINTS:
                        further.append(self.endpoints)
                    self.__dict__[name] = make(self._database, *further)
            return self.__dict__[name]

    def version(self) -> int:
        """A number that grows with every committed write of any process. Cheap to poll."""
        return self._database.version()

    def bell(self) -> Bell | None:
        """What becomes readable as soon as any process wrote; None where this system has none: ask ``version``."""
        return self._database.bell()

    def history(self, endpoint: Endpoint) -> tuple[Event, ...]:
        """How an endpoint came to be what it is, oldest first."""
        from inventory.store.history import history_of

        return history_of(endpoint, self.observations, self.events)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(url: str, settings: Settings | None = None) -> Store:
    """Open a database, migrating it to this version. Raises StoreError with one sentence."""
    database = Database(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Store(database, settings)
