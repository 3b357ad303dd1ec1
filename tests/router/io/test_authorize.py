"""The authorisation service over real sockets: answers, refusals, and what must not stop it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from inventory.model import Decision
from router.io.authorize import HEAD_BYTES, AuthorizationService
from router.policy.asking import Asked


def decide(question: Asked) -> Decision:
    if question.route == "broken":
        raise RuntimeError("oops")
    small = int(question.context.get("size", 0)) < 100
    return Decision(allowed=small and question.principal == "ana", policies=("size", "who"))


@asynccontextmanager
async def serving(made: Callable[[Asked], Decision] = decide) -> AsyncIterator[AuthorizationService]:
    service = AuthorizationService(made)
    await service.start()
    try:
        yield service
    finally:
        await service.close()


async def ask(service: AuthorizationService, *requests: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    heads = []
    try:
        for request in requests:
            writer.write(request)
            heads.append(await reader.readuntil(b"\r\n\r\n"))
    finally:
        writer.close()
        await writer.wait_closed()
    return heads


def request(*headers: str, line: str = "POST /predict HTTP/1.1") -> bytes:
    return "\r\n".join([line, "host: x", *headers, "", ""]).encode("latin-1")


ANA = ("x-gnomon-identity: ana", "x-gnomon-route: iris")


async def test_requests_are_decided_one_after_the_other_on_a_connection():
    async with serving() as service:
        heads = await ask(service, request(*ANA), request(*ANA, "x-gnomon-size: 500"), request(*ANA[1:]))
    assert [head.split(b" ")[1] for head in heads] == [b"200", b"403", b"403"]
    assert all(b"\r\nx-gnomon-policy: size,who\r\n" in head for head in heads)


@pytest.mark.parametrize(
    "bad",
    [request(), request(*ANA, "x-gnomon-size: much"), request(*ANA, ANA[0]), request(*ANA, "content-length: 5"),
     request(*ANA, "transfer-encoding: chunked"), request(*ANA, " x: folded"),
     request(*ANA, line="GET http://x/ HTTP/1.1"),
     request(*ANA, line="GET / HTTP/1.0"), request(*ANA, "x: " + "y" * HEAD_BYTES), b"\x16\x03\x01\r\n\r\n"],
)  # fmt: skip
async def test_bad_input_is_refused_and_the_service_goes_on(bad: bytes):
    async with serving() as service:
        [head] = await ask(service, bad)
        assert head.startswith(b"HTTP/1.1 400 ")
        [head] = await ask(service, request(*ANA))
        assert head.startswith(b"HTTP/1.1 200 ")


async def test_a_decision_that_fails_refuses_and_the_connection_goes_on():
    async with serving() as service:
        heads = await ask(service, request("x-gnomon-route: broken"), request(*ANA))
    assert [head.split(b" ")[1] for head in heads] == [b"503", b"200"]


async def test_it_runs_until_it_is_stopped():
    stop = asyncio.Event()
    service = AuthorizationService(decide)
    stop.set()
    await asyncio.wait_for(service.run(stop), 5)
