"""A bounded HTTP/1.1 client for hosts that may be hostile: one connection, kept alive, parsed by httptools.

Every answer ends: by its own end, by a limit on bytes of head or body, or by a deadline. Whatever a host
does comes back as an ``Answer``; nothing here raises for it.
"""

import asyncio
import contextlib
import ssl
import time
import zlib
from dataclasses import dataclass, replace
from typing import Final

import httptools

from scanner.exchange import Answer, Request
from scanner.findings import Limits

USER_AGENT: Final = "gnomon/0.1 (security inventory)"
_MOST_INTERIM: Final = 8
_CHUNK: Final = 64 * 1024
_HEADER_COUNT: Final = 256


@dataclass
class _Reply:
    """What the parser tells of one answer, while it comes in."""

    limit: int
    status: int | None = None
    reason: bytes = b""
    headers_done: bool = False
    done: bool = False
    too_large: bool = False
    interim: int = 0

    def __post_init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.parser: httptools.HttpResponseParser | None = None
        self.body = bytearray()

    def on_message_begin(self) -> None:
        if self.done:
            return
        self.headers.clear()
        self.reason = b""
        self.headers_done = False

    def on_status(self, reason: bytes) -> None:
        if not self.done:
            self.reason += reason[:256]

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if not self.done and len(self.headers) < _HEADER_COUNT:
            text = (value or b"").decode("utf-8", "replace")
            self.headers.append((name.decode("latin-1").lower(), text))

    def on_headers_complete(self) -> None:
        if not self.done and self.parser is not None:
            self.status = int(self.parser.get_status_code())
            self.headers_done = self.status >= 200

    def on_body(self, body: bytes) -> None:
        if self.done:
            return
        room = self.limit - len(self.body)
        self.body += body[:room]
        self.too_large = self.too_large or len(body) > room

    def on_message_complete(self) -> None:
        if self.status is not None and self.status < 200:
            self.interim += 1
            self.status = None
            return
        self.done = True


