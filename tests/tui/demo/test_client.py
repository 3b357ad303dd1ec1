"""The callers' connection against bytes of every kind: what is an answer, and what is a failure."""

import asyncio
import socket

import pytest

from tui.demo.client import MAX_BODY_BYTES, CallError, Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",
            200,
            b"abcde",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
            200,
            b"a",
        ),
    ],
)
async def test_every_framing_is_read(serve, sent, status, body):
    async with Connection(*await serve(sent)) as connection:
        answer = await connection.request("GET", "/")
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "connection failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "connection failed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-4\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, "not an HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not an HTTP answer"),
        (b"220 mail ESMTP\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 1), "not an HTTP answer"),
    ],
)
async def test_whatever_is_no_whole_answer_is_a_failure(serve, sent, why):
    async with Connection(*await serve(sent)) as connection:
        with pytest.raises(CallError, match=why):
            await connection.request("GET", "/")


async def test_a_silent_server_is_given_up_in_time(serve):
    async with Connection(*await serve(close=False)) as connection:
        with pytest.raises(CallError, match=r"no answer within 0\.05 s"):
            await connection.request("GET", "/", seconds=0.05)


async def test_a_closed_port_is_a_failure():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Connection(*unused.getsockname()) as connection:
            with pytest.raises(CallError, match="ConnectionRefusedError"):
                await connection.request("GET", "/")


async def test_a_connection_is_kept_and_a_closed_one_is_not_hidden(serve):
    """Two answers on one connection; the third request meets its end, and is a failure, not a retry."""
    second = OK.replace(b"ok", b"2!")
    async with Connection(*await serve(OK, second)) as connection:
        assert (await connection.request("GET", "/")).body == b"ok"
        assert (await connection.request("POST", "/", b"{}")).body == b"2!"
        with pytest.raises(CallError, match="connection failed"):
            await connection.request("GET", "/")
        assert (await connection.request("GET", "/")).body == b"ok", "a new connection after the failure"


@pytest.mark.parametrize("parting", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                                     b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"])  # fmt: skip
async def test_an_announced_close_costs_no_request(serve, parting):
    async with Connection(*await serve(parting)) as connection:
        for _ in range(3):
            assert (await connection.request("GET", "/")).status == 200


async def test_a_cancelled_request_does_not_leave_its_answer_to_the_next(serve):
    address = await serve(close=False)
    async with Connection(*address) as connection:
        request = asyncio.create_task(connection.request("GET", "/"))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert connection._streams is None
