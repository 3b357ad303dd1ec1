"""Joining: how a gateway of another machine gets its first certificate.

One connection, by TLS, with the authority's own certificate: a fingerprint of it is in the token, so whoever joins
knows that nobody stands between before saying the secret. One line each way, in JSON.
"""

import asyncio
import contextlib
import fcntl
import hmac
import json
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from inventory.model import Member, utc_now
from inventory.store import Store, StoreError
from router.blocking import finished
from router.errors import GatewayError
from router.gateways.envoy import lastgood
from router.identity import certificates, invitations
from router.identity.certificates import Pair

log = logging.getLogger(__name__)

_MOST_BYTES = 16_384
_SECONDS = 10.0
_AT_ONCE = 16
_BARRIER = b"-----BEGIN PRIVATE KEY-----"


def fleet_folder(state_folder: Path) -> Path:
    """Where the authority of the fleet is, or what a gateway that joined has of it. Private to this user."""
    return state_folder.absolute() / "fleet"


def authority_of(state_folder: Path) -> Pair:
    """The authority on disk; made where there is none. GatewayError where it cannot be read or kept."""
    folder = fleet_folder(state_folder)
    path = folder / "authority.pem"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder):
            if not path.exists():
                made = certificates.authority(utc_now())
                lastgood.write(path, (made.certificate + made.key).decode("ascii"))
            if path.stat().st_mode & 0o077:
                raise GatewayError(f"others may read {path}: take their leave away, or delete it and invite anew")
            return pair_of(path)
    except OSError as error:
        raise GatewayError(f"the authority of the fleet cannot be kept under {folder}: {error.strerror}") from error


def pair_of(path: Path) -> Pair:
    """The certificate and key of one file. OSError, or GatewayError where they are not in it."""
    certificate, barrier, key = path.read_bytes().partition(_BARRIER)
    if not barrier or b"BEGIN CERTIFICATE" not in certificate:
        raise GatewayError(f"{path} holds no certificate with its key")
    return Pair(certificate, barrier + key)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class Joined(NamedTuple):
    """What a gateway has once it joined: its name, its certificate and key, the authority, and where to connect."""

    gateway: str
    own: Pair
    authority: bytes
    control: str


class Enrolment:
    """Signs the first certificate of gateways that were invited."""

    def __init__(
        self,
        store: Store,
        state_folder: Path,
        place: tuple[str, int],
        life: timedelta,
        admitted: Callable[[], Awaitable[None]],
    ) -> None:
        """Nothing is started. ``place`` is where to listen; the port behind it is where members connect.

        ``admitted`` is awaited when one has joined, before it hears so.
        """
        self._store, self._folder = store, fleet_folder(state_folder)
        self._authority = authority_of(state_folder)
        (self._address, self._port), self._life, self._admitted = place, life, admitted
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until ``stop`` is set. GatewayError where the port cannot be had."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self._folder / "authority.pem")
        try:
            server = await asyncio.start_server(
                self._accept, self._address, self._port, ssl=context, limit=_MOST_BYTES, ssl_handshake_timeout=_SECONDS
            )
        except OSError as error:
            raise GatewayError(
                f"gateways cannot join on {self._address}, port {self._port}: {error.strerror or error}"
            ) from error
        async with server:
            await stop.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername", ("somebody",))[0]
        try:
            async with asyncio.timeout(_SECONDS), self._places:
                line = await reader.readline()
                answer = await finished(lambda: self._answer(line))
                if "error" in answer:
                    log.warning("%s was not let in: %s", peer, answer["error"])
                else:
                    await self._admitted()
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            log.warning("%s began to join and did not finish", peer)
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            said = json.loads(line)
            secret, asked = bytes.fromhex(said["secret"]), str(said["request"]).encode("ascii")
        except (ValueError, KeyError, TypeError):
            return {"error": "what was sent is no request to join"}
        try:
            return self._enrol(invitations.digest(secret), asked, utc_now())
        except StoreError as error:
            log.warning("a gateway cannot join now: %s", error)
            return {"error": "nobody can join now: see the log of `gnomon serve`"}

    def _enrol(self, digest: str, asked: bytes, now: datetime) -> dict[str, Any]:
        invitation = self._store.fleet.invited(digest)
        gateway = invitation.gateway if invitation else "unknown"
        enrolment = os.urandom(8).hex()
        try:
            # Before the token is used up: one whose request is no good may try again.
            signed = certificates.sign_gateway(self._authority, asked, gateway, enrolment, now, self._life)
        except ValueError as error:
            return {"error": str(error)}
        member = Member(gateway=gateway, enrolment=enrolment, joined_at=now, ends_at=now + self._life)
        if why := self._store.fleet.redeem(digest, member):
            return {"error": why}
        log.info("gateway %s joined", gateway)
        return {"gateway": gateway, "certificate": signed.decode("ascii"), "port": self._port + 1}


async def join(host: str, port: int, token: invitations.Token) -> Joined:
    """Join by a token. GatewayError where nobody answers, where it is somebody else, or where they refuse."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The fingerprint says who it is, which is more than any authority could.
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    place = f"{host}:{port}"
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_MOST_BYTES)
            try:
                return await _ask(reader, writer, host, token)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        why = "in time" if isinstance(error, TimeoutError) else f"as it should: {error}"
        raise GatewayError(f"{place} does not answer {why}") from error


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, token: invitations.Token
) -> Joined:
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    authority = ssl.DER_cert_to_PEM_cert(shown).encode("ascii")
    if not hmac.compare_digest(certificates.fingerprint(authority), token.fingerprint):
        raise GatewayError(
            f"{host} is not the gnomon that made the token, and was told nothing: somebody may stand between, or the "
            "token is of another control machine"
        )
    asked = certificates.request("gateway")
    said = {"secret": token.secret.hex(), "request": asked.certificate.decode("ascii")}
    writer.write(json.dumps(said).encode() + b"\n")
    await writer.drain()
    answer = json.loads(await reader.readline() or b"{}")
    if "error" in answer:
        raise GatewayError(f"{host} refused: {answer['error']}")
    try:
        own = Pair(answer["certificate"].encode("ascii"), asked.key)
        where = f"[{host}]" if ":" in host else host
        return Joined(str(answer["gateway"]), own, authority, f"{where}:{int(answer['port'])}")
    except (KeyError, TypeError) as error:
        raise ValueError("it said something else than expected") from error
