"""The token service: OAuth over HTTP, bounded, with nothing decided here (``router.identity.exchange``)."""

import asyncio
import ssl
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from time import monotonic

from aiohttp import web

from inventory.model import ApiKey, Principal, Revocation, utc_now
from inventory.store import Store, StoreError
from router.errors import GatewayError
from router.identity import exchange
from router.identity.exchange import Reply
from router.identity.signing import SigningKey, public_jwks
from router.identity.trust import Held
from router.io.keyring import Keyring

MOST_BODY = 64 * 1024
BODY_SECONDS = 5.0
MOST_FAILURES = 60
"""Times a minute that callers of one network may fail to prove who they are, before they are not heard."""

MOST_NETWORKS = 10_000
TURN_SECONDS = 30.0
JWKS_SECONDS = 300

Grants = Callable[[Principal], Collection[str]]


class StoreDesk:
    """What the service knows, from the store."""

    def __init__(self, store: Store, grants: Grants) -> None:
        self._store = store
        self.grants = grants

    def held(self) -> list[Held]:
        """The issuers that are believed, with their keys."""
        return list(self._store.issuers.held())

    def key(self, key_id: str) -> ApiKey | None:
        """The API key of an id."""
        return self._store.keys.get(key_id)

    def revoked(self) -> list[Revocation]:
        """What is no longer believed now."""
        return self._store.revocations.list(utc_now())

    def seen(self, principal: Principal, key_id: str | None) -> None:
        """Keep a caller who got a token."""
        self._store.principals.seen([principal])
        if key_id is not None:
            self._store.keys.used(key_id, utc_now())

    def revoke(self, revocation: Revocation) -> None:
        """Believe a token no longer."""
        self._store.revocations.add(revocation)


class TokenService:
    """Serves tokens until it is stopped. ``url`` is its own as callers and gateways know it."""

    def __init__(
        self,
        store: Store,
        grants: Grants,
        keyring: Keyring,
        *,
        url: str,
        address: str,
        port: int,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.keys: tuple[SigningKey, ...] = ()
        self._desk, self._keyring = StoreDesk(store, grants), keyring
        self._address, self._port, self._certificate = address, port, certificate
        self._failures: dict[str, tuple[float, int]] = {}
        self._runner: web.AppRunner | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. GatewayError where it cannot listen or has no key."""
        await self.start()
        try:
            while not stop.is_set():
                await self._turn()
                try:
                    await asyncio.wait_for(stop.wait(), TURN_SECONDS)
                except TimeoutError:
                    continue
        finally:
            await self.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen."""
        await self._turn()
        app = web.Application(client_max_size=MOST_BODY)
        app.add_routes(
            [
                web.post("/token", self._token),
                web.post("/revoke", self._revoke),
                web.get("/jwks", self._jwks),
                web.get("/.well-known/oauth-authorization-server", self._metadata),
                web.get("/.well-known/openid-configuration", self._metadata),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address, self._port, ssl_context=self._tls()).start()
        except OSError as error:
            await self._runner.cleanup()
            raise GatewayError(
                f"the token service cannot listen on {self._address}:{self._port}: {error.strerror}; set token_port"
            ) from error

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _turn(self) -> None:
        try:
            self.keys = await asyncio.to_thread(self._keyring.turn, utc_now())
        except OSError as error:
            raise GatewayError(f"no signing key can be made in {self._keyring.folder}: {error.strerror}") from error

    def _tls(self) -> ssl.SSLContext | None:
        if self._certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._certificate)
        return context

    async def _token(self, request: web.Request) -> web.Response:
        network = _network(request.remote or "")
        if self._failed_often(network):
            return _response(exchange.error(429, "slow_down", "too many tries failed from your network: wait a minute"))
        form = await _form(request)
        if form is None:
            return _response(exchange.error(400, "invalid_request", "a form in the body is asked for, each name once"))
        authorization = request.headers.get("authorization", "")
        reply = await self._answer(lambda: exchange.token(form, authorization, self._desk, self.keys, self.url))
        if reply.failed:
            self._count(network)
        return _response(reply)

    async def _revoke(self, request: web.Request) -> web.Response:
        form = await _form(request)
        if form is None:
            return _response(exchange.error(400, "invalid_request", "a form in the body is asked for, each name once"))
        return _response(await self._answer(lambda: exchange.revoke(form, self._desk, self.keys, self.url)))

    async def _answer(self, asked: Callable[[], Reply]) -> Reply:
        try:
            return await asyncio.to_thread(asked)
        except StoreError:
            return exchange.error(503, "temporarily_unavailable", "the inventory cannot be read now")

    async def _jwks(self, request: web.Request) -> web.Response:
        del request
        headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}"}
        return web.json_response(public_jwks(self.keys), headers=headers)

    async def _metadata(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            exchange.metadata(self.url), headers={"Cache-Control": f"public, max-age={JWKS_SECONDS}"}
        )

    def _failed_often(self, network: str) -> bool:
        since, count = self._failures.get(network, (0.0, 0))
        return count >= MOST_FAILURES and monotonic() - since < 60

    def _count(self, network: str) -> None:
        since, count = self._failures.get(network, (monotonic(), 0))
        if monotonic() - since >= 60:
            since, count = monotonic(), 0
        if len(self._failures) >= MOST_NETWORKS:
            self._failures.clear()
        self._failures[network] = (since, count + 1)


def _network(address: str) -> str:
    from router.audit.lines import network_of

    return network_of(address)


async def _form(request: web.Request) -> Mapping[str, str] | None:
    """The form of a request; None for a body that is none, or has a name twice (RFC 6749, 3.2)."""
    if request.content_type != "application/x-www-form-urlencoded":
        return None
    try:
        async with asyncio.timeout(BODY_SECONDS):
            posted = await request.post()
    except (ValueError, LookupError, TimeoutError, web.HTTPRequestEntityTooLarge):
        return None
    if len(set(posted)) != len(posted):
        return None
    return {name: value for name, value in posted.items() if isinstance(value, str)}


def _response(reply: Reply) -> web.Response:
    return web.json_response(reply.body, status=reply.status, headers=dict(reply.headers))
