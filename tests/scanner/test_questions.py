"""The interpreter on loopback: schemes, limits, and that nothing a host does raises."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from certificates import self_signed

from inventory.model import Exposed, Identified, Kind, Listener, Posture, Postured, Questioned, Scheme
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
    assert fact(findings, Postured).posture is Posture.UNKNOWN
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


async def test_an_application_behind_a_name_is_found_on_the_same_listener() -> None:
    """The host answers by the Host header, as a reverse proxy with virtual hosts does."""
    hosts: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                said = head.lower().partition("\r\nhost: ")[2].partition("\r\n")[0]
                hosts.append(said)
                if not said.startswith("models.example"):
                    answer = http(302, b"", "Location: https://models.example/")
                elif (method, path) == ("OPTIONS", "/predict"):
                    answer = http(200, b"", "Allow: POST, OPTIONS")
                else:
                    answer = http(404, WERKZEUG, "Content-Type: text/html")
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        listener = Listener(site="lab", address="127.0.0.1", port=port)
        findings = await question(listener, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE))
    await let_the_loop_turn()
    identified = [f for f in findings if isinstance(f.fact, Identified)]
    assert [f.fact.is_model_endpoint for f in identified if isinstance(f.fact, Identified)] == [True]
    assert "models.example" in identified[0].evidence[0].signal
    assert set(hosts) == {f"127.0.0.1:{port}", f"models.example:{port}"}
    assert len(fact(findings, Questioned).requests) <= LIMITS.requests


async def test_the_name_of_a_certificate_is_said_in_sni_and_host_to_the_same_port(tmp_path: Path) -> None:
    self_signed(tmp_path, "notebooks.example", ("notebooks.example", "*.other.example"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    names: list[str | None] = []
    context.sni_callback = lambda tls, name, _: names.append(name)
    hosts: set[str] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                host = head.lower().partition("\r\nhost: ")[2].partition(":")[0]
                hosts.add(host)
                path = head.split(" ", 2)[1]
                if host != "notebooks.example":
                    answer = http(404, b"nothing here")
                elif path == "/api":
                    answer = http(200, b'{"version": "2.17.0"}', "Content-Type: application/json")
                else:
                    policy = "Content-Security-Policy: frame-ancestors 'self'; report-uri /api/security/csp-report"
                    answer = http(404, b"<title>Jupyter Server</title>", "Content-Type: text/html", policy)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with server:
        listener = Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
        findings = await question(listener, KNOWLEDGE, LIMITS, Ledger(KNOWLEDGE))
    await let_the_loop_turn()
    assert fact(findings, Exposed).scheme is Scheme.HTTPS
    identified = fact(findings, Identified)
    assert (identified.product, identified.version) == ("jupyter-server", "2.17.0")
    assert set(names) == {None, "notebooks.example"}
    assert hosts == {"127.0.0.1", "notebooks.example"}
