"""The authorisation service: Envoy asks it about each request of the routes that want to be asked (ext_authz, HTTP).

HTTP/1.1 by hand on asyncio: a general server costs several times what a decision costs. It speaks with Envoy on
loopback alone, takes no bodies, and refuses what it does not understand. Decisions are made in threads, at most
``WAITING`` at once; who comes beyond that is refused at once, so that it never falls behind.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from inventory.model import Decision, utc_now
from router.policy.asking import POLICY, Asked, AskingError, answer, asked

log = logging.getLogger(__name__)

Decide = Callable[[Asked], Decision]
"""What binds a caller on a route with this request. It may take its time: it is called in a thread."""

HEAD_BYTES = 16_384
WAITING = 512
CONNECTIONS = 1024
DECIDE_SECONDS = 5.0


class AuthorizationService:
    """Answers 200 or 403, with the ids of the policies that decided; 400 and 503 are refusals for Envoy too."""

    def __init__(self, decide: Decide, host: str = "127.0.0.1", port: int = 0, *, threads: int = 2) -> None:
        """``port`` 0: the system chooses. Nothing is opened before ``start``."""
        self._decide = decide
        self._host = host
        self._port = port
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="authorize")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._waiting = 0

    @property
    def port(self) -> int:
        """The port that it listens on, once it is started."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. OSError where the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until the event is set."""
        await self.start()
        try:
            await stop.wait()
        finally:
            await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > CONNECTIONS:
                writer.write(_reply(503))
                return
            while await self._one(reader, writer):
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            # Envoy closed the connection, which it does whenever it likes.
            pass
        except asyncio.CancelledError:
            # Only ``close`` cancels, and it waits for this.
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether another may follow on the connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, headers = _parse(head)
            question = asked(method, path, headers, utc_now())
        except (asyncio.LimitOverrunError, AskingError) as error:
            writer.write(_reply(400))
            log.warning("a request that cannot be asked about was refused: %s", error)
            return False
        writer.write(_reply(*await self._answer(question)))
        return True

    async def _answer(self, question: Asked) -> tuple[int, str]:
        if self._waiting >= WAITING:
            return 503, ""
        self._waiting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(self._pool, self._decide, question)
            decision = await asyncio.wait_for(work, DECIDE_SECONDS)
        except TimeoutError:
            log.warning(
                "a decision on %s took longer than %g s, and its request was refused", question.route, DECIDE_SECONDS
            )
            return 503, ""
        except Exception:
            # Whatever is wrong with one decision, the next request must still find a service.
            log.exception("a decision on %s failed, and its request was refused", question.route)
            return 503, ""
        finally:
            self._waiting -= 1
        return answer(decision)


def _parse(head: bytes) -> tuple[str, str, Mapping[str, str]]:
    """Method, path and headers of RFC 9112. AskingError for what is malformed, doubled, or has a body."""
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1" or not parts[0].isalpha() or not parts[1].startswith("/"):
        raise AskingError("it does not begin as a request does")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in headers:
            raise AskingError("a header is malformed, or there twice")
        headers[name] = value.strip()
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise AskingError("it has a body")
    return parts[0], parts[1], headers


def _reply(status: int, policies: str = "") -> bytes:
    """An answer without a body; after a refusal to read on, the connection ends."""
    named = f"{POLICY}: {policies}\r\n" if policies else ""
    ends = "connection: close\r\n" if status == 400 else ""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{named}{ends}content-length: 0\r\n\r\n".encode("latin-1")
