"""A gateway on another machine than its gnomon: Envoy gets its routes from there over mutual TLS.

This process keeps that Envoy running, keeps on disk what it serves, renews its certificate, and carries its logs,
counts and questions to gnomon. Without it, or without gnomon, Envoy goes on with what it has.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from inventory.model import Revision, utc_now
from inventory.settings import Settings
from router.errors import GatewayError
from router.gateways.envoy import admin, lastgood, membership, stats, switch, wire
from router.gateways.envoy.binary import envoy_binary
from router.gateways.envoy.bootstrap import MEMBER, Control, bootstrap, certificate
from router.gateways.envoy.files import Files
from router.gateways.envoy.keeper import Keeper, kept_form
from router.gateways.envoy.process import EnvoyProcess
from router.gateways.envoy.shipping import Shipper
from router.gateways.envoy.start import start_of, write_certificate
from router.governance import Governance
from router.identity import certificates
from router.io.addresses import own_addresses
from router.io.enrol import fleet_folder

log = logging.getLogger(__name__)

_FIRST_SECONDS = 3.0
"""How long gnomon is waited for at the start before what is on disk is served instead."""

_AGAIN_SECONDS = 0.5
_SECOND = 1.0


class ExpelledError(GatewayError):
    """gnomon wants this gateway no longer."""


class JoinedGateway:
    """One gateway that has joined. ``run`` it once."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is started. GatewayError where it has not joined, or where there is no Envoy here."""
        self._settings, self._files = settings, Files(settings.state_folder)
        self.name, self._control, self._authority, self._own = membership.read(settings.state_folder)
        folder = fleet_folder(settings.state_folder)
        self._pem = folder / membership.OWN
        self._start = start_of(settings, self._files)._replace(node=self.name, control=self._where(folder))
        self._keeper = Keeper(self._files, self._start)
        # Nobody waits for this process: Envoy gets its routes elsewhere.
        self._keeper.hurry()
        self._served = {one.route: one for one in lastgood.load(self._files.lastgood)}
        self._governance = lastgood.governance(self._files.governance)
        self._unkept = False
        self._attended = asyncio.Event()
        self._expelled = asyncio.Event()
        self._outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue(64)
        self._counted: dict[str, int] | None = None
        self._off: set[str] = set()
        self._channel: Any = None
        self._said = ""
        self.process = EnvoyProcess(
            envoy_binary(),
            self._files,
            address=settings.gateway_address,
            port=settings.gateway_port,
            drain=settings.gateway_drain,
            detached=True,
        )
        self.process.before_again = lambda: self._form() if not self._attended.is_set() else None

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. GatewayError where it cannot start, or where gnomon expelled it."""
        await asyncio.to_thread(self._files.prepare)
        write_certificate(self._settings, self._files)
        await asyncio.to_thread(self._write_secret)
        parts = [asyncio.create_task(part) for part in (self._attend(stop), self._renew(), self._tunnels())]
        parts += [asyncio.create_task(one.run(self._ship)) for one in self._shippers()]
        ends = [asyncio.create_task(one.wait()) for one in (stop, self._expelled)]
        try:
            await asyncio.wait([*ends, asyncio.create_task(self._attended.wait())],
                               timeout=_FIRST_SECONDS, return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            if not self._expelled.is_set():
                await self.process.start(self._form())
                parts.append(asyncio.create_task(self._watch()))
                await asyncio.wait([*ends, *parts], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*parts, *ends):
                task.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
            await self.process.stop()
        if self._expelled.is_set():
            raise ExpelledError(f"{self._control} expelled this gateway, {self.name}: it serves no longer")
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _write_secret(self) -> None:
        """Say to Envoy where its own certificate is, in a file that it looks at."""
        assert self._start.control is not None
        own = json.dumps(certificate(str(self._pem), str(self._pem), MEMBER))
        Path(self._start.control.secret_file).write_text(own, encoding="utf-8")

    def _where(self, folder: Path) -> Control:
        host, _, port = self._control.rpartition(":")
        secret = self._files.folder / "member-certificate.json"
        authority = str(folder / membership.AUTHORITY)
        return Control(host.strip("[]"), int(port), certificates.CONTROL, str(secret), authority)

    def _form(self) -> dict[str, Any]:
        """What Envoy starts with: gnomon's word where it is there, else what is on disk."""
        if self._attended.is_set():
            return bootstrap(self._start)
        try:
            form = kept_form(self._files, self._start)
        except (OSError, ValueError, TypeError) as error:
            raise GatewayError(f"{self._control} does not answer, and nothing was served here before") from error
        log.warning("%s does not answer: what was served last is served", self._control)
        return form

    def _connect(self) -> Any:
        credentials = grpc.ssl_channel_credentials(self._authority, self._own.key, self._own.certificate)
        options = [*wire.OPTIONS, ("grpc.ssl_target_name_override", certificates.CONTROL),
                   ("grpc.max_reconnect_backoff_ms", 1000)]  # fmt: skip
        return grpc.aio.secure_channel(self._control, credentials, options=options)

    async def _attend(self, stop: asyncio.Event) -> None:
        """Hear what gnomon says, over one connection after the other, until it says that it expelled this gateway."""
        while not stop.is_set():
            self._channel = channel = self._connect()
            self._counted = None
            try:
                async for message in wire.stubs(channel)[0](self._words()):
                    self._attended.set()
                    self._said = ""
                    await self._hear(message)
            except grpc.aio.AioRpcError as error:
                self._lost(error)
            except asyncio.CancelledError:
                # The channel was closed for a new certificate; or this is the end.
                if _ending():
                    raise
            finally:
                self._attended.clear()
                await channel.close()
            if self._expelled.is_set():
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _lost(self, error: Any) -> None:
        if error.code() is grpc.StatusCode.PERMISSION_DENIED and error.details() == wire.EXPELLED:
            self._expelled.set()
        if "max connection age" in str(error.details()):
            # A connection is made anew before the certificate that it began with ends.
            return
        if certificates.begins_and_ends(self._own.certificate)[1] <= utc_now():
            words = "the certificate has ended: join anew, by a new token"
        else:
            words = f"{error.code().name.lower().replace('_', ' ')}: {str(error.details())[:300]}"
        if words != self._said:
            log.warning("%s is not connected, and Envoy goes on with what it has: %s", self._control, words)
        self._said = words

    async def _words(self) -> AsyncIterator[dict[str, Any]]:
        """What this gateway says: each second what it counted, and at once what it was asked."""
        yield self._presence()
        while True:
            try:
                yield await asyncio.wait_for(self._outgoing.get(), _SECOND)
            except TimeoutError:
                yield await self._counts()

    async def _counts(self) -> dict[str, Any]:
        said = self._presence()
        try:
            pattern = f"{stats.PATTERN}|{stats.COPIES}"
            now = await asyncio.to_thread(admin.counters, self._files.admin, pattern)
        except OSError:
            return said
        before, self._counted = self._counted, now
        # Envoy begins anew after a restart: what it does not have any more must not be added to what it will.
        whole = before is None or before.keys() - now.keys() != set()
        changed = now if whole or before is None else {k: v for k, v in now.items() if before.get(k) != v}
        return {**said, "counters": changed, "whole": whole}

    def _presence(self) -> dict[str, Any]:
        """Where it is, and how often it was started again."""
        return {"address": self._address(), "restarts": self.process.restarts, "machine": own_addresses()}

    def _address(self) -> str:
        host = self._settings.gateway_address
        return f"[{host}]:{self._settings.gateway_port}" if ":" in host else f"{host}:{self._settings.gateway_port}"

    async def _hear(self, message: dict[str, Any]) -> None:
        for text in message.get("served", ()):
            revision = Revision.model_validate_json(text)
            self._served[revision.route] = revision
        for route in message.get("gone", ()):
            self._served.pop(route, None)
        if "all" in message:
            wanted = set(message["all"])
            self._served = {route: one for route, one in self._served.items() if route in wanted}
        if "governance" in message:
            self._governance = Governance.read(message["governance"])
        self._unkept = self._unkept or bool(message.keys() & {"served", "gone", "all", "governance"})
        if "off" in message:
            self._off = set(message["off"])
            await self._switch()
        if "warm" in message:
            await asyncio.to_thread(self._wait_warm)
            await self._outgoing.put({"warmed": message["warm"]})

    def _wait_warm(self) -> None:
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if not admin.warming(self._files.admin):
                    return
            time.sleep(0.02)

    async def _switch(self) -> None:
        """Have Envoy copy no requests of the routes that are switched off. It forgets that when it is restarted."""
        with contextlib.suppress(OSError):
            now = await asyncio.to_thread(switch.switched_off, self._files.admin)
            for route in now ^ self._off:
                await asyncio.to_thread(switch.turn, self._files.admin, route, off=route in self._off)

    async def _watch(self) -> None:
        """Each second: keep what is served, and follow gnomon again once it is back."""
        while True:
            await asyncio.sleep(_SECOND)
            await self._switch()
            try:
                if self._unkept:
                    self._unkept = False
                    kept, held = dict(self._served), self._governance
                    self._unkept = not await asyncio.to_thread(self._keeper.keep, kept, held) or self._unkept
            except OSError as error:
                self._unkept = True
                log.warning("the last good configuration cannot be kept: %s", error)
            if self._attended.is_set() and not self._follows():
                try:
                    await self.process.replace(bootstrap(self._start))
                    log.info("Envoy follows %s again", self._control)
                except (GatewayError, OSError) as error:
                    log.warning("Envoy goes on with what was served last: %s", error)

    def _follows(self) -> bool:
        """Whether the Envoy that runs asks gnomon for its routes."""
        try:
            kept = self.process.configuration
            return kept is not None and "dynamic_resources" in json.loads(kept.read_bytes())
        except (OSError, ValueError):
            return False

    async def _renew(self) -> None:
        """Have the next certificate signed when the one in use is half over."""
        while True:
            begun, ends = certificates.begins_and_ends(self._own.certificate)
            due = (begun + (ends - begun) / 2 - utc_now()).total_seconds()
            await asyncio.sleep(min(max(due, _AGAIN_SECONDS), 3600.0))
            if due > 0 or not self._attended.is_set():
                continue
            try:
                asked = certificates.request(self.name)
                signed = await wire.stubs(self._channel)[2](asked.certificate, timeout=10.0)
                own = asked._replace(certificate=signed)
                await asyncio.to_thread(lastgood.write, self._pem, (own.certificate + own.key).decode("ascii"))
            except (grpc.aio.AioRpcError, grpc.aio.UsageError, OSError) as error:
                log.warning("the certificate, good until %s, is not renewed yet: %s", ends.isoformat(), error)
                continue
            except asyncio.CancelledError:
                # The connection ended meanwhile. It is asked for again over the next one.
                if _ending():
                    raise
                continue
            self._own = own
            log.info("the certificate was renewed, and is good until %s", certificates.begins_and_ends(signed)[1])
            await self._channel.close()

    def _shippers(self) -> list[Shipper]:
        return [Shipper(self._files.calls, wire.CALLS), Shipper(self._files.capture, wire.CAPTURE)]

    async def _ship(self, kind: str, file: str, end: int, lines: bytes) -> bool:
        """Whether gnomon kept these lines."""
        if not self._attended.is_set():
            return False
        told = ((wire.KIND, kind), (wire.FILE, file), (wire.END, str(end)))
        try:
            await wire.stubs(self._channel)[1](lines, metadata=told, timeout=30.0)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError):
            return False
        except asyncio.CancelledError:
            if _ending():
                raise
            return False
        return True

    async def _tunnels(self) -> None:
        """Carry questions of this Envoy to the authorisation service beside gnomon."""
        with contextlib.suppress(FileNotFoundError):
            self._files.ask.unlink()
        server = await asyncio.start_unix_server(self._tunnel, str(self._files.ask))
        self._files.ask.chmod(0o600)
        async with server:
            await server.serve_forever()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def outgoing() -> AsyncIterator[bytes]:
            while chunk := await reader.read(65_536):
                yield chunk

        try:
            if self._attended.is_set():
                async for chunk in wire.stubs(self._channel)[3](outgoing()):
                    writer.write(chunk)
                    await writer.drain()
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, OSError):
            log.debug("a question could not be asked")
        finally:
            writer.close()


def _ending() -> bool:
    """Whether this task is asked to end, and not only a call that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
