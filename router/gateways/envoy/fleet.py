"""Gateways of other machines, as the control plane meets them: xDS and all else over mutual TLS.

Nobody gets past the handshake without a certificate of the fleet's authority, and nobody gets an answer whose
enrolment is not that of a member. A stream lives no longer than the certificate it came with.
"""

import asyncio
import contextlib
import errno
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc

from inventory.model import Member, utc_now
from router.errors import GatewayError
from router.gateways import Joint, node_calls_file
from router.gateways.envoy import wire
from router.gateways.envoy.ads import AdsServer
from router.gateways.envoy.attending import Attending, Sent, Serving
from router.gateways.envoy.files import Files
from router.gateways.envoy.stats import delta, together
from router.identity import certificates
from router.identity.certificates import Pair

log = logging.getLogger(__name__)

_TICK = 0.25
_WARM_SECONDS = 5.0
_OWN_LIFE = timedelta(days=7)
_LONGEST_CONNECTION = timedelta(days=1)


class Fleet:
    """The control plane's side. Used from one event loop."""

    def __init__(self, ads: AdsServer, files: Files, serving: Serving, authority: Pair, life: timedelta) -> None:
        """Nothing is started. ``life`` is how long the certificates of members are good."""
        self._ads, self._files, self._serving = ads, files, serving
        self._authority, self._life = authority, life
        self._own = certificates.control(authority, utc_now(), _OWN_LIFE)
        self._members: dict[str, Member] = {}
        self._attending: dict[str, Attending] = {}
        self._streams: dict[str, set[asyncio.Event]] = {}
        self._shipped: dict[tuple[str, str], tuple[str, int]] = {}
        self._renewed: dict[str, Member] = {}
        self._server: Any = None
        self.off: frozenset[str] = frozenset()
        """The routes whose copying to shadows is switched off."""

    async def start(self, address: str, port: int) -> None:
        """Listen. GatewayError where the port cannot be had."""
        # A peer shows its certificate once a connection: it has to make another before that ends, by the next one.
        age = [("grpc.max_connection_age_ms", self._milliseconds(0.35)),
               ("grpc.max_connection_age_grace_ms", self._milliseconds(0.05))]  # fmt: skip
        self._server = grpc.aio.server(options=[*wire.OPTIONS, *age])
        self._server.add_generic_rpc_handlers(
            (self._ads.handler(self._xds), wire.handlers(self._attend, self._ship, self._renew, self._tunnel))
        )
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        configuration = self._configuration()
        credentials = grpc.dynamic_ssl_server_credentials(configuration, self._turn, require_client_authentication=True)
        try:
            bound = self._server.add_secure_port(where, credentials)
        except RuntimeError:
            bound = 0
        if not bound:
            raise GatewayError(f"gateways of other machines cannot be served on {where}: is the port in use?")
        await self._server.start()

    def _milliseconds(self, share: float) -> int:
        """A share of a certificate's life, as gRPC takes it."""
        return int(min(self._life * share, _LONGEST_CONNECTION).total_seconds() * 1000)

    async def stop(self) -> None:
        """Close every stream and stop listening."""
        if self._server is not None:
            await self._server.stop(0.2)
            self._server = None

    def admit(self, members: Iterable[Member]) -> None:
        """Who belongs to the fleet from now on. The streams of whoever does not are cut."""
        self._members = {one.gateway: one for one in members}
        for name, streams in self._streams.items():
            if self._refused(name) is not None:
                for over in streams:
                    over.set()
        for name in [name for name in self._attending if name not in self._members]:
            del self._attending[name]

    def renewed(self) -> list[Member]:
        """Members that got another certificate since this was asked last."""
        found, self._renewed = list(self._renewed.values()), {}
        return found

    def joints(self) -> list[Joint]:
        """How each member stands, with what is new of its routes since this was asked last."""
        found = []
        for one in self._attending.values():
            if self._refused(one.name) is not None:
                continue
            news, one.news = one.news, {}
            healthy = one.connected > 0 and self._ads.node(one.name) is not None
            unknown = one.counters.get("http.edge.no_route", 0)
            found.append(Joint(one.name, one.address, one.machine, healthy, one.restarts, unknown, news))
        return found

    def moved(self) -> dict[str, int]:
        """How far the counters of all members moved since this was asked last."""
        total: dict[str, int] = {}
        for one in self._attending.values():
            total = together(total, delta(one.counted, one.counters))
            one.counted = dict(one.counters)
        return total

    def counters(self, pattern: str) -> dict[str, int]:
        """The counters of that pattern, of all members together, each since its Envoy was started."""
        asked, total = re.compile(pattern), dict[str, int]()
        for one in self._attending.values():
            total = together(total, {name: value for name, value in one.counters.items() if asked.search(name)})
        return total

    def switch(self, off: frozenset[str]) -> None:
        """The copying of these routes, and of no others, is switched off everywhere."""
        self.off = off
        for one in self._attending.values():
            one.wake.set()

    async def warmed(self, node: str) -> None:
        """Wait until a member's Envoy resolved the names of its new clusters; no longer than it takes to give up."""
        one = self._attending.get(node)
        if one is None or not one.connected:
            return
        one.warm += 1
        waiting = one.warmed[one.warm] = asyncio.get_running_loop().create_future()
        one.wake.set()
        await asyncio.wait([waiting], timeout=_WARM_SECONDS)
        one.warmed = {number: future for number, future in one.warmed.items() if future is not waiting}

    async def _xds(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        name = await self._proved(context)
        with self._lives(name, context) as over:
            async for message in self._ads.serve(_until(requests, over), name):
                yield message

    async def _attend(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[dict[str, Any]]:
        name = await self._proved(context)
        one = self._attending.setdefault(name, Attending(name))
        sent = Sent()
        one.connected += 1
        log.info("gateway %s attends", name)
        with self._lives(name, context) as over:
            reader = asyncio.create_task(self._hear(_until(requests, over), one))
            try:
                while not reader.done():
                    one.wake.clear()
                    for message in self._messages(one, sent):
                        yield message
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(one.wake.wait(), _TICK)
            finally:
                one.connected -= 1
                reader.cancel()
                log.info("gateway %s attends no longer", name)
        # What the next connection would be told too, but at once.
        await self._proved(context)

    def _messages(self, one: Attending, sent: Sent) -> Iterator[dict[str, Any]]:
        good, governance = self._serving.good(), self._serving.governance()
        one.look(self._ads.node(one.name), self._serving)
        if sent.off != self.off:
            sent.off = self.off
            yield {"off": sorted(self.off)}
        if sent.governance is not governance:
            # Before the routes: what is enforced must be known to whoever serves them.
            sent.governance = governance
            yield {"governance": governance.kept()}
        yield from one.messages(sent, good, complete=self._ads.complete)
        if sent.warm < one.warm:
            sent.warm = one.warm
            yield {"warm": one.warm}

    async def _hear(self, requests: AsyncIterator[Any], one: Attending) -> None:
        try:
            async for message in requests:
                one.hear(message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("gateway %s says what nobody understands: %r", one.name, error)
        finally:
            one.wake.set()

    async def _ship(self, lines: bytes, context: Any) -> bytes:
        name = await self._proved(context)
        told = dict(context.invocation_metadata() or ())
        kind, place = str(told.get(wire.KIND)), (str(told.get(wire.FILE)), int(told.get(wire.END, 0)))
        if kind not in {wire.CALLS, wire.CAPTURE} or not lines.endswith(b"\n"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "these are no lines of a log")
        before = self._shipped.get((name, kind))
        # What came and was not heard to have come is sent again.
        if before is None or before[0] != place[0] or before[1] < place[1]:
            calls = kind == wire.CALLS
            path = node_calls_file(self._files.calls, name) if calls else self._files.capture
            try:
                await asyncio.to_thread(_append, path, lines, alone=calls)
            except OSError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, f"the lines cannot be kept: {error.strerror}")
            self._shipped[name, kind] = place
        return b""

    async def _renew(self, asked: bytes, context: Any) -> bytes:
        name = await self._proved(context)
        now, known = utc_now(), self._members[name]
        try:
            signed = certificates.sign_gateway(self._authority, asked, name, known.enrolment, now, self._life)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise
        self._renewed[name] = known.model_copy(update={"ends_at": now + self._life})
        return signed

    async def _tunnel(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        name = await self._proved(context)
        with self._lives(name, context) as over:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._files.ask))
            except OSError:
                return

            async def forward() -> None:
                async for chunk in _until(requests, over):
                    writer.write(chunk)
                    await writer.drain()
                writer.write_eof()

            task = asyncio.create_task(forward())
            try:
                while chunk := await reader.read(65_536):
                    yield chunk
            finally:
                task.cancel()
                writer.close()

    async def _proved(self, context: Any) -> str:
        """The member that the certificate of this connection is of; the call ends where it is of none."""
        shown = context.auth_context().get("x509_pem_cert") or [b""]
        try:
            named = certificates.named(shown[0])
        except ValueError as error:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(error))
            raise
        why = self._refused(named.gateway, named.enrolment)
        if why is None and named.ends_at <= utc_now():
            why = "the certificate has ended"
        if why is not None:
            log.warning("gateway %s is refused: %s", named.gateway, why)
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
        return named.gateway

    def _refused(self, name: str, enrolment: str | None = None) -> str | None:
        known = self._members.get(name)
        if known is None:
            return "no gateway of that name joined"
        if enrolment is not None and known.enrolment != enrolment:
            return "another gateway joined by that name since"
        return wire.EXPELLED if known.expelled_at is not None else None

    @contextlib.contextmanager
    def _lives(self, name: str, context: Any) -> Iterator[asyncio.Event]:
        """What is set when a stream is over: when its certificate ends, and when its gateway is expelled."""
        over = asyncio.Event()
        ends = certificates.named(context.auth_context()["x509_pem_cert"][0]).ends_at
        seconds = max(0.0, (ends - utc_now()).total_seconds())
        timer = asyncio.get_running_loop().call_later(seconds, over.set)
        streams = self._streams.setdefault(name, set())
        streams.add(over)
        try:
            yield over
        finally:
            timer.cancel()
            streams.discard(over)

    def _configuration(self) -> Any:
        return grpc.ssl_server_certificate_configuration(
            [(self._own.key, self._own.certificate)], root_certificates=self._authority.certificate
        )

    def _turn(self) -> Any:
        """Asked at each handshake, from a thread of gRPC's: our next certificate, once the one we have is half over."""
        begun, ends = certificates.begins_and_ends(self._own.certificate)
        now = utc_now()
        if now < begun + (ends - begun) / 2:
            return None
        self._own = certificates.control(self._authority, now, _OWN_LIFE)
        return self._configuration()


async def _until(requests: AsyncIterator[Any], over: asyncio.Event) -> AsyncIterator[Any]:
    """What a stream says, until it is over."""
    ended = asyncio.create_task(over.wait())
    try:
        while True:
            said = asyncio.ensure_future(anext(requests, None))
            await asyncio.wait({said, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not said.done():
                said.cancel()
                return
            message = said.result()
            if message is None:
                return
            yield message
    finally:
        ended.cancel()


def _append(path: Path, lines: bytes, *, alone: bool) -> None:
    """In one write, so that nobody else's lines come between. ``alone``: nobody else writes to it."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        if os.write(handle, lines) != len(lines):
            if alone:
                os.ftruncate(handle, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(handle)
