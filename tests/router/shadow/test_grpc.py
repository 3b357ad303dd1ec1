"""gRPC calls through a real Envoy, copied to a second real server.

They are compared by status and the size of answers, and by what the messages say where the route has a descriptor.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from describing import PREDICT, WATCH, answer_class, frame, kept

from inventory.model import RouteSpec, utc_now
from router.controller import Beside
from router.shadow.monitor import Monitor
from router.shadow.replay import send_all
from router.shadow.samples import Sample

pytestmark = pytest.mark.e2e

Until = Callable[..., Awaitable[Any]]
HOST = "iris.localhost"
OPTIONS = (("grpc.default_authority", HOST),)


async def monitor(here: Beside, stop: asyncio.Event) -> None:
    await Monitor(here.store, here.capture).run(stop)


@contextlib.asynccontextmanager
async def model(*, defective: bool) -> AsyncIterator[int]:
    """Repeats what it is asked. The defective one fails where it is asked for "fail", and says "long" a hundredfold."""

    async def predict(asked: bytes, context: Any) -> bytes:
        if defective and asked == b"fail":
            await context.abort(grpc.StatusCode.INTERNAL, "a defect")
        return asked * 100 if defective and asked == b"long" else asked

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(predict)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("iris.Model", {"Predict": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


def routed(incumbent: int, candidate: int, **more: Any) -> RouteSpec:
    ports = {"incumbent": incumbent, "candidate": candidate}
    listed = [
        {"name": name, "url": f"http://127.0.0.1:{port}", "protocol": "http2", "weight": 100 * (name == "incumbent")}
        for name, port in ports.items()
    ]
    shadow = {"backend": "candidate", "percent": 100}
    return RouteSpec.model_validate({"name": "iris", "hosts": (HOST,), "backends": listed, "shadow": shadow, **more})


async def test_calls_are_compared_by_status_and_size(run_controller: Any, until: Until) -> None:
    async with (
        model(defective=False) as incumbent,
        model(defective=True) as candidate,
        run_controller(companions=[monitor]) as rig,
    ):
        await rig.put(routed(incumbent, candidate))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.settings.gateway_port}", options=OPTIONS) as channel:
            call = channel.unary_unary(PREDICT)
            for asked in (b"good",) * 5 + (b"fail",) * 3 + (b"long",) * 2:
                assert await call(asked) == asked
        await until(lambda: [row.pairs for row in rig.store.shadow.of("iris")] == [10])
        (evidence,) = rig.store.shadow.of("iris")
    assert (evidence.agreed, evidence.lost, evidence.incomparable) == (5, 0, 0)
    assert evidence.paths == {"grpc-status": 3, "size": 2}
    assert ("0", "13") in {(one.primary, one.shadow) for one in evidence.disagreements}
    assert evidence.unread == {}


@contextlib.asynccontextmanager
async def speaking(*, retrained: bool) -> AsyncIterator[int]:
    """Answers with messages. The retrained one compresses them, is slower, and calls a large virginica a versicolor."""
    answer: Any = answer_class()

    def said(asked: bytes) -> bytes:
        wrong = retrained and asked == b"large"
        label, score = ("versicolor", 0.9) if wrong else ("virginica", 0.8)
        took = 9 if retrained else 3
        return bytes(answer(label=label, score=score, took_ms=took, raw=bytes(500)).SerializeToString())

    async def predict(asked: bytes, _context: Any) -> bytes:
        return said(asked)

    async def watch(asked: bytes, _context: Any) -> AsyncIterator[bytes]:
        for one in (b"small", asked, b"small"):
            yield said(one)

    server = grpc.aio.server(compression=grpc.Compression.Gzip if retrained else None)
    handlers = {
        "Predict": grpc.unary_unary_rpc_method_handler(predict),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
        "Train": grpc.unary_unary_rpc_method_handler(predict),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("iris.Model", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def test_messages_are_compared_field_by_field_where_the_route_has_a_descriptor(
    run_controller: Any, until: Until
) -> None:
    more = {"descriptor": kept(), "comparison": {"ignore": ["$.took_ms", "$[*].took_ms", "$.score"]}}
    async with (
        speaking(retrained=False) as incumbent,
        speaking(retrained=True) as candidate,
        run_controller(companions=[monitor]) as rig,
    ):
        await rig.put(routed(incumbent, candidate, **more))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.settings.gateway_port}", options=OPTIONS) as channel:
            for asked in (b"small",) * 6 + (b"large",) * 4:
                await channel.unary_unary(PREDICT)(asked)
            for asked in (b"small", b"large"):
                assert len([one async for one in channel.unary_stream(WATCH)(asked)]) == 3
            await channel.unary_unary("/iris.Model/Train")(b"small")
        await until(lambda: [row.pairs for row in rig.store.shadow.of("iris")] == [13])
        (evidence,) = rig.store.shadow.of("iris")
    assert (evidence.lost, evidence.incomparable) == (0, 0)
    assert evidence.paths == {"$.label": 4, "$[*].label": 1, "$[*].score": 1, "size": 1}
    assert evidence.swaps["$.label"] == {'"virginica" -> "versicolor"': 4}
    assert evidence.unread == {"the descriptor does not have the method": 1}
    example = next(one for one in evidence.disagreements if one.group == "$[*].label")
    assert (example.path, example.operation) == ("$[1].label", f"POST {WATCH}")


def kept_call(path: str, asked: bytes, *answers: bytes) -> Sample:
    return Sample(
        at=utc_now(), method="POST", path=path, request_type="application/grpc", code=200, grpc_status=0,
        request=base64.b64encode(frame(asked)).decode(), content_type="application/grpc", micros=900,
        answer=base64.b64encode(b"".join(frame(one, compressed=True) for one in answers)).decode(),
    )  # fmt: skip


async def test_kept_calls_are_replayed_as_calls() -> None:
    answer: Any = answer_class()
    good, other = (
        answer(label=label, score=score, took_ms=3, raw=bytes(500)).SerializeToString()
        for label, score in (("virginica", 0.8), ("versicolor", 0.9))
    )
    samples = [
        kept_call(PREDICT, b"small", good),
        kept_call(PREDICT, b"large", good),
        kept_call(WATCH, b"large", good, other, good),
        kept_call("/iris.Model/Absent", b"small", good),
    ]
    comparison = {"ignore": ["$.took_ms", "$[*].took_ms", "$.score"]}
    async with speaking(retrained=True) as candidate:
        url = f"http://127.0.0.1:{candidate}"
        described, plain = [
            await asyncio.to_thread(send_all, samples, routed(1, 2, comparison=comparison, descriptor=text), url)
            for text in (kept(), "")
        ]
    assert described is not None
    assert (described.compared, described.agreed, described.new_errors) == (4, 2, 0)
    assert described.paths == {"$.label": 1, "grpc-status": 1}
    assert plain is not None
    assert (plain.agreed, plain.paths) == (3, {"grpc-status": 1})
    gone = await asyncio.to_thread(send_all, samples[:2], routed(1, 2, descriptor=kept()), url)
    assert gone is not None
    assert (gone.pairs, gone.new_errors) == (2, 2)
