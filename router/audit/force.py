"""What is in force while calls are recorded, read from the store as it changes."""

import logging
from collections.abc import Callable, Mapping

from inventory.model import Access, ApiKey, Issuer
from inventory.store import Store
from router.audit.decide import InForce
from router.audit.evidence import Load, access_of
from router.errors import RouteError
from router.policy import PolicyEngine

_log = logging.getLogger(__name__)


class Watched:
    """Gives the recorder what is in force. A call costs one look at the store's clock where nothing was written.

    ``issuers`` by URL and ``keys`` by id are asked again whenever anything was. A version of the policies that cannot
    be read decides nothing, which is logged once; what was decided is forgotten only when policies or routes change.
    """

    def __init__(
        self,
        store: Store,
        load: Load,
        issuers: Callable[[], Mapping[str, Issuer]],
        keys: Callable[[], Mapping[str, ApiKey]],
    ) -> None:
        self._store, self._load, self._issuers, self._keys = store, load, issuers, keys
        self._clock = -1
        self._engines: dict[int, PolicyEngine | None] = {}
        self._routes: dict[str, Access] = {}
        self._turn = 0
        self._found = InForce()

    def __call__(self) -> InForce:
        """What is in force now. Raises StoreError."""
        clock = self._store.version()
        if clock != self._clock:
            self._found = self._read()
            self._clock = clock
        return self._found

    def _read(self) -> InForce:
        state, routes = self._store.policies.state(), access_of(self._store)
        if routes != self._routes:
            self._routes, self._turn = routes, self._turn + 1
        used = {number for number in (state.enforced, state.candidate) if number is not None}
        self._engines = {number: self._engine(number) for number in used}
        return InForce(
            version=(state.enforced, state.candidate, state.percent, self._turn),
            enforced=self._engines.get(state.enforced or 0),
            candidate=self._engines.get(state.candidate or 0),
            issuers=self._issuers(),
            keys=self._keys(),
            routes=routes,
            percent=state.percent,
        )

    def _engine(self, number: int) -> PolicyEngine | None:
        if number in self._engines:
            return self._engines[number]
        version = self._store.policies.get(number)
        try:
            return None if version is None else self._load(version)
        except RouteError as error:
            _log.error("version %d of the policies decides nothing in the record: %s", number, error)
            return None
