"""A real gateway on loopback, real backends behind it, and a client that counts."""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from certificates import self_signed

from inventory.model import GatewayStatus, RouteSpec
from inventory.settings import Settings
from inventory.store import Store, open_store
from router.controller import Controller

DEADLINE = 15.0


class Seen(NamedTuple):
    """One request as a backend got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def read_message(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return head[0], headers, body


class Backend:
    """A small HTTP/1.1 server that says its name. ``stalled``: it accepts, and never reads.

    ``bad`` answers without end ("endless"), or resets the connection in the middle of its answer ("resets").
    ``model`` makes more to say of a request's body.
    """

    def __init__(
        self,
        name: str,
        *,
        stalled: bool = False,
        status: int = 200,
        certificate: Path | None = None,
        bad: str = "",
        model: Callable[[bytes], dict[str, Any]] | None = None,
    ) -> None:
        self.name = name
        self.bad = bad
        self.model = model
        self.status = status
        self.seen: list[Seen] = []
        self.extra: list[str] = []
        self.got = asyncio.Condition()
        self._stalled = stalled
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                if self._stalled:
                    reader._transport.pause_reading()  # type: ignore[attr-defined]
                    await asyncio.Event().wait()
                while True:
                    await self._one(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, headers, body = await read_message(reader)
        method, path, _ = line.split(" ")
        async with self.got:
            self.seen.append(Seen(method, path, headers, body))
            self.got.notify_all()
        if headers.get("upgrade") == "websocket":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
            writer.write((await reader.readexactly(4)).upper())
            return
        if path == "/events":
            await self._events(writer)
            return
        if self.bad:
            await self._misbehave(writer)
            return
        more = self.model(body) if self.model else {"path": path, "bytes": len(body)}
        answer = json.dumps({"from": self.name, **more}).encode()
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
            % (self.status, "".join(f"{one}\r\n" for one in self.extra).encode(), len(answer), answer)
        )
        await writer.drain()

    async def _misbehave(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        while self.bad == "endless":
            writer.write(chunk)
            await writer.drain()
        writer.write(chunk[:100])
        await writer.drain()
        writer.transport.abort()
        raise ConnectionResetError

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        """One event, and the second only after the caller asked for ``/next`` on another connection."""
        writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        await self.received(lambda seen: any(one.path == "/next" for one in seen))
        writer.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async def received(self, enough: Callable[[list[Seen]], bool]) -> list[Seen]:
        async with self.got, asyncio.timeout(DEADLINE):
            await self.got.wait_for(lambda: enough(self.seen))
        return self.seen


class Connection:
    """One keep-alive connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(
        self, host: str, path: str = "/predict", method: str = "POST", body: bytes = b"{}", **headers: str
    ) -> Answer:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self.reader is not None
        sent = {"host": f"{host}:{self._port}", "content-length": str(len(body))}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        async with asyncio.timeout(DEADLINE):
            line, answered, content = await read_message(self.reader)
        if answered.get("connection") == "close":
            self.close()
        return Answer(int(line.split(" ")[1]), answered, content)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Rig:
    """A store, a controller with its Envoy, and what is needed to ask both."""

    def __init__(self, store: Store, settings: Settings, controller: Controller) -> None:
        self.store = store
        self.settings = settings
        self.controller = controller
        self.connection = Connection(settings.gateway_port)

    @property
    def process(self) -> Any:
        return self.controller.gateway.process  # type: ignore[attr-defined]

    @property
    def capture(self) -> Path:
        return self.settings.state_folder / "capture" / "pairs.jsonl"

    def captured(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.capture.read_text().splitlines()]

    def status(self) -> GatewayStatus:
        return self.store.gateways.list()[0]

    async def put(self, spec: RouteSpec) -> int:
        """Make it desired, and wait until the gateway acknowledged it."""
        number = self.store.routes.put(spec, who="tester", why="a test").number
        # It may be asked for before the gateway said anything of itself.
        await eventually(lambda: [one.revisions.get(spec.name) for one in self.store.gateways.list()[:1]] == [number])
        return number

    async def ask(self, *arguments: Any, **options: Any) -> Answer:
        return await self.connection.ask(*arguments, **options)


