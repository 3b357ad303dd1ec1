"""The store: one object that holds every repository of one database.

A repository is imported and made when it is first asked for: to import all of them takes longer than most commands do.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Self

from inventory.settings import Settings
from inventory.store.database import Database
from inventory.store.migrate import migrate

if TYPE_CHECKING:
    from types import TracebackType

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
        self._settings = settings or Settings()

    @cached_property
    def scopes(self) -> ScopeRepository:
        """What may be scanned."""
        from inventory.store.scans import ScopeRepository

        return ScopeRepository(self._database)

    @cached_property
    def schedules(self) -> ScheduleRepository:
        """When scopes are scanned."""
        from inventory.store.scans import ScheduleRepository

        return ScheduleRepository(self._database)

    @cached_property
    def leases(self) -> LeaseRepository:
        """Who holds what only one may do at a time."""
        from inventory.store.scans import LeaseRepository

        return LeaseRepository(self._database)

    @cached_property
    def scans(self) -> ScanRepository:
        """Every scan, with its account."""
        from inventory.store.scans import ScanRepository

        return ScanRepository(self._database)

    @cached_property
    def observations(self) -> ObservationRepository:
        """Everything that was ever seen."""
        from inventory.store.observations import ObservationRepository

        return ObservationRepository(self._database)

    @cached_property
    def endpoints(self) -> EndpointRepository:
        """Every endpoint that observations tell of."""
        from inventory.store.endpoints import EndpointRepository

        return EndpointRepository(self._database, self._settings)

    @cached_property
    def pages(self) -> EndpointPages:
        """What a screen shows of endpoints."""
        from inventory.store.pages import EndpointPages

        return EndpointPages(self._database)

    @cached_property
    def order(self) -> EndpointOrder:
        """The order of a whole listing, for a screen."""
        from inventory.store.order import EndpointOrder

        return EndpointOrder(self._database)

    @cached_property
    def triage(self) -> TriageRepository:
        """What people decide about endpoints."""
        from inventory.store.triage import TriageRepository

        return TriageRepository(self._database, self.endpoints)

    @cached_property
    def identities(self) -> IdentityRepository:
        """Which places are one endpoint."""
        from inventory.store.identities import IdentityRepository

        return IdentityRepository(self._database, self.endpoints)

    @cached_property
    def coverage(self) -> CoverageRepository:
        """How much is known and governed."""
        from inventory.store.coverage import CoverageRepository

        return CoverageRepository(self._database, self.endpoints)

    @cached_property
    def views(self) -> ViewRepository:
        """Saved filters."""
        from inventory.store.views import ViewRepository

        return ViewRepository(self._database)

    @cached_property
    def upkeep(self) -> UpkeepRepository:
        """Whether all that is derived follows from the observations."""
        from inventory.store.upkeep import UpkeepRepository

        return UpkeepRepository(self._database, self.endpoints)

    @cached_property
    def changes(self) -> ChangeRepository:
        """The record of governed changes."""
        from inventory.store.changes import ChangeRepository

        return ChangeRepository(self._database)

    @cached_property
    def events(self) -> EventRepository:
        """What happened to endpoints."""
        from inventory.store.events import EventRepository

        return EventRepository(self._database)

    @cached_property
    def routes(self) -> RouteRepository:
        """What is desired of the gateway, by revision."""
        from inventory.store.routes import RouteRepository

        return RouteRepository(self._database)

    @cached_property
    def rollouts(self) -> RolloutRepository:
        """Moves of routes, step by step."""
        from inventory.store.rollouts import RolloutRepository

        return RolloutRepository(self._database)

    @cached_property
    def gateways(self) -> GatewayRepository:
        """What gateways report of themselves."""
        from inventory.store.gateways import GatewayRepository

        return GatewayRepository(self._database)

    @cached_property
    def fleet(self) -> FleetRepository:
        """Gateways of other machines, and their invitations."""
        from inventory.store.fleet import FleetRepository

        return FleetRepository(self._database)

    @cached_property
    def shadow(self) -> ShadowRepository:
        """What comparisons of answers found."""
        from inventory.store.shadow import ShadowRepository

        return ShadowRepository(self._database)

    @cached_property
    def seals(self) -> SealRepository:
        """Trials of direct paths."""
        from inventory.store.seals import SealRepository

        return SealRepository(self._database, self.endpoints)

    @cached_property
    def traffic(self) -> TrafficRepository:
        """How much passed, over time."""
        from inventory.store.traffic import TrafficRepository

        return TrafficRepository(self._database)

    @cached_property
    def principals(self) -> PrincipalRepository:
        """Who calls."""
        from inventory.store.principals import PrincipalRepository

        return PrincipalRepository(self._database)

    @cached_property
    def calls(self) -> CallRepository:
        """The record of calls."""
        from inventory.store.calls import CallRepository

        return CallRepository(self._database)

    @cached_property
    def declarations(self) -> DeclarationRepository:
        """What registries and clusters say is supposed to exist."""
        from inventory.store.declarations import DeclarationRepository

        return DeclarationRepository(self._database)

    @cached_property
    def issuers(self) -> IssuerRepository:
        """Whose tokens are believed."""
        from inventory.store.issuers import IssuerRepository

        return IssuerRepository(self._database)

    @cached_property
    def keys(self) -> KeyRepository:
        """API keys, as digests."""
        from inventory.store.keys import KeyRepository

        return KeyRepository(self._database)

    @cached_property
    def revocations(self) -> RevocationRepository:
        """Tokens that are believed no longer."""
        from inventory.store.revocations import RevocationRepository

        return RevocationRepository(self._database)

    @cached_property
    def policies(self) -> PolicyRepository:
        """Versions of the policies, and which is enforced."""
        from inventory.store.policies import PolicyRepository

        return PolicyRepository(self._database)

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
