"""The interpreter on loopback: schemes, limits, and that nothing a host does raises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inventory.model import Exposed, Identified, Kind, Listener, Postured, Questioned, Scheme
from scanner.findings import Finding, Limits
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questions import question

KNOWLEDGE = load_knowledge()
LIMITS = Limits(connect=0.5, answer=0.5, host=3.0)
Respond = Callable[[str, str], bytes]
WERKZEUG = b"<title>404 Not Found</title>The requested URL was not found on the server. If you entered the URL manually"


async def let_the_loop_turn() -> None:
    """Connections that were just accepted get their handler, and those just dropped are closed."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def host(respond: Respond) -> AsyncIterator[Listener]:
    tasks: set[asyncio.Task[Any] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.decode("latin-1").split(" ", 2)
                payload = respond(method, path)
                if payload == b"hold":
                    await asyncio.Event().wait()
                if not payload:
                    return
                writer.write(payload)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await let_the_loop_turn()
        for task in tasks:
            assert task is not None
            task.cancel()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        await let_the_loop_turn()


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def fact(findings: tuple[Finding, ...], kind: type) -> Any:
    return next(f.fact for f in findings if isinstance(f.fact, kind))


async def test_a_flask_model_is_told_with_everything_that_was_asked() -> None:
    seen: list[tuple[str, str]] = []

    def respond(method: str, path: str) -> bytes:
        seen.append((method, path))
        if path == "/predict":
            return http(200, b"", "Allow: POST, OPTIONS")
        return http(404, WERKZEUG, "Content-Type: text/html")

    async with host(respond) as listener:
        ledger = Ledger(KNOWLEDGE)
        findings = await question(listener, KNOWLEDGE, LIMITS, ledger)
    assert fact(findings, Exposed).scheme is Scheme.HTTP
    assert fact(findings, Identified).product == "flask"
    assert fact(findings, Identified).is_model_endpoint
    assert fact(findings, Postured).decided_by == "OPTIONS /predict"
    asked = fact(findings, Questioned).requests
    assert [(a.method, a.path) for a in asked] == seen
    assert ledger.requests == len(seen)
    assert ledger.asked(listener) == ()


@pytest.mark.parametrize(
    ("payload", "kind", "scheme"),
    [
        (b"", Kind.NOT_HTTP, Scheme.TCP),
        (b"hold", Kind.NOT_HTTP, Scheme.TCP),
        (b"-ERR unknown command\r\n", Kind.NOT_HTTP, Scheme.TCP),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18, Kind.NOT_HTTP, Scheme.GRPC),
        (b"HTTP/1.1 200 OK\r\nServer: x\r\n", Kind.ORDINARY_WEB, Scheme.HTTP),
        (b"HTTP/1.1 2", Kind.ORDINARY_WEB, Scheme.HTTP),
        (b"HTTP/1.1 302 X\r\nLocation: http://[::1:80/\r\nContent-Length: 0\r\n\r\n", Kind.ORDINARY_WEB, Scheme.HTTP),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"[" * 90000, Kind.ORDINARY_WEB, Scheme.HTTP),
    ],
)  # fmt: skip
async def test_whatever_a_host_does_is_a_finding(payload: bytes, kind: Kind, scheme: Scheme) -> None:
    async with host(lambda method, path: payload) as listener:
        findings = await asyncio.wait_for(question(listener, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE)), 8)
    assert fact(findings, Identified).kind is kind
    assert fact(findings, Exposed).scheme is scheme


async def test_the_time_of_a_host_is_bounded_and_what_was_learnt_is_kept() -> None:
    def respond(method: str, path: str) -> bytes:
        return http(404, b'{"detail":"Not Found"}', "Content-Type: application/json") if "-" in path else b"hold"

    limits = Limits(connect=0.5, answer=5.0, host=0.6)
    async with host(respond) as listener:
        findings = await asyncio.wait_for(question(listener, KNOWLEDGE, limits, Ledger(KNOWLEDGE)), 4)
    identified = fact(findings, Identified)
    assert (identified.product, identified.conclusive) == ("fastapi", False)
    assert fact(findings, Exposed).scheme is Scheme.HTTP


async def test_one_slow_host_does_not_slow_the_others() -> None:
    loop = asyncio.get_running_loop()
    async with host(lambda m, p: b"hold") as slow, host(lambda m, p: http(404)) as quick:
        ledger = Ledger(KNOWLEDGE)
        waiting = asyncio.create_task(question(slow, KNOWLEDGE, Limits(answer=3.0, host=3.0), ledger))
        started = loop.time()
        findings = await question(quick, KNOWLEDGE, LIMITS, ledger)
        assert loop.time() - started < 2.5
        assert fact(findings, Identified).kind is Kind.ORDINARY_WEB
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_closed_port_is_a_finding_too() -> None:
    async with host(lambda m, p: b"") as listener:
        pass
    findings = await question(listener, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE))
    assert fact(findings, Identified).kind is Kind.NOT_HTTP
    assert fact(findings, Questioned).requests == ()
