"""Everything about callers that runs beside a controller: who they are, what is enforced, what is recorded.

One place that makes the parts and hands them to each other; each of them is a module of its own.
"""

import asyncio
import logging
import threading
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

from inventory.model import ApiKey, Issuer, Principal, utc_now
from inventory.settings import Settings
from inventory.store import Store
from router.audit.force import Watched
from router.audit.limits import Limiter
from router.audit.recorder import Recorder
from router.controller import Beside, Companion
from router.errors import GatewayError
from router.fleet import FleetKeeper
from router.gateways import ask_socket, calls_file, node_calls_file
from router.governor import Governor, Own
from router.identity.signing import public_jwks
from router.io.authorize import Authorizer
from router.io.keyring import Keyring
from router.io.refresh import Refresher
from router.io.tokens import TokenService
from router.policy.effective import routes_of
from router.policy.engines import load

log = logging.getLogger(__name__)

MOST_BEHIND = 64 * 1024 * 1024
"""Bytes that may wait to be recorded before calls that must be recorded are refused."""


class Governing:
    """The parts for one gateway over one store."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Nothing is started or read."""
        self._store, self._settings = store, settings
        state = settings.state_folder.absolute()
        self._tokens: TokenService | None = None
        if settings.token_port:
            self._tokens = TokenService(
                store,
                self._grants,
                Keyring(state / "keys"),
                url=token_url(settings),
                address=settings.gateway_address,
                port=settings.token_port,
                certificate=_certificate(settings),
            )
        keep = timedelta(days=settings.calls_days) if settings.calls_days else None
        # Engines are not for several threads at once: each part has its own.
        self._keep, self._limiter = keep, Limiter()
        self._recorder = self._recorder_of(calls_file(state), settings.gateway_id)
        self._authorizer = Authorizer(store, ask_socket(state), self._watched(), self._recording)
        self._granting, self._one_at_a_time = self._watched(), threading.Lock()

    def companions(self) -> list[Companion]:
        """What runs beside the controller."""
        parts = [self._govern, self._record, self._authorize, self._refresh]
        return [
            *parts,
            *([self._serve] if self._tokens else []),
            *([self._join] if self._settings.join_address else []),
        ]

    async def _join(self, here: Beside, stop: asyncio.Event) -> None:
        calls = calls_file(self._settings.state_folder.absolute())

        def recorder(gateway: str) -> Recorder:
            return self._recorder_of(node_calls_file(calls, gateway), gateway)

        try:
            await FleetKeeper(self._store, self._settings, recorder).run(here, stop)
        except GatewayError as error:
            # The gateway here serves without it.
            log.error("no gateway of another machine is served: %s", error)  # noqa: TRY400 - one sentence

    def _recorder_of(self, path: Path, gateway: str) -> Recorder:
        return Recorder(self._store, path, self._watched(), gateway=gateway, limiter=self._limiter, keep=self._keep)

    async def _govern(self, here: Beside, stop: asyncio.Event) -> None:
        certificates = self._settings.gateway_client_ca is not None
        name = self._settings.gateway_id
        await Governor(here.store, here.gateway, name, own=self._own, certificates=certificates).run(stop)

    async def _record(self, here: Beside, stop: asyncio.Event) -> None:
        del here
        await self._recorder.run(stop)

    async def _authorize(self, here: Beside, stop: asyncio.Event) -> None:
        del here
        await self._authorizer.run(stop)

    async def _refresh(self, here: Beside, stop: asyncio.Event) -> None:
        await Refresher(here.store).run(stop)

    async def _serve(self, here: Beside, stop: asyncio.Event) -> None:
        del here
        assert self._tokens is not None
        try:
            await self._tokens.run(stop)
        except GatewayError as error:
            # The gateway serves without it: callers have their issuers' tokens still.
            log.error("no tokens are served: %s", error)  # noqa: TRY400 - one sentence

    def _own(self) -> Own:
        """Our token service, once it has a key."""
        if self._tokens is None or not self._tokens.keys:
            return None, None
        return self._tokens.url, public_jwks(self._tokens.keys)

    def _grants(self, principal: Principal) -> Collection[str]:
        """The routes that a caller may use, observed ones too: they may be enforced while its token lives."""
        with self._one_at_a_time:
            force = self._granting()
            attributes = {name: access.attributes for name, access in force.routes.items()}
            return routes_of(principal, attributes, force.enforced, force.candidate, force.percent, utc_now())

    def _watched(self) -> Watched:
        return Watched(self._store, load, self._issuers, self._keys)

    def _recording(self) -> bool:
        return not self._recorder.failing and self._recorder.behind < MOST_BEHIND

    def _issuers(self) -> Mapping[str, Issuer]:
        return {one.url: one for one in self._store.issuers.list()}

    def _keys(self) -> Mapping[str, ApiKey]:
        return {one.id: one for one in self._store.keys.list()}


def token_url(settings: Settings) -> str:
    """Our token service as callers and gateways know it."""
    if settings.token_url is not None:
        return settings.token_url.rstrip("/")
    scheme = "https" if settings.gateway_certificate is not None else "http"
    host = f"[{settings.gateway_address}]" if ":" in settings.gateway_address else settings.gateway_address
    return f"{scheme}://{host}:{settings.token_port}"


def _certificate(settings: Settings) -> tuple[Path, Path] | None:
    if settings.gateway_certificate is None or settings.gateway_key is None:
        return None
    return settings.gateway_certificate, settings.gateway_key
