"""The client against servers on loopback that behave badly, each in its own way."""

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from certificates import self_signed

from scanner.exchange import Answer, Method, Request
from scanner.findings import Limits
from scanner.io.http import USER_AGENT, HttpConnection

LIMITS = Limits(connect=1.0, answer=0.4, body=4096, header=2048)
Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


async def let_the_loop_turn() -> None:
    """Connections that were just accepted get their handler, and those just dropped are closed."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await serve(head, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await let_the_loop_turn()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await let_the_loop_turn()


async def one(payload: bytes, *, then: str = "hold", method: Method = "GET", limits: Limits = LIMITS) -> Answer:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(payload)
        if then == "close":
            await writer.drain()
            writer.close()

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, limits)
        answer = await connection.ask(Request(method, "/", "/"))
        connection.close()
        return answer


@pytest.mark.parametrize(
    ("payload", "then", "status", "outcome", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "hold", 200, "answered", b"ok"),
        (b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "hold", 404, "answered", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "close", 200, "answered", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hold", 200, "answered", b"hi"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "hold",
            200,
            "answered",
            b"ok",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "hold", None, "invalid-http", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "close", 200, "closed", b"half"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "hold", 200, "timeout", b"half"),
        (b"HTTP/1.1 200 OK\r\nServer: slow\r\n", "hold", 200, "timeout", b""),
        (b"", "hold", None, "timeout", b""),
        (b"", "close", None, "closed", b""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "hold", None, "invalid-http", b""),
        (b"HTTP/1.1 200 OK\nno colon here\n\n", "hold", None, "invalid-http", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "hold", None, "invalid-http", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "hold", None, "invalid-http", b""),
        (b"\x00" * 600, "hold", None, "invalid-http", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "hold", 204, "answered", b""),
    ],
)
async def test_every_answer_ends(payload: bytes, then: str, status: int | None, outcome: str, body: bytes) -> None:
    answer = await one(payload, then=then)
    if status is None and outcome == "invalid-http":
        assert answer.status is None
        assert answer.outcome in {"invalid-http", "closed"}
    else:
        assert (answer.status, answer.outcome, answer.body) == (status, outcome, body)


async def test_a_body_is_cut_at_its_limit() -> None:
    answer = await one(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000)
    assert (answer.status, answer.outcome, len(answer.body)) == (200, "too-large", LIMITS.body)


@pytest.mark.parametrize("head", [b"X-Pad: " + b"a" * 90_000, b"\r\n".join(b"X-%d: y" % n for n in range(9000))])
async def test_a_head_is_cut_at_its_limit(head: bytes) -> None:
    answer = await one(b"HTTP/1.1 200 OK\r\n" + head)
    assert (answer.outcome, answer.body) == ("too-large", b"")
    assert len(answer.headers) <= 256


async def test_a_compression_bomb_is_cut_at_its_limit() -> None:
    bomb = gzip.compress(b"0" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    answer = await one(head + bomb)
    assert (answer.outcome, len(answer.body)) == ("too-large", LIMITS.body)


async def test_what_claims_to_be_compressed_and_is_not_has_no_body() -> None:
    answer = await one(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    assert (answer.status, answer.body) == (200, b"")


async def test_the_head_of_a_page_does_not_wait_for_its_body() -> None:
    answer = await one(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", method="HEAD")
    assert (answer.status, answer.outcome) == (200, "answered")


async def test_an_endless_body_costs_a_bounded_time() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"lorem ipsum " * 200)
            await writer.drain()

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS)
        answer = await asyncio.wait_for(connection.ask(Request("GET", "/", "/")), 2)
        connection.close()
    assert answer.outcome == "too-large"


async def test_connections_are_kept_and_what_goes_out_is_honest() -> None:
    heads: list[bytes] = []
    peers: set[int] = set()

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        peers.add(writer.get_extra_info("peername")[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS)
        for path in ("/a", "/b?c=1", "/d"):
            assert (await connection.ask(Request("GET", path, path))).status == 200
        connection.close()
    assert len(peers) == 1
    assert [head.split(b" ")[1] for head in heads] == [b"/a", b"/b?c=1", b"/d"]
    for head in heads:
        assert f"Host: 127.0.0.1:{port}\r\nUser-Agent: {USER_AGENT}".encode() in head
        assert not any(secret in head.lower() for secret in (b"cookie", b"authorization"))


async def test_a_kept_connection_that_was_dropped_is_opened_again() -> None:
    count = 0

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        if count == 1:
            writer.close()

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS)
        assert (await connection.ask(Request("GET", "/", "/"))).status == 200
        assert (await connection.ask(Request("GET", "/", "/"))).status == 200
        connection.close()
    assert count == 2


async def test_a_closed_port_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = await HttpConnection("127.0.0.1", port, LIMITS).ask(Request("GET", "/", "/"))
    assert (answer.status, answer.outcome) == (None, "refused")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("scores.corp.example", "*.ml.example", "192.0.2.7")
    return self_signed(tmp_path_factory.mktemp("tls"), "scores.corp.example", names)


async def test_tls_is_spoken_and_the_certificate_kept(certificate: Path) -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with server(serve, context) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS, tls=True)
        assert (await connection.ask(Request("GET", "/", "/"))).body == b"ok"
        assert connection.certificate is not None
        plain = HttpConnection("127.0.0.1", port, LIMITS)
        assert (await plain.ask(Request("GET", "/", "/"))).status is None
        connection.close()
        plain.close()


async def test_tls_to_a_server_that_has_none_fails_in_time() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"")

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS, tls=True)
        assert not await connection.connect()
        assert connection.failure in {"tls", "timeout", "reset"}


async def test_what_a_host_says_before_it_is_asked_is_its_answer() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        said.set()
        await reader.read()
        writer.transport.abort()

    said = asyncio.Event()
    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listening:
        connection = HttpConnection("127.0.0.1", listening.sockets[0].getsockname()[1], LIMITS)
        assert await connection.connect()
        await said.wait()
        answer = await connection.ask(Request("GET", "/", "/"))
        connection.close()
    await let_the_loop_turn()
    assert (answer.outcome, answer.raw) == ("invalid-http", b"SSH-2.0-OpenSSH_9.2\r\n")


async def test_what_nobody_asked_for_is_not_the_next_answer() -> None:
    """The second answer is on its way before the second question: that connection is not used again."""
    peers: list[int] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[1])
        path = head.split(b" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
        if path == b"/first":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS)
        assert (await connection.ask(Request("GET", "/first", "/first"))).body == b"/first"
        assert (await connection.ask(Request("GET", "/second", "/second"))).body == b"/second"
        connection.close()
    assert len(set(peers)) == 2


async def test_a_loop_that_stands_still_costs_no_host_its_answer() -> None:
    """The answer is there when the loop turns again, long after its deadline."""

    def stand_still(head: bytes) -> None:
        until = time.monotonic() + 2 * LIMITS.answer
        while time.monotonic() < until:
            pass

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        stand_still(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with server(serve) as port:
        connection = HttpConnection("127.0.0.1", port, LIMITS)
        answer = await connection.ask(Request("GET", "/", "/"))
        connection.close()
    assert (answer.status, answer.outcome) == (200, "answered")


async def test_a_great_page_comes_whole_over_tls(certificate: Path) -> None:
    page = b"x" * 300_000

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with server(serve, context) as port:
        connection = HttpConnection("127.0.0.1", port, Limits(answer=20, body=len(page)), tls=True, name="a.example")
        for _ in range(2):
            assert (await connection.ask(Request("GET", "/", "/"))).body == page
        connection.close()


async def test_a_name_that_cannot_be_said_in_tls_fails_the_connection_alone() -> None:
    connection = HttpConnection("127.0.0.1", 9, LIMITS, tls=True, name=".example")
    answer = await connection.ask(Request("GET", "/", "/"))
    assert (answer.status, answer.outcome) == (None, "tls")
