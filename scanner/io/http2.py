"""A bounded HTTP/2 client, for servers that speak nothing else: by prior knowledge, or as ALPN agrees within TLS.

Every answer ends as those of ``scanner.io.http`` do, and comes back as the same ``Answer``. One stream is open at a
time, nothing is pushed to us, and what a host does is never raised. Source: RFC 9113 (HTTP/2).
"""

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.io.http import USER_AGENT

_CHUNK: Final = 64 * 1024
_HEADER_COUNT: Final = 256


@dataclass
class _Reply:
    """What came of one stream so far."""

    stream: int
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    outcome: str = ""


def tls_for_http2() -> ssl.SSLContext:
    """TLS that offers HTTP/2 and nothing else, and takes whatever certificate is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


class Http2Connection:
    """Requests to one listener, one after another, as ``scanner.io.http.HttpConnection`` sends them in HTTP/1.1.

    ``certificate`` holds the peer's certificate in DER after a TLS handshake.
    """

    def __init__(self, address: str, port: int, limits: Limits, *, tls: bool = False) -> None:
        self._address, self._port, self._limits, self._tls = address, port, limits, tls
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._session: Any = None
        self.certificate: bytes | None = None
        host = f"[{address}]" if ":" in address else address
        self._authority = host if port == (443 if tls else 80) else f"{host}:{port}"
        self._names = frozenset({host, f"{host}:{port}"})

    async def connect(self) -> bool:
        """Open the connection. False where that fails, or where TLS agreed on something else than HTTP/2."""
        if self._writer is not None:
            return True
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(self._limits.connect + (self._limits.answer if self._tls else 0)):
                self._reader, self._writer = await asyncio.open_connection(
                    self._address, self._port, ssl=tls_for_http2() if self._tls else None,
                    server_hostname="" if self._tls else None, limit=_CHUNK,
                )  # fmt: skip
        if self._writer is None:
            return False
        agreed = self._writer.get_extra_info("ssl_object")
        if agreed is not None:
            self.certificate = agreed.getpeercert(binary_form=True)
        if self._tls and (agreed is None or agreed.selected_alpn_protocol() != "h2"):
            self.close()
            return False
        self._session = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._session.initiate_connection()
        self._session.update_settings({
            h2.settings.SettingCodes.ENABLE_PUSH: 0,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: self._limits.header,
        })  # fmt: skip
        return True

    def close(self) -> None:
        """Drop the connection at once, without waiting for the host."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = self._session = None

    async def ask(self, request: Request) -> Answer:
        """Send one request and read its answer. Every way in which it can end is an ``Answer``."""
        started = time.monotonic()
        reply = _Reply(0)
        if not await self.connect():
            reply.outcome = "reset"
        else:
            try:
                async with asyncio.timeout(self._limits.answer):
                    await self._exchange(request, reply)
            except TimeoutError:
                reply.outcome = "timeout"
            except (OSError, ssl.SSLError):
                reply.outcome = "reset"
            except (h2.exceptions.H2Error, UnicodeDecodeError):
                reply.outcome = "invalid-http"
        if reply.outcome != "answered":
            self.close()
        return Answer(
            request=request,
            status=reply.status,
            headers=tuple(reply.headers) if reply.status is not None else (),
            body=bytes(reply.body) if reply.status is not None else b"",
            outcome=reply.outcome,
            milliseconds=(time.monotonic() - started) * 1000,
            host_names=self._names,
        )

    async def _exchange(self, request: Request, reply: _Reply) -> None:
        assert self._reader is not None
        reply.stream = self._session.get_next_available_stream_id()
        scheme = "https" if self._tls else "http"
        self._session.send_headers(reply.stream, [
            (":method", request.method), (":path", request.path), (":scheme", scheme), (":authority", self._authority),
            ("user-agent", USER_AGENT), ("accept", "application/json, text/html;q=0.9, */*;q=0.8"),
        ], end_stream=True)  # fmt: skip
        while not reply.outcome:
            await self._flush()
            data = await self._reader.read(_CHUNK)
            if not data:
                reply.outcome = "closed"
                return
            for event in self._session.receive_data(data):
                self._heed(event, reply)
        await self._flush()

    async def _flush(self) -> None:
        assert self._writer is not None
        self._writer.write(self._session.data_to_send())
        await self._writer.drain()

    def _heed(self, event: Any, reply: _Reply) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            reply.outcome = reply.outcome or "closed"
        elif getattr(event, "stream_id", None) != reply.stream:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            _read_headers(event.headers, reply)
        elif isinstance(event, h2.events.DataReceived):
            self._take(event, reply)
        elif isinstance(event, h2.events.StreamReset):
            reply.outcome = "reset"
        elif isinstance(event, h2.events.StreamEnded):
            reply.outcome = reply.outcome or "answered"

    def _take(self, event: Any, reply: _Reply) -> None:
        room = self._limits.body - len(reply.body)
        reply.body += event.data[:room]
        if len(event.data) > room:
            reply.outcome = "too-large"
        self._session.acknowledge_received_data(event.flow_controlled_length, reply.stream)


def _read_headers(headers: Any, reply: _Reply) -> None:
    for name, value in list(headers)[:_HEADER_COUNT]:
        if name == ":status" and value.isascii() and value.isdigit() and len(value) == 3:
            reply.status = int(value)
        elif not name.startswith(":"):
            reply.headers.append((name.lower(), value))
