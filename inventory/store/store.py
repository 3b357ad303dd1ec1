"""The store: one object that holds every repository of one database."""

from types import TracebackType
from typing import Self

from inventory.changes import Event
from inventory.model import Endpoint
from inventory.settings import Settings
from inventory.store.bell import Bell
from inventory.store.calls import CallRepository
from inventory.store.changes import ChangeRepository
from inventory.store.coverage import CoverageRepository
from inventory.store.database import Database
from inventory.store.declarations import DeclarationRepository
from inventory.store.endpoints import EndpointRepository
from inventory.store.events import EventRepository
from inventory.store.fleet import FleetRepository
from inventory.store.gateways import GatewayRepository
from inventory.store.history import history_of
from inventory.store.identities import IdentityRepository
from inventory.store.issuers import IssuerRepository
from inventory.store.keys import KeyRepository
from inventory.store.migrate import migrate
from inventory.store.observations import ObservationRepository
from inventory.store.order import EndpointOrder
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


class Store:
    """Every repository of one database. Safe to use from several threads; close it, or use ``with``."""

    def __init__(self, database: Database, settings: Settings | None = None) -> None:
        """Over a migrated database. ``settings`` gives the ages at which endpoints become stale."""
        self._database = database
        self.scopes = ScopeRepository(database)
        self.schedules = ScheduleRepository(database)
        self.leases = LeaseRepository(database)
        self.scans = ScanRepository(database)
        self.observations = ObservationRepository(database)
        self.endpoints = EndpointRepository(database, settings or Settings())
        self.pages = EndpointPages(database)
        self.order = EndpointOrder(database)
        self.triage = TriageRepository(database, self.endpoints)
        self.identities = IdentityRepository(database, self.endpoints)
        self.coverage = CoverageRepository(database, self.endpoints)
        self.views = ViewRepository(database)
        self.upkeep = UpkeepRepository(database, self.endpoints)
        self.changes = ChangeRepository(database)
        self.events = EventRepository(database)
        self.routes = RouteRepository(database)
        self.rollouts = RolloutRepository(database)
        self.gateways = GatewayRepository(database)
        self.fleet = FleetRepository(database)
        self.shadow = ShadowRepository(database)
        self.seals = SealRepository(database, self.endpoints)
        self.traffic = TrafficRepository(database)
        self.principals = PrincipalRepository(database)
        self.calls = CallRepository(database)
        self.declarations = DeclarationRepository(database)
        self.issuers = IssuerRepository(database)
        self.keys = KeyRepository(database)
        self.revocations = RevocationRepository(database)
        self.policies = PolicyRepository(database)

    def version(self) -> int:
        """A number that grows with every committed write of any process. Cheap to poll."""
        return self._database.version()

    def bell(self) -> Bell | None:
        """What becomes readable as soon as any process wrote; None where this system has none: ask ``version``."""
        return self._database.bell()

    def history(self, endpoint: Endpoint) -> tuple[Event, ...]:
        """How an endpoint came to be what it is, oldest first."""
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
