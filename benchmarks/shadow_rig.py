"""Backends good and bad, ``gnomon serve`` as a process of its own, and requests through it: for shadow benchmarks."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from inventory.model import Comparison, RouteSpec
from inventory.settings import Settings
from inventory.store import Store, open_store
from router.gateways import Copied
from router.gateways.envoy import admin, stats
from router.gateways.envoy.files import Files
from tui.convergence import Outcome, await_gateways

HOST = "bench.localhost"
BODY = b'{"x": 1}'
KINDS = ("stalled", "dead", "500", "resets", "endless")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The backends are processes of their own: what they cost is not the measuring process's.


async def serve(kind: str, *ports: int) -> None:
    """One backend at some ports, until it is killed. Asked for ``/turn``, it answers 503 from then on, or 200 again."""
    connections: set[object] = set()
    broken = False

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal broken
        connections.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if kind == "stalled":
                reader._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
                await asyncio.Event().wait()
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                left = int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                while left:
                    part = await reader.read(min(left, 1 << 18))
                    if not part:
                        raise ConnectionResetError
                    left -= len(part)
                broken ^= b" /turn " in head.partition(b"\r\n")[0]
                await _answer("503" if broken else kind, writer)
        writer.close()

    servers = [await asyncio.start_server(one, "127.0.0.1", port, limit=1 << 20) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _answer(kind: str, writer: asyncio.StreamWriter) -> None:
    said = json.dumps({"class": 1, "score": 0.5}).encode()
    if kind == "resets":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\nx")
        await writer.drain()
        writer.transport.abort()
        raise ConnectionResetError
    if kind == "endless":
        writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
            await writer.drain()
    status = kind.encode() if kind in {"500", "503"} else b"200"
    writer.write(
        b"HTTP/1.1 %s X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(said), said)
    )
    await writer.drain()


@contextlib.asynccontextmanager
async def backends() -> AsyncIterator[dict[str, int]]:
    """A port for each kind; nobody is at the dead one's, and the twin is another port of the origin."""
    ports = {kind: free_port() for kind in ("origin", "twin", "replacement", "breaks", *KINDS)}
    listened = {kind: [port] for kind, port in ports.items() if kind not in {"dead", "twin"}}
    listened["origin"].append(ports["twin"])
    children = [
        await asyncio.create_subprocess_exec(sys.executable, __file__, "--serve", kind, *map(str, listening_at))
        for kind, listening_at in listened.items()
    ]
    try:
        for kind, port in ports.items():
            if kind != "dead":
                await listening(port)
        yield {**ports, "failing": ports["500"]}
    finally:
        for child in children:
            child.kill()
            await child.wait()


async def listening(port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)


class Gateway:
    """A running ``gnomon serve``, a process of its own as in use."""

    def __init__(self, store: Store, settings: Settings, pid: int) -> None:
        self.store, self.settings, self.port, self.pid = store, settings, settings.gateway_port, pid
        self.admin = Files(settings.state_folder.absolute()).admin

    @property
    def envoy(self) -> int:
        """The process of its Envoy."""
        return int((self.settings.state_folder / "gateway" / "envoy.pid").read_text(encoding="ascii").split()[0])

    async def desire(
        self,
        ports: dict[str, int],
        shadow: dict[str, Any] | None,
        origin: int = 100,
        comparison: Comparison | None = None,
    ) -> None:
        """Make a route desired, and wait until it is served."""
        weights = {"origin": origin, "replacement": 100 - origin}
        if shadow is not None:
            weights.setdefault(str(shadow["backend"]), 0)
        listed = [
            {"name": name, "url": f"http://127.0.0.1:{ports[name]}", "weight": weight}
            for name, weight in weights.items()
        ]
        fields = {
            "name": "bench", "hosts": (HOST,), "backends": listed, "shadow": shadow,
            "comparison": comparison or Comparison(),
        }  # fmt: skip
        revision = self.store.routes.put(RouteSpec.model_validate(fields), who="bench", why="benchmark")
        result = await asyncio.to_thread(await_gateways, self.store, [revision], 20)
        assert result.outcome is Outcome.IN_FORCE, result

    def live(self) -> dict[str, int]:
        """Live answers by backend."""
        counted = admin.counters(self.admin, stats.pattern_of("bench"))
        return {one.backend: one.requests for one in stats.traffic(counted, counted)}

    def copies(self) -> int:
        """Copies that were sent."""
        return stats.copied(admin.counters(self.admin, stats.COPIES)).get("bench", Copied()).requests


@contextlib.asynccontextmanager
async def gateway(folder: str) -> AsyncIterator[Gateway]:
    url = f"sqlite:///{folder}/inventory.db"
    settings = Settings(database=url, state_folder=Path(folder), gateway_port=free_port())
    environment = os.environ | {
        "GNOMON_DATABASE": url, "GNOMON_STATE_FOLDER": folder, "GNOMON_GATEWAY_PORT": str(settings.gateway_port),
    }  # fmt: skip
    with open_store(url, settings) as store:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tui.cli", "serve", env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await listening(settings.gateway_port)
            yield Gateway(store, settings, child.pid)
        finally:
            child.terminate()
            await child.wait()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> int:
    writer.write(b"POST /predict HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n\r\n" % (HOST.encode(), len(body)))
    writer.write(body)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
    return int(head.split(b" ")[1])


if __name__ == "__main__" and sys.argv[1:2] == ["--serve"]:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[2], *map(int, sys.argv[3:])))
    os._exit(0)