class HttpConnection:
    """Requests to one listener, one after another. ``tls`` chooses the scheme; certificates are not judged.

    ``name`` is said in SNI and Host instead of the address; it changes nothing about where is connected to.
    ``certificate`` holds the peer's certificate in DER after a TLS handshake. ``failure`` says why the
    last attempt to connect failed.
    """

    def __init__(self, address: str, port: int, limits: Limits, *, tls: bool = False, name: str | None = None) -> None:
        self._address = address
        self._port = port
        self._limits = limits
        self._tls = _context() if tls else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.certificate: bytes | None = None
        self.failure: str | None = None
        host = f"[{address}]" if ":" in address else address
        self._names = frozenset({host, f"{host}:{port}"})
        usual = port == (443 if tls else 80)
        if name is not None:
            self._names |= {name, f"{name}:{port}"}
        self._server_name = name or ""
        self._host = (name or host) if usual else f"{name or host}:{port}"

    async def ask(self, request: Request) -> Answer:
        """Send one request and read its answer. A kept connection that the host dropped is opened once more."""
        started = time.monotonic()
        reused = self._writer is not None
        answer = await self._attempt(request, started)
        if reused and answer.status is None and answer.outcome in {"closed", "reset"} and not answer.raw:
            answer = await self._attempt(request, started)
        return answer

    async def connect(self) -> bool:
        """Open the connection, with its TLS handshake. False where it failed; ``failure`` tells how."""
        if self._writer is not None:
            return True
        try:
            async with asyncio.timeout(self._limits.connect + (self._limits.answer if self._tls else 0)):
                self._reader, self._writer = await asyncio.open_connection(
                    self._address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_name if self._tls else None,
                    limit=_CHUNK,
                )
        except TimeoutError:
            self.failure = "timeout"
        except ssl.SSLError as error:
            self.failure = "alpn" if error.reason and "NO_APPLICATION_PROTOCOL" in error.reason else "tls"
        except ConnectionRefusedError:
            self.failure = "refused"
        except (OSError, ValueError):
            self.failure = "reset"
        if self._writer is None:
            return False
        self.failure = None
        self._remember_certificate()
        return True

    def close(self) -> None:
        """Drop the connection at once, without waiting for the host."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    def _remember_certificate(self) -> None:
        if self._tls is None or self._writer is None:
            return
        tls = self._writer.get_extra_info("ssl_object")
        if tls is not None:
            self.certificate = tls.getpeercert(binary_form=True)

    async def _attempt(self, request: Request, started: float) -> Answer:
        if not await self.connect():
            return Answer(request, outcome=self.failure or "reset", milliseconds=_since(started))
        reply = _Reply(self._limits.body)
        received = bytearray()
        try:
            async with asyncio.timeout(self._limits.answer):
                outcome = await self._exchange(request, reply, received)
        except TimeoutError:
            outcome = "timeout"
        except (OSError, ssl.SSLError):
            outcome = "reset"
        if not self._may_continue(reply, outcome, request):
            self.close()
        answer = _answer(request, reply, outcome, bytes(received[:512]), _since(started))
        return replace(answer, host_names=self._names)

    async def _exchange(self, request: Request, reply: _Reply, received: bytearray) -> str:
        assert self._writer is not None
        assert self._reader is not None
        self._writer.write(self._head(request))
        await self._writer.drain()
        parser = reply.parser = httptools.HttpResponseParser(reply)
        before_headers = 0
        while True:
            chunk = await self._reader.read(_CHUNK)
            if not chunk:
                return _at_end(reply, received)
            if len(received) < 512:
                received += chunk[:512]
            before_headers += len(chunk) if not reply.headers_done else 0
            try:
                parser.feed_data(chunk)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                return "answered" if reply.done else "invalid-http"
            if reply.interim > _MOST_INTERIM:
                return "invalid-http"
            if not reply.headers_done and not reply.interim:
                reply.status = _status_of(received)
            if (reason := _enough(reply, request, before_headers, self._limits)) is not None:
                return reason

    def _head(self, request: Request) -> bytes:
        return (
            f"{request.method} {request.path} HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: {USER_AGENT}\r\n"
            "Accept: application/json, text/html;q=0.9, */*;q=0.8\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode("ascii")

    def _may_continue(self, reply: _Reply, outcome: str, request: Request) -> bool:
        if outcome != "answered" or reply.too_large or request.method == "HEAD":
            return False
        told = ", ".join(value for name, value in reply.headers if name == "connection").lower()
        lengths = {name for name, _ in reply.headers} & {"content-length", "transfer-encoding"}
        bodiless = reply.status in {204, 304}
        return "close" not in told and (bool(lengths) or bodiless)


def _at_end(reply: _Reply, received: bytearray) -> str:
    if reply.done:
        return "answered"
    if reply.headers_done:
        lengths = {name for name, _ in reply.headers} & {"content-length", "transfer-encoding"}
        return "closed" if lengths else "answered"
    reply.status = _status_of(received) if reply.headers else None
    return "closed" if reply.status is not None or not received else "invalid-http"


def _enough(reply: _Reply, request: Request, before_headers: int, limits: Limits) -> str | None:
    if reply.done or (reply.headers_done and request.method == "HEAD"):
        return "answered"
    if reply.too_large or (not reply.headers_done and before_headers > limits.header):
        return "too-large"
    return None


def _status_of(received: bytearray) -> int | None:
    """The status in the first line, where the line is one of HTTP/1; the head may be unfinished."""
    line = bytes(received[:64]).split(b"\r\n", 1)[0]
    parts = line.split(b" ", 2)
    if len(parts) > 1 and parts[0] in {b"HTTP/1.0", b"HTTP/1.1"} and parts[1].isdigit() and len(parts[1]) == 3:
        return int(parts[1])
    return None


def _answer(request: Request, reply: _Reply, outcome: str, raw: bytes, milliseconds: float) -> Answer:
    invalid = outcome == "invalid-http"
    headers = tuple(reply.headers)
    coding = next((value for name, value in headers if name == "content-encoding"), "").strip().lower()
    body, cut = _decode(bytes(reply.body), coding, reply.limit)
    status = None if invalid else reply.status
    if cut or reply.too_large:
        outcome = "too-large"
    return Answer(
        request=request,
        status=status,
        reason=reply.reason.decode("latin-1"),
        headers=headers if status is not None else (),
        body=body if status is not None else b"",
        outcome=outcome,
        milliseconds=milliseconds,
        raw=raw,
    )


def _decode(body: bytes, coding: str, limit: int) -> tuple[bytes, bool]:
    """The body without its content coding, at most ``limit`` bytes, and whether there was more."""
    if coding not in {"gzip", "x-gzip", "deflate"} or not body:
        return body, False
    try:
        inflater = zlib.decompressobj(47 if coding != "deflate" else 15)
        plain = inflater.decompress(body, limit)
    except zlib.error:
        return b"", False
    return plain, bool(inflater.unconsumed_tail)


def _context() -> ssl.SSLContext:
    """TLS that takes what is shown: identification reads certificates, it trusts none of them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["http/1.1"])
    return context


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000
