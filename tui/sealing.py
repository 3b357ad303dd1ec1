"""Tries the direct paths of routes from this machine and keeps what came of it, for whoever asks: person or daemon."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from inventory.model import (
    Control,
    Endpoint,
    GatewayStatus,
    Path,
    Revision,
    RouteSpec,
    Routing,
    Scope,
    Seal,
    Verdict,
    utc_now,
)
from inventory.sealing import direct_paths, judge
from inventory.settings import Settings
from inventory.store import Store, StoreError
from router.io.addresses import own_addresses
from router.stages import stages
from scanner.bypass import Trial
from scanner.together import together
from tui.convergence import alive

log = logging.getLogger(__name__)

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - recognised, not listened on
_LOOK_EVERY = 60.0


class Doors(NamedTuple):
    """What is known of the gateways that serve a route: where they answer, and every address of their machines."""

    answering: tuple[tuple[str, int], ...]
    machines: frozenset[str]


class Sealer:
    """Makes trials. ``gateway`` is where the gateway is reached from here, where its own word would mislead."""

    def __init__(self, store: Store, settings: Settings, *, gateway: tuple[str, int] | None = None) -> None:
        """Raises SignatureError for settings whose signatures are wrong. Nothing is sent yet."""
        self._store = store
        self._settings = settings
        self._gateway = gateway
        self._trial = Trial(settings)

    def of(self, spec: RouteSpec) -> list[Endpoint]:
        """The endpoints that a route leads to, as far as the inventory knows them."""
        ids = dict.fromkeys(one for one in (spec.endpoint, *(b.endpoint for b in spec.backends)) if one)
        found = {}
        for id_ in ids:
            with contextlib.suppress(LookupError):
                endpoint = self._store.endpoints.get(id_)
                found[endpoint.id] = endpoint
        return list(found.values())

    def paths(self, spec: RouteSpec) -> dict[str, tuple[Path, ...]]:
        """What would be tried, by endpoint."""
        doors = self._doors(spec)
        return {one.id: direct_paths(one, set(doors.answering)) for one in self.of(spec)}

    def machines(self, spec: RouteSpec) -> frozenset[str]:
        """Every address of the machines that gateways which serve a route run on."""
        return self._doors(spec).machines

    async def attempt(self, spec: RouteSpec, why: str) -> list[Seal]:
        """Try every direct path of a route's endpoints, and judge. Nothing is written."""
        doors = await asyncio.to_thread(self._doors, spec)
        endpoints = await asyncio.to_thread(self.of, spec)
        control = await self._control(spec, doors)
        return await together(self._seal(one, spec, doors, control, why) for one in endpoints)

    def keep(self, revision: Revision, seals: Iterable[Seal]) -> list[Seal]:
        """Write trials down, and what follows for the routing of each endpoint."""
        served = stages([revision])
        return [self._store.seals.put(one, served.get(one.endpoint, Routing.DIRECT)) for one in seals]

    def _doors(self, spec: RouteSpec) -> Doors:
        gateways = self._store.gateways.of(spec.name)
        running = [one for one in alive(gateways, utc_now()) if spec.name in one.revisions]
        answering = [self._gateway] if self._gateway else [door for one in running for door in _doors_of(one)]
        return Doors(tuple(answering), frozenset(address for one in running for address in one.machine))

    async def _control(self, spec: RouteSpec, doors: Doors) -> Control | None:
        """The first gateway that leads to something alive; else the last that was asked."""
        control = None
        for address, port in doors.answering:
            control = await self._trial.control(address, port, spec.hosts[0], spec.path)
            if control.holds:
                break
        return control

    async def _seal(self, endpoint: Endpoint, spec: RouteSpec, doors: Doors, control: Control | None, why: str) -> Seal:
        scope = await asyncio.to_thread(self._scope_of, endpoint)
        tried = await self._trial.paths(direct_paths(endpoint, set(doors.answering)), scope)
        verdict, reason = judge(tried, control, doors.machines)
        return Seal(
            endpoint=endpoint.id, route=spec.name, at=utc_now(), who=self._settings.actor, why=why,
            vantage=socket.gethostname(), verdict=verdict, reason=reason, tried=tried, control=control,
        )  # fmt: skip

    def _scope_of(self, endpoint: Endpoint) -> Scope:
        """The scope that an endpoint is of. One that was removed allows what any scope allows by itself."""
        with contextlib.suppress(LookupError):
            if (known := self._store.scopes.get(endpoint.scope)) is not None:
                return known
        return Scope(name=endpoint.scope, site=endpoint.site, targets=(endpoint.address,), created_at=utc_now())


class SealKeeper:
    """Tries the seals again that grow old, as a part of the daemon. On a gateway's own machine it tries nothing.

    There it would prove nothing; a daemon that is to do it runs elsewhere, by ``gnomon serve --no-gateway``.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        """``settings.seal_interval`` is in seconds; 0 tries nothing again."""
        self._store = store
        self._settings = settings
        self._every = timedelta(seconds=settings.seal_interval)

    async def run(self, stop: asyncio.Event) -> None:
        """Look once a minute, until ``stop`` is set."""
        while not stop.is_set():
            try:
                await self.look(utc_now())
            except StoreError as error:
                log.warning("seals are not tried again: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_EVERY)

    async def look(self, now: datetime) -> list[Seal]:
        """Try again whatever was shown to be sealed too long ago. Only what proves something is kept."""
        old = [one for one in await asyncio.to_thread(self._store.seals.in_force) if now - one.at >= self._every]
        if not old:
            return []
        # Most daemons have no seal to look after, and signatures take half a second to read.
        sealer = await asyncio.to_thread(Sealer, self._store, self._settings)
        kept: list[Seal] = []
        for name in dict.fromkeys(one.route for one in old):
            revision = await asyncio.to_thread(self._store.routes.get, name)
            if revision is None or revision.spec is None or _at_home(sealer.machines(revision.spec)):
                continue
            seals = await sealer.attempt(revision.spec, "tried again by the daemon")
            telling = [one for one in seals if one.verdict is not Verdict.UNPROVED]
            kept += await asyncio.to_thread(sealer.keep, revision, telling)
        for one in kept:
            if one.verdict is Verdict.BYPASS:
                log.warning("route %s is not sealed any more: %s", one.route, one.reason)
        return kept


def _at_home(machines: frozenset[str]) -> bool:
    """Whether this is the machine of a gateway."""
    return bool(machines) and machines >= set(own_addresses())


def _doors_of(gateway: GatewayStatus) -> list[tuple[str, int]]:
    """Where a gateway may be reached: its own word, or every address of its machine where it listens on all."""
    host, _, port = gateway.address.rpartition(":")
    host = host.strip("[]")
    if host not in _EVERYWHERE:
        return [(host, int(port))]
    return [(one, int(port)) for one in gateway.machine if not one.lower().startswith("fe80:")]
