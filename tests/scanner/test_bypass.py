"""Trials of direct paths on loopback: whatever a host does has one name, and what must not be sent is not."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path as File

import pytest
from certificates import self_signed
from making import NOW

from inventory.model import Direct, Path, Scope
from inventory.settings import Settings
from scanner.bypass import ATTEMPTS, Trial, hindrance

SCOPE = Scope(name="lab", targets=("127.0.0.0/8",), created_at=NOW)
SETTINGS = Settings(scan_timeout=0.3, answer_timeout=0.3)
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def host(handle: Handle, **options: object) -> AsyncIterator[Path]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Path(via="address", host="127.0.0.1", port=port, tls="ssl" in options)
        await asyncio.sleep(0)


def answering(payload: bytes) -> Handle:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(payload)
        await writer.drain()
        writer.close()

    return handle


def tls(folder: File, *, strict: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = self_signed(folder, "iris")
    context.load_cert_chain(made / "cert.pem", made / "key.pem")
    if strict:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(made / "cert.pem")
    return context


async def hanging_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def one(path: Path, scope: Scope = SCOPE) -> Direct:
    (tried,) = await Trial(SETTINGS).paths([path], scope)
    assert tried.words
    return tried.did


@pytest.mark.parametrize("payload", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x40\x00\x00",
    b"SSH-2.0-x\r\n",
])  # fmt: skip
async def test_any_byte_is_an_open_path(payload: bytes):
    async with host(answering(payload)) as path:
        assert await one(path) is Direct.OPEN


async def test_what_hangs_up_is_closed():
    async with host(hanging_up) as path:
        assert await one(path) is Direct.CLOSED


async def test_what_wants_a_client_certificate_is_closed_to_strangers(tmp_path: File):
    async with host(answering(b"HTTP/1.1 200 OK\r\n\r\n"), ssl=tls(tmp_path, strict=True)) as path:
        assert await one(path) is Direct.CLOSED


async def test_tls_that_answers_is_open(tmp_path: File):
    context = tls(tmp_path)
    async with host(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), ssl=context) as path:
        assert await one(path) is Direct.OPEN


async def test_what_accepts_and_says_nothing_is_unknown():
    ended = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    async with host(silent) as path:
        assert await one(path) is Direct.UNKNOWN
        ended.set()


async def test_a_shut_port_is_refused_and_says_from_where_it_was_tried():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (tried,) = await Trial(SETTINGS).paths([Path(via="address", host="127.0.0.1", port=port)], SCOPE)
    assert (tried.did, tried.source) == (Direct.REFUSED, "127.0.0.1")


async def test_silence_is_tried_again_before_it_is_called_so():
    # A backlog that is full drops what arrives, as a firewall does.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one_of in waiting:
                one_of.setblocking(False)
                one_of.connect_ex(("127.0.0.1", port))
            began = asyncio.get_running_loop().time()
            assert await one(Path(via="address", host="127.0.0.1", port=port)) is Direct.SILENT
            assert asyncio.get_running_loop().time() - began >= 0.3 * ATTEMPTS * 0.9
        finally:
            for one_of in waiting:
                one_of.close()


async def test_a_name_that_means_nothing_here_is_unknown():
    path = Path(via="service", host="iris.ml.svc.invalid", port=80, name="iris.ml.svc.invalid")
    assert await one(path) is Direct.UNKNOWN


async def test_the_control_tells_the_host_and_what_came():
    heads: list[bytes] = []

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        own = b"{}" if b"Host: iris.localhost" in heads[-1] else b""
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(own), own))
        await writer.drain()
        writer.close()

    async with host(gateway) as path:
        control = await Trial(SETTINGS).control(path.host, path.port, "iris.localhost", "/models/iris/")
    assert control.status == 404
    assert control.holds
    assert heads[0].startswith(b"GET /models/iris/-/routes HTTP/1.1\r\nHost: iris.localhost:")
    assert b"\r\nHost: nobody.invalid:" in heads[1]
    gone = await Trial(SETTINGS).control(path.host, path.port, "iris.localhost")
    assert (gone.status, gone.holds, gone.words) == (None, False, "refuses connections")


async def test_what_answers_for_every_name_alike_is_no_control():
    async with host(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as path:
        control = await Trial(SETTINGS).control(path.host, path.port, "iris.localhost")
    assert not control.holds
    assert "a name that it does not have" in control.words


MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("parts", "address", "words"), [
    ({"exclude": ("10.0.0.5",)}, "10.0.0.5", "excluded"),
    ({"exclude": ("10.0.0.0/24",)}, "10.0.0.5", "excluded"),
    ({"exclude": ("10.0.0.0/24",), "allow_public": True}, "10.0.1.5", None),
    ({}, "8.8.8.8", "public"),
    ({"allow_public": True}, "8.8.8.8", None),
    ({"quiet": ("08:00-18:00",)}, "10.0.0.5", "quiet hours"),
    ({"quiet": ("18:00-08:00",)}, "10.0.0.5", None),
    ({}, "10.0.0.5", None),
    ({}, "fe80::1%eth0", None),
])  # fmt: skip
def test_a_scope_forbids(parts: dict[str, object], address: str, words: str | None):
    scope = Scope.model_validate({"name": "lab", "targets": ("10.0.0.0/16",), "created_at": NOW} | parts)
    found = hindrance(scope, address, MONDAY_NOON)
    assert found is None if words is None else words in str(found)


async def test_what_the_scope_forbids_is_not_sent():
    called: list[bytes] = []

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(await reader.read(1))
        writer.close()

    scope = SCOPE.model_copy(update={"exclude": ("127.0.0.1",)})
    async with host(never) as path:
        assert await one(path, scope) is Direct.UNKNOWN
    assert not called
