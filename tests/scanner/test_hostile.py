"""Hosts that mean harm, on real sockets: each costs bounded requests, bytes and seconds, and leads to nobody else."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from inventory.model import Identified, Listener, Questioned
from scanner.findings import Finding, Limits
from scanner.knowledge import load_knowledge
from scanner.ledger import Ledger
from scanner.questions import question

KNOWLEDGE = load_knowledge()
LIMITS = Limits(connect=2.0, answer=1.0, host=6.0, body=65536)
PATIENCE = 20.0
Respond = Callable[[str, str], bytes]


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(respond: Respond, pause: float = 0.0) -> AsyncIterator[tuple[Listener, list[str]]]:
    """A host that answers as it is told, a byte at a time where there is a ``pause``. What it was asked is listed."""
    asked: list[str] = []
    running: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            while True:
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
                asked.append(line.rpartition(" ")[0])
                answer = respond(*line.split(" ")[:2])
                for part in [answer] if not pause else [answer[n : n + 1] for n in range(len(answer))]:
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(pause)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has had enough
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Listener(site="lab", address="127.0.0.1", port=server.sockets[0].getsockname()[1]), asked
    await asyncio.wait_for(asyncio.gather(*(task for task in running if task), return_exceptions=True), PATIENCE)


async def look(listener: Listener, limits: Limits = LIMITS) -> tuple[list[Identified], Questioned, tuple[Finding, ...]]:
    findings = await asyncio.wait_for(question(listener, KNOWLEDGE, limits, Ledger(KNOWLEDGE)), PATIENCE)
    facts = [finding.fact for finding in findings]
    asked = next(fact for fact in facts if isinstance(fact, Questioned))
    return [fact for fact in facts if isinstance(fact, Identified)], asked, findings


def round_and_round(method: str, path: str) -> bytes:
    return http("302 Found", b"", f"Location: {({'/': '/a', '/a': '/b'}).get(path, '/')}")


def ever_deeper(method: str, path: str) -> bytes:
    return http("302 Found", b"", f"Location: {path.rstrip('/')}/x")


@pytest.mark.parametrize("respond", [round_and_round, ever_deeper])
async def test_redirects_without_end_are_left(respond: Respond) -> None:
    async with serving(respond) as (listener, asked):
        (identified, *_), _, _ = await look(listener)
    assert not identified.is_model_endpoint
    assert len(asked) <= 16


async def test_a_redirect_off_the_listener_is_never_followed() -> None:
    async with serving(lambda method, path: http("200 OK")) as (other, reached):
        elsewhere = [
            f"http://127.0.0.1:{other.port}/",
            f"//127.0.0.1:{other.port}/",
            f"http://localhost:{other.port}/x",
        ]

        def respond(method: str, path: str) -> bytes:
            return http("302 Found", b"", f"Location: {elsewhere[len(path) % 3]}")

        async with serving(respond) as (listener, _):
            await look(listener)
    assert reached == []


async def test_headers_that_trickle_cost_one_answers_time() -> None:
    async with serving(lambda method, path: http("200 OK", b"", "X-Slow: " + "a" * 2000), pause=0.02) as (
        listener,
        asked,
    ):
        (identified, *_), _, _ = await look(listener)
    assert not identified.conclusive
    assert len(asked) <= 2


DEEP = {
    "arrays": b"[" * 60000,
    "open": b'{"paths":' * 6000,
    "closed": b'{"openapi":"3","paths":' + b'{"a":' * 9000 + b"1" + b"}" * 9001,
}


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP)
async def test_deep_json_is_no_description(deep: bytes) -> None:
    def respond(method: str, path: str) -> bytes:
        return http("200 OK" if path.endswith(".json") else "404 Not Found", deep, "Content-Type: application/json")

    async with serving(respond) as (listener, _):
        (identified, *_), _, _ = await look(listener)
    assert not identified.is_model_endpoint


async def test_a_description_of_any_size_is_read_in_part() -> None:
    paths = {f"/predict/{n}": {"post": {"operationId": f"predict_{n}"}} for n in range(5000)}
    document = json.dumps({"openapi": "3.1.0", "info": {"title": "x"}, "paths": paths}).encode()

    def respond(method: str, path: str) -> bytes:
        described = path == "/openapi.json"
        body = document if described else b'{"detail":"Not Found"}'
        return http("200 OK" if described else "404 Not Found", body, "Content-Type: application/json")

    async with serving(respond) as (listener, _):
        (identified, *_), _, _ = await look(listener, LIMITS.model_copy(update={"body": 4_000_000}))
    assert identified.is_model_endpoint
    assert len(identified.inference_routes) <= 64


async def test_a_compression_bomb_on_every_path_costs_the_limit() -> None:
    bomb = gzip.compress(b"<a href='/x/'>" * 2_000_000)
    answer = http("200 OK", bomb, "Content-Encoding: gzip", "Content-Type: text/html")
    async with serving(lambda method, path: answer) as (listener, _):
        _, asked, _ = await look(listener)
    assert all(one.bytes <= LIMITS.body for one in asked.requests)
    assert len(asked.requests) <= 3


async def test_nothing_that_a_host_says_reaches_a_terminal_raw() -> None:
    title = "\x1b]0;owned\x07\x1b[2J[bold red]model[/] \u202egpj.exe"
    body = f'<title>{title}</title><form method=post action="/predict\x1b[2J">'.encode()

    def respond(method: str, path: str) -> bytes:
        headers = ("Content-Type: text/html", f"Server: nginx\x1b[31m/{title}", f"X-Powered-By: {title}")
        return http("200 OK" if path == "/" else "404 Not Found", body, *headers)

    async with serving(respond) as (listener, _):
        _, _, findings = await look(listener)
    said = "".join(finding.model_dump_json() for finding in findings)
    assert not any(mark in said for mark in ("\x1b", "\\u001b", "\x07", "\\u0007", "\u202e", "\\u202e"))


@pytest.mark.parametrize("allow", ["POST, OPTIONS", "GET, POST"])
async def test_a_host_that_allows_everything_everywhere_shows_no_route(allow: str) -> None:
    def respond(method: str, path: str) -> bytes:
        status = "200 OK" if method == "OPTIONS" else "404 Not Found"
        return http(status, b"", f"Allow: {allow}", "Server: aiohttp/3")

    async with serving(respond) as (listener, asked):
        (identified, *_), _, _ = await look(listener)
    assert not identified.is_model_endpoint
    assert len([text for text in asked if text.startswith("OPTIONS")]) <= 2


async def test_a_page_of_links_without_number_leads_to_few_requests() -> None:
    links = "".join(f"<a href='/team-{n}/'>team {n}</a>" for n in range(4000)).encode()
    async with serving(lambda method, path: http("200 OK", links + path.encode(), "Content-Type: text/html")) as (
        listener,
        asked,
    ):
        await look(listener)
    assert len(asked) <= LIMITS.requests