async def eventually(look: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """What ``look`` returns once it is true. Fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "the deadline passed"
        await asyncio.sleep(0.01)
    return seen


class Load:
    """Callers that never pause, and count what went wrong."""

    def __init__(self, port: int, host: str, workers: int, bodies: Iterator[bytes]) -> None:
        self._bodies = bodies
        self.asked = 0
        self.failed: list[str] = []
        self.by: dict[str, int] = {}
        self._stop = False
        self._tasks = [asyncio.create_task(self._work(port, host)) for _ in range(workers)]

    async def _work(self, port: int, host: str) -> None:
        connection = Connection(port)
        while not self._stop:
            try:
                answer = await connection.ask(host, body=next(self._bodies))
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(repr(error))
                connection.close()
                continue
            self.asked += 1
            if answer.status == 200:
                name = answer.json["from"]
                self.by[name] = self.by.get(name, 0) + 1
            else:
                self.failed.append(f"{answer.status} {answer.body[:100]!r}")
        connection.close()

    async def passed(self, more: int) -> None:
        """Wait until so many more requests were answered."""
        goal = self.asked + more
        await eventually(lambda: self.asked >= goal or self.failed)

    async def stop(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


@pytest.fixture
async def backends() -> AsyncIterator[Callable[..., Awaitable[Backend]]]:
    """Starts backends by name."""
    started: list[Backend] = []

    async def start(name: str, **options: Any) -> Backend:
        backend = Backend(name, **options)
        await backend.start()
        started.append(backend)
        return backend

    yield start
    for backend in started:
        await backend.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate that nobody vouches for, and its key."""
    return self_signed(tmp_path_factory.mktemp("tls"), "somebody.test")


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
_PORTS = itertools.cycle(range(12_000 + 2000 * _WORKER, 14_000 + 2000 * _WORKER))
"""Below those that the system chooses by itself: one that is free now would soon be another test's."""


@pytest.fixture
def free_port() -> int:
    for port in itertools.islice(_PORTS, 2000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError


@pytest.fixture(scope="session")
def schema_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Descriptors are extracted once for all tests."""
    return tmp_path_factory.mktemp("schema")


@pytest.fixture(scope="session")
def schema(schema_folder: Path) -> Any:
    from router.gateways.envoy.binary import envoy_binary
    from router.gateways.envoy.descriptors import load_schema

    return load_schema(envoy_binary(), schema_folder)


@pytest.fixture
def settings(tmp_path: Path, free_port: int, schema: Any, schema_folder: Path) -> Settings:
    folder = tmp_path / "state" / "gateway"
    folder.mkdir(parents=True)
    for kept in schema_folder.iterdir():
        (folder / kept.name).write_bytes(kept.read_bytes())
    return Settings(state_folder=tmp_path / "state", gateway_port=free_port)


@pytest.fixture
def store(tmp_path: Path, settings: Settings) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/inventory.db", settings) as opened:
        yield opened


@pytest.fixture
def run_controller(store: Store, settings: Settings) -> Callable[..., contextlib.AbstractAsyncContextManager[Rig]]:
    """Runs a controller for the length of a block."""

    @contextlib.asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[Rig]:
        chosen = options.pop("settings", settings)
        controller = Controller(store, chosen, **options)
        rig, stop = Rig(store, chosen, controller), asyncio.Event()
        task = asyncio.create_task(controller.run(stop))
        started = asyncio.create_task(controller.started())
        await asyncio.wait({task, started}, return_when="FIRST_COMPLETED", timeout=DEADLINE)
        started.cancel()
        try:
            if not task.done():
                yield rig
        finally:
            rig.connection.close()
            stop.set()
            await task

    return run


@pytest.fixture
async def rig(run_controller: Callable[..., contextlib.AbstractAsyncContextManager[Rig]]) -> AsyncIterator[Rig]:
    async with run_controller() as running:
        yield running


@pytest.fixture
def until() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
async def load() -> AsyncIterator[Callable[..., Load]]:
    """Starts callers."""
    started: list[Load] = []

    def start(settings: Settings, host: str, workers: int = 4, bodies: Iterator[bytes] | None = None) -> Load:
        started.append(Load(settings.gateway_port, host, workers, bodies or itertools.repeat(b"{}")))
        return started[-1]

    yield start
    for one in started:
        await one.stop()
