"""Applications as teams run them, with WebSockets, through the gateway: real Jupyter and real Streamlit."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from making import route
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from inventory.model import RouteSpec

pytestmark = pytest.mark.e2e

HOST = "app.localhost"


@pytest.fixture
async def application(tmp_path: Path, until: Any) -> AsyncIterator[Callable[..., Any]]:
    """Starts a program that listens on a port, and ends it."""
    started: list[asyncio.subprocess.Process] = []

    async def start(port: int, *words: str) -> None:
        log = tmp_path / "application.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *words, cwd=tmp_path, stdout=out, stderr=out, env={"HOME": str(tmp_path), "PATH": ""}
            )
        started.append(process)
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def spec_of(url: str) -> RouteSpec:
    return route("app", hosts=(HOST,), backends=({"name": "origin", "url": url, "weight": 100},))


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def socket_of(rig: Any, path: str, **headers: str) -> HTTPRequest:
    own = f"{HOST}:{rig.settings.gateway_port}"
    url = f"ws://127.0.0.1:{rig.settings.gateway_port}{path}"
    return HTTPRequest(url, headers={"Host": own, "Origin": f"http://{own}", **headers})


async def hang_up(connection: WebSocketClientConnection) -> None:
    """Say goodbye, and wait until the other side has, and the socket with it is closed."""
    connection.close()
    while await connection.read_message() is not None:
        pass


async def test_streamlit_works_through_the_gateway(rig: Any, application: Any, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import streamlit as st\nst.write('the answer is', 6 * 7)\n")
    port = free()
    quiet = ("--server.headless", "true", "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none")
    where = ("--server.address", "127.0.0.1", "--server.port", str(port))
    await application(port, "-m", "streamlit", "run", "app.py", *where, *quiet)
    await rig.put(spec_of(f"http://127.0.0.1:{port}"))
    page = await rig.ask(HOST, "/", "GET", b"")
    assert b"streamlit" in page.body.lower()
    async with asyncio.timeout(30):
        connection = await websocket_connect(socket_of(rig, "/_stcore/stream"), subprotocols=["streamlit"])
        # A BackMsg that asks to run the script: field 11 (rerun_script), empty.
        await connection.write_message(b"\x5a\x00", binary=True)
        found = b""
        while b"the answer is" not in found:
            message = await connection.read_message()
            assert message is not None, "the stream was closed"
            found += message if isinstance(message, bytes) else message.encode()
        await hang_up(connection)


async def test_jupyter_works_below_a_base_path_through_the_gateway(rig: Any, application: Any, tmp_path: Path) -> None:
    port = free()
    options = {
        "ip": "127.0.0.1", "port": port, "open_browser": False, "base_url": "/team", "root_dir": str(tmp_path),
        # As where it listens on an address that others reach: there it answers to any name.
        "allow_remote_access": True,
    }  # fmt: skip
    words = [f"--ServerApp.{name}={value}" for name, value in options.items()]
    await application(port, "-m", "jupyter_server", "--allow-root", "--IdentityProvider.token=secret", *words)
    await rig.put(spec_of(f"http://127.0.0.1:{port}/team"))
    who = {"authorization": "token secret"}
    status = await rig.ask(HOST, "/api/status", "GET", b"", **who)
    assert (status.status, status.json.get("kernels")) == (200, 0), status
    # A redirect to the login page leads to where it is under the gateway's name.
    login = await rig.ask(HOST, "/tree", "GET", b"")
    if login.status == 302:
        assert login.headers["location"].startswith("/login")
    saved = json.dumps({"type": "file", "format": "text", "content": "x" * 3_000_000}).encode()
    assert (await rig.ask(HOST, "/api/contents/big.txt", "PUT", saved, **who)).status == 201
    assert (tmp_path / "big.txt").stat().st_size == 3_000_000
    async with asyncio.timeout(30):
        connection = await websocket_connect(socket_of(rig, "/api/events/subscribe", Authorization="token secret"))
        assert (await rig.ask(HOST, "/api/contents/big.txt", "GET", b"", **who)).status == 200
        told = json.loads(await connection.read_message())
        assert told["path"].endswith("big.txt")
        await hang_up(connection)
