"""Against servers that speak HTTP/2 only, made of the published protocol's own state machine."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from inventory.model import Certificate, Exposed, Identified, Kind, Listener, Questioned, Scheme
from scanner.exchange import Request
from scanner.findings import Limits
from scanner.io.http2 import Http2Connection
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questions import question
from tests.support.certificates import self_signed

KNOWLEDGE = load_knowledge()
LIMITS = Limits(connect=2.0, answer=2.0, host=10.0, body=65536)
DESCRIBED = json.dumps({
    "openapi": "3.1.0", "info": {"title": "Wheat", "version": "1"},
    "paths": {"/predict": {"post": {"operationId": "predict_predict_post"}}},
}).encode()  # fmt: skip
Respond = Callable[[Any, int, str, str], None]


def fastapi(session: Any, stream: int, method: str, path: str) -> None:
    """A FastAPI service as it answers over HTTP/2."""
    body = DESCRIBED if path == "/openapi.json" else b'{"detail":"Not Found"}'
    status = "200" if path == "/openapi.json" else "404"
    session.send_headers(stream, [(":status", status), ("content-type", "application/json")])
    session.send_data(stream, body, end_stream=True)


def endless(session: Any, stream: int, method: str, path: str) -> None:
    """More than any limit, as fast as the window lets it."""
    session.send_headers(stream, [(":status", "200"), ("content-type", "text/plain")])
    for _ in range(3):
        session.send_data(stream, b"x" * 16000)


def silent(session: Any, stream: int, method: str, path: str) -> None:
    """Headers, and then nothing."""
    session.send_headers(stream, [(":status", "200")])


def reset(session: Any, stream: int, method: str, path: str) -> None:
    """No answer at all."""
    session.reset_stream(stream)


@asynccontextmanager
async def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """A server that closes on anything but HTTP/2."""

    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        session = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        session.initiate_connection()
        try:
            while data := await reader.read(65536):
                for event in session.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        named = dict(event.headers)
                        respond(session, event.stream_id, named[":method"], named[":path"])
                writer.write(session.data_to_send())
                await writer.drain()
        except (OSError, h2.exceptions.H2Error):
            writer.write(session.data_to_send())
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
    await asyncio.wait_for(asyncio.gather(*(task for task in running if task), return_exceptions=True), 5)


@pytest.fixture
def only_h2(tmp_path: Path) -> ssl.SSLContext:
    pair = self_signed(tmp_path, "wheat.internal", ("wheat.internal",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair / "cert.pem", pair / "key.pem")
    context.set_alpn_protocols(["h2"])
    return context


@pytest.mark.parametrize("within_tls", [False, True])
async def test_a_server_of_http2_only_is_questioned_as_any_other(only_h2: ssl.SSLContext, within_tls: bool) -> None:
    async with serving(fastapi, only_h2 if within_tls else None) as listener:
        findings = await question(listener, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE))
    facts = {type(finding.fact): finding.fact for finding in findings}
    assert facts[Exposed].scheme is (Scheme.HTTPS if within_tls else Scheme.HTTP)
    assert (facts[Identified].product, facts[Identified].kind) == ("fastapi", Kind.MODEL_ENDPOINT)
    assert [route.path for route in facts[Identified].inference_routes] == ["/predict"]
    assert (Certificate in facts) is within_tls
    assert {asked.method for asked in facts[Questioned].requests} <= {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(("respond", "outcome"), [(endless, "too-large"), (silent, "timeout"), (reset, "reset")])
async def test_every_way_to_end_is_an_answer(respond: Respond, outcome: str) -> None:
    limits = LIMITS.model_copy(update={"answer": 0.3, "body": 4096})
    async with serving(respond) as listener:
        connection = Http2Connection(listener.address, listener.port, limits)
        answer = await connection.ask(Request("GET", "/"))
        connection.close()
    assert answer.outcome == outcome
    assert len(answer.body) <= 4096


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 200 OK\r\n\r\n", b"\xff" * 64, b""])
async def test_what_is_no_http2_is_an_answer_too(garbage: bytes) -> None:
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(garbage)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        connection = Http2Connection("127.0.0.1", server.sockets[0].getsockname()[1], LIMITS)
        answer = await connection.ask(Request("GET", "/"))
        await asyncio.wait_for(done.wait(), 5)
    assert answer.status is None
    assert answer.outcome in {"invalid-http", "closed", "reset"}


async def test_a_server_that_agrees_on_no_http2_is_no_http2_server(only_h2: ssl.SSLContext) -> None:
    only_h2.set_alpn_protocols(["http/1.1"])
    async with serving(fastapi, only_h2) as listener:
        connection = Http2Connection(listener.address, listener.port, LIMITS, tls=True)
        assert not await connection.connect()
        assert (await connection.ask(Request("GET", "/"))).outcome == "reset"
