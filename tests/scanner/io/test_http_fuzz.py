"""Bytes that nobody planned for, through the client over a real socket: every answer ends and stays within limits."""

import asyncio

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scanner.exchange import Answer, Method, Request
from scanner.findings import Limits
from scanner.io.http import HttpConnection

LIMITS = Limits(connect=1.0, answer=0.3, body=2048, header=1024)
OUTCOMES = {"answered", "timeout", "reset", "closed", "invalid-http", "too-large"}

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 \r\n",
        b"HTTP/1.1 99999 X\r\n",
        b"HTTP/2 200\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 18446744073709551616\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Location: //\x1b[2J\xff\r\n",
        b"X: " + b"y" * 1500 + b"\r\n",
        b" folded\r\n",
        b"\r\n",
        b"hello",
        b"5\r\nhello\r\n",
        b"ffffffffffffffff\r\n",
        b"0\r\n\r\n",
        b"\x1f\x8b\x08\x00" + b"\x00" * 20,
        b"\x00",
        b"\n\n",
        b"z" * 3000,
    ]
)
PAYLOADS = st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=10)


async def turns() -> None:
    """Let everything go on that can at once."""
    for _ in range(10):
        await asyncio.sleep(0)


async def exchange(chunks: list[bytes], method: Method) -> tuple[Answer, Answer]:
    """The answers to two requests on a connection to a server that sends these bytes for each and hangs up at last."""

    accepted: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with listening:
        connection = HttpConnection("127.0.0.1", listening.sockets[0].getsockname()[1], LIMITS)
        first = await connection.ask(Request(method, "/"))
        second = await connection.ask(Request("GET", "/again"))
        connection.close()
        # Whatever was accepted is given its handler, and then let go with what it has not sent.
        await turns()
    for writer in accepted:
        writer.transport.abort()
    await turns()
    return first, second


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PAYLOADS, st.sampled_from(["GET", "HEAD", "OPTIONS"]))
@example([b"HTTP/1.1 200 OK\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"ffffffffffffffff\r\n"], "GET")
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"], "GET")
@example([b"HTTP/1.1 100 Continue\r\n\r\n"] * 10, "GET")
def test_any_bytes_come_back_as_an_answer_within_the_limits(chunks: list[bytes], method: Method) -> None:
    for answer in asyncio.run(exchange(chunks, method)):
        assert answer.outcome in OUTCOMES
        assert len(answer.body) <= LIMITS.body
        assert len(answer.raw) <= 512
        assert answer.milliseconds < 2 * 1000 * (LIMITS.answer + LIMITS.connect)
        assert answer.status is None or 0 <= answer.status <= 999 or answer.outcome != "answered"
        assert isinstance(answer.shape, tuple)
        assert answer.document is None or answer.body
