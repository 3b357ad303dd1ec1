"""The loop beside the controller that gives the gateway what to enforce: whose tokens, which not, who may call what.

What is revoked goes out at once. Decisions are made again, beside the loop, when a policy, a route, a caller or the
hour changes. Where the store is away or a policy cannot be read, the gateway goes on enforcing what it has.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from inventory.model import PolicyState, Principal, Revocation, utc_now
from inventory.store import Store, StoreError
from router.audit.evidence import access_of
from router.ear import GIVE_WAY_SECONDS, hearing
from router.errors import GatewayError
from router.gateways import Gateway, Governed
from router.governance import Governance, RouteRule, Trusted, allows, losing
from router.identity.tokens import LIFETIME
from router.identity.trust import trusted
from router.policy import PolicyEngine
from router.policy.effective import compile_routes
from router.policy.engines import PolicyError, load

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often callers are looked at again, and how long a silent bell is trusted."""

SPACING_SECONDS = 0.1
"""How long after the beginning of one look the next begins at the earliest."""

ALIVE_SECONDS = 10.0
"""How old the heartbeat of a gateway may be that shares the limits of rates."""

AUTHOR = "gnomon"


Own = tuple[str | None, Mapping[str, Any] | None]
"""The URL of our token service and its JWK Set; None for both where there is none."""


def nobody() -> Own:
    """No token service."""
    return None, None


class Basis(NamedTuple):
    """What decisions are made from. Equal ones give equal decisions."""

    state: PolicyState
    routes: tuple[tuple[str, tuple[tuple[str, object], ...]], ...]
    principals: tuple[tuple[str, tuple[tuple[str, object], ...]], ...]
    hour: tuple[int, int]


class Governor:
    """Keeps one gateway's enforcement at what the store says. ``run`` it once, beside the controller."""

    def __init__(
        self,
        store: Store,
        gateway: Gateway,
        gateway_id: str,
        *,
        own: Callable[[], Own] = nobody,
        certificates: bool = False,
    ) -> None:
        """``own`` is our token service: its URL and public keys. ``certificates``: callers may show one."""
        self._store = store
        self._gateway = gateway
        self._id = gateway_id
        self._own = own
        self._certificates = certificates
        self._basis: Basis | None = None
        self._seen: tuple[int, int, int] | None = None
        self._rules: dict[str, RouteRule] = {}
        self._engines: dict[int, PolicyEngine] = {}
        self._said = ""
        self._looked = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the store until ``stop`` is set. Does nothing on a gateway that cannot enforce."""
        if not isinstance(self._gateway, Governed):
            return
        self._rules = dict(self._gateway.governance.rules)
        wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = -SPACING_SECONDS
        async with hearing(self._store, wake, stop) as ear:
            while not stop.is_set():
                patience = min(await ear.listen(), LOOK_SECONDS)
                # Among many changes of routes, most of them go first.
                await asyncio.sleep(max(GIVE_WAY_SECONDS, began + SPACING_SECONDS - loop.time()))
                began = loop.time()
                wake.clear()
                await self._look(self._gateway)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), patience)

    async def _look(self, gateway: Governed) -> None:
        try:
            known = await asyncio.to_thread(self._known)
            await self._enforce(gateway, known)
            now = asyncio.get_running_loop().time()
            if now - self._looked >= LOOK_SECONDS or self._basis is None or known.policy != self._basis.state:
                self._looked = now
                if await asyncio.to_thread(self._decide, known.policy):
                    await self._enforce(gateway, await asyncio.to_thread(self._known))
            self._said = ""
        except (StoreError, GatewayError, PolicyError) as error:
            if str(error) != self._said:
                log.error("the gateway enforces what it has: %s", error)  # noqa: TRY400 - one sentence
            self._said = str(error)

    async def _enforce(self, gateway: Governed, known: "_Known") -> None:
        wanted = Governance(
            trusted=known.trusted,
            revoked=known.revoked,
            rules=self._rules,
            gateways=known.gateways,
            certificates=self._certificates,
        )
        if wanted != gateway.governance:
            await gateway.govern(wanted)

    def _known(self) -> "_Known":
        """What is cheap to read, and must act at once."""
        now = utc_now()
        heard = self._store.gateways.heartbeats()
        alive = [gateway for gateway, at in heard.items() if (now - at).total_seconds() < ALIVE_SECONDS]
        return _Known(
            policy=self._store.policies.state(),
            revoked=tuple(self._store.revocations.list(now)),
            trusted=trusted(self._store.issuers.held(), *self._own()),
            gateways=max(1, len({*alive, self._id})),
        )

    def _decide(self, state: PolicyState) -> bool:
        """Make decisions again where something changed that they are made from. Whether any rule is another."""
        now = utc_now()
        seen = (self._store.version(), now.weekday(), now.hour)
        if seen == self._seen:
            return False
        # Observed ones too: tokens of ours name them already, and must not when they come to be enforced.
        routes = access_of(self._store)
        principals = self._store.principals.list()
        attributes = {name: access.attributes for name, access in routes.items()}
        basis = basis_of(state, attributes, principals, now)
        if basis == self._basis:
            self._seen = seen
            return False
        if self._basis is None or basis.hour != self._basis.hour:
            self._store.revocations.prune(now)
        enforced, candidate = (self._engine(number) for number in (state.enforced, state.candidate))
        rules = compile_routes(attributes, principals, enforced, candidate, state.percent, now)
        new = {who for who in newcomers(self._basis, basis) if not all(allows(rule, who) for rule in rules.values())}
        gone = losing(self._rules, rules, [one.id for one in principals]) | new
        for principal in sorted(gone):
            why = "may no longer call a route that its tokens of ours name"
            until = now + timedelta(seconds=LIFETIME)
            self._store.revocations.add(
                Revocation(kind="exchanged", value=principal, at=now, until=until, who=AUTHOR, why=why)
            )
        changed = rules != self._rules
        self._rules, self._basis, self._seen = rules, basis, seen
        return changed or bool(gone)

    def _engine(self, number: int | None) -> PolicyEngine | None:
        if number is None:
            return None
        if number not in self._engines:
            found = self._store.policies.get(number)
            if found is None:
                raise PolicyError(f"there is no version {number} of the policies")
            self._engines = {**self._engines, number: load(found)}
        return self._engines[number]


class _Known(NamedTuple):
    policy: PolicyState
    revoked: tuple[Revocation, ...]
    trusted: tuple[Trusted, ...]
    gateways: int


def basis_of(
    state: PolicyState, routes: Mapping[str, Mapping[str, object]], principals: Sequence[Principal], now: datetime
) -> Basis:
    """What decisions at a moment are made from, for comparing. ``routes`` are attributes by name."""
    return Basis(
        state=state,
        routes=tuple((name, _sorted(known)) for name, known in sorted(routes.items())),
        principals=tuple(sorted((one.id, _sorted(one.attributes)) for one in principals)),
        hour=(now.weekday(), now.hour),
    )


def newcomers(before: Basis | None, after: Basis) -> set[str]:
    """Who came while policies or routes changed: their tokens of ours may be of before, and no rule knew them then."""
    if before is None or (before.state, before.routes) == (after.state, after.routes):
        return set()
    return {name for name, _ in after.principals} - {name for name, _ in before.principals}


def _sorted(attributes: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(attributes.items()))
