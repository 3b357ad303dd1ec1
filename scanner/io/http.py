"""A bounded HTTP/1.1 client for hosts that may be hostile: one connection, kept alive.

Every answer ends: by its own end, by a limit on bytes of head or body, or by a deadline. Whatever a host
does comes back as an ``Answer``; nothing here raises for it.
"""

import asyncio
import time
from functools import partial
from typing import Final

from scanner.exchange import Answer, Request
from scanner.findings import Limits
from scanner.io.deadlines import deadlines_of
from scanner.io.reply import Reply
from scanner.io.stream import Stream
from scanner.io.tls import TlsSession

USER_AGENT: Final = "gnomon/0.1 (security inventory)"


class HttpConnection:
    """Requests to one listener, one after another. ``tls`` chooses the scheme; certificates are not judged.

    ``name`` is said in SNI and Host instead of the address; it changes nothing about where is connected to.
    ``ignored`` names headers, in lower case, that are left out of answers.
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
    ) -> None:
        self._address = address
        self._port = port
        self._limits = limits
        self._tls = tls
        self._ignored = ignored
        self._stream: Stream | None = None
        self._reply: Reply | None = None
        self._waiting: asyncio.Future[str] | None = None
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
        """Send one request and read its answer. A kept connection that the host dropped is opened once more."""
        started = time.monotonic()
        reused = self._stream is not None
        answer = await self._attempt(request, started)
        if reused and answer.status is None and answer.outcome in {"closed", "reset"} and not answer.raw:
            answer = await self._attempt(request, started)
        return answer

    async def connect(self) -> bool:
        """Open the connection, with its TLS handshake. False where it failed; ``failure`` tells how."""
        if self._stream is not None:
            return True
        try:
            session = TlsSession(self._server_name) if self._tls else None
        except ValueError:
            self.failure = "tls"
            return False
        self._stream = Stream(self, session)
        self._stream.open(self._address, self._port)
        outcome = await self._wait(self._limits.connect + (self._limits.answer if self._tls else 0))
        if outcome != "open":
            self.failure = "reset" if outcome == "closed" else outcome
            self.close()
            return False
        self.failure = None
        self.certificate = self._stream.certificate
        return True

    def close(self) -> None:
        """Drop the connection at once, without waiting for the host."""
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
            self._end_of_reply(outcome)

    def stream_ended(self, why: str) -> None:
        """See ``scanner.io.stream.Owner``."""
        self._stream = None
        if self._reply is None:
            self._tell(why)
        else:
            self._end_of_reply(self._reply.end() if why == "closed" else why)

    def _end_of_reply(self, outcome: str) -> None:
        # From now on, what still comes belongs to no answer.
        reply, self._reply = self._reply, None
        if reply is not None and not reply.keeps_open(outcome):
            self.close()
        self._tell(outcome)

    def _tell(self, outcome: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(outcome)

    async def _wait(self, seconds: float) -> str:
        """What the stream comes to; ``timeout`` after so much time."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        deadline = deadlines_of(loop).start(seconds, partial(self._tell, "timeout"))
        try:
            return await self._waiting
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            deadline.stop()
            self._waiting = self._reply = None

    async def _attempt(self, request: Request, started: float) -> Answer:
        if not await self.connect():
            return Answer(request, outcome=self.failure or "reset", milliseconds=_since(started))
        assert self._stream is not None
        reply = self._reply = Reply(request, self._limits, self._ignored)
        self._stream.write(f"{request.method} {request.path}{self._head}".encode("ascii"))
        outcome = await self._wait(self._limits.answer)
        if outcome == "timeout":
            self.close()
        return reply.answer(outcome, _since(started), self._names)


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000
