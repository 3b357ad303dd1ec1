"""A bounded HTTP/1.1 client for hosts that may be hostile: one connection, kept alive.

Every answer ends: by its own end, by a limit on bytes of head or body, or by a deadline. Whatever a host
does comes back as an ``Answer``; nothing here raises for it.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from scanner.alike import Alike
from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.io.deadlines import Deadline
from scanner.io.reactor import reactor
from scanner.io.reply import Reply
from scanner.io.stream import Stream
from scanner.io.tls import TlsSession

USER_AGENT: Final = "gnomon/0.1 (security inventory)"

Then = Callable[[str], None]
"""Takes the outcome of a step: ``open`` or how an answer ended, as in ``Answer``."""


class HttpConnection:
    """Requests to one listener, one after another. ``tls`` chooses the scheme; certificates are not judged.

    ``name`` is said in SNI and Host instead of the address; it changes nothing about where is connected to.
    ``ignored`` names headers, in lower case, that are left out of answers; ``alike`` is what was heard by others.
    ``certificate`` holds the peer's certificate in DER after a TLS handshake. ``failure`` says why the
    last attempt to connect failed.
    """

    def __init__(
        self,
        address: str,
        port: int,
        limits: Limits,
        *,
        tls: bool = False,
        name: str | None = None,
        ignored: frozenset[str] = frozenset(),
        alike: Alike | None = None,
    ) -> None:
        self._address = address
        self._port = port
        self._limits = limits
        self._tls = tls
        self._ignored = ignored
        self._alike = Alike() if alike is None else alike
        self._reactor = reactor()
        self._stream: Stream | None = None
        self._reply: Reply | None = None
        self._then: Then | None = None
        self._deadline: Deadline | None = None
        self.certificate: bytes | None = None
        self.failure: str | None = None
        host = f"[{address}]" if ":" in address else address
        self._names = frozenset({host, f"{host}:{port}"})
        usual = port == (443 if tls else 80)
        if name is not None:
            self._names |= {name, f"{name}:{port}"}
        self._server_name = name or ""
        said = (name or host) if usual else f"{name or host}:{port}"
        self._head = (
            f" HTTP/1.1\r\nHost: {said}\r\nUser-Agent: {USER_AGENT}\r\n"
            "Accept: application/json, text/html;q=0.9, */*;q=0.8\r\nAccept-Encoding: identity\r\n\r\n"
        )

    async def ask(self, request: Request) -> Answer:
        """Send one request and read its answer. See ``send``."""
        answered: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self.send((request,), answered.set_result)
        try:
            return (await answered)[0]
        except asyncio.CancelledError:
            self.close()
            raise

    async def connect(self) -> bool:
        """Open the connection, with its TLS handshake. False where it failed; ``failure`` tells how."""
        if self._stream is not None:
            return True
        opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._open(opened.set_result)
        try:
            return await opened == "open"
        except asyncio.CancelledError:
            self.close()
            raise

    def send(self, requests: tuple[Request, ...], done: Callable[[list[Answer]], None]) -> None:
        """Send a request, and call ``done`` with its answer, never before this returns.

        Further ``requests`` go out with it where the host has kept the connection before; ``done`` gets the answers
        of those that came whole, in their order. The others may be sent again by themselves.
        A kept connection that the host dropped is opened once more. One call at a time; ``close`` takes the
        one under way back.
        """
        exchange = _Exchange(requests, done, time.monotonic(), reused=self._stream is not None)
        self._attempt(exchange)

    def close(self) -> None:
        """Drop the connection at once, without waiting for the host. Nobody is called any more."""
        self._end_deadline()
        self._then = self._reply = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def stream_opened(self) -> None:
        """See ``scanner.io.stream.Owner``."""
        self._tell("open")

    def stream_received(self, data: bytes | memoryview) -> None:
        """See ``scanner.io.stream.Owner``."""
        if self._reply is None:
            # What nobody asked for must not be taken for the next answer.
            self.close()
        elif (outcome := self._reply.feed(data)) is not None:
            self._tell(outcome)

    def stream_ended(self, why: str) -> None:
        """See ``scanner.io.stream.Owner``."""
        self._stream = None
        self._tell(self._reply.end() if self._reply is not None and why == "closed" else why)

    def _expect(self, seconds: float, then: Then) -> None:
        """Call ``then`` with what the stream comes to; with ``timeout`` after so much time."""
        self._then = then
        self._deadline = self._reactor.deadlines.start(seconds, partial(self._tell, "timeout"))

    def _tell(self, outcome: str) -> None:
        then, self._then = self._then, None
        if then is not None:
            self._end_deadline()
            then(outcome)

    def _end_deadline(self) -> None:
        # It holds on to this connection, and is let go so that nobody has to look for the two of them.
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.stop()

    def _open(self, then: Then) -> None:
        self._expect(self._limits.connect + (self._limits.answer if self._tls else 0), partial(self._opened, then))
        try:
            session = TlsSession(self._server_name) if self._tls else None
        except ValueError:
            # Not every name of a certificate can be said.
            asyncio.get_running_loop().call_soon(self._tell, "tls")
            return
        self._stream = Stream(self, self._reactor, session)
        self._stream.open(self._address, self._port)

    def _opened(self, then: Then, outcome: str) -> None:
        if outcome == "open":
            assert self._stream is not None
            self.failure = None
            if self._tls:
                self.certificate = self._stream.certificate
        else:
            self.failure = "reset" if outcome == "closed" else outcome
            self.close()
        then(outcome)

    def _attempt(self, exchange: "_Exchange") -> None:
        if self._stream is None:
            self._open(partial(self._ask, exchange))
        else:
            self._ask(exchange, "open")

    def _ask(self, exchange: "_Exchange", outcome: str) -> None:
        requests = exchange.requests if exchange.reused else exchange.requests[:1]
        if outcome != "open" or self._stream is None:
            spent = exchange.milliseconds
            exchange.done([Answer(requests[0], outcome=self.failure or "reset", milliseconds=spent)])
            return
        self._reply = Reply(requests, self._limits, self._ignored, self._alike)
        self._expect(self._limits.answer, partial(self._answered, exchange))
        self._stream.write("".join([f"{one.method} {one.path}{self._head}" for one in requests]).encode("ascii"))

    def _answered(self, exchange: "_Exchange", outcome: str) -> None:
        reply, self._reply = self._reply, None
        assert reply is not None
        if not reply.keeps_open(outcome):
            self.close()
        if exchange.reused and reply.silent and outcome in {"closed", "reset"}:
            exchange.reused = False
            self._attempt(exchange)
            return
        exchange.done(reply.answers(outcome, exchange.milliseconds, self._names))


class _Exchange:
    """Requests on their way, and who waits for the answers. ``reused`` says that the connection was kept before."""

    __slots__ = ("_started", "done", "requests", "reused")

    def __init__(
        self, requests: tuple[Request, ...], done: Callable[[list[Answer]], None], started: float, *, reused: bool
    ) -> None:
        self.requests = requests
        self.done = done
        self.reused = reused
        self._started = started

    @property
    def milliseconds(self) -> float:
        return (time.monotonic() - self._started) * 1000
