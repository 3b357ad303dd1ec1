"""gRPC calls through a real Envoy, copied to a second real server: compared by their status and the size of answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from inventory.model import RouteSpec
from router.controller import Beside
from router.shadow.monitor import Monitor

pytestmark = pytest.mark.e2e

Until = Callable[..., Awaitable[Any]]
HOST = "iris.localhost"
PREDICT = "/iris.Model/Predict"


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


async def test_calls_are_compared_by_status_and_size(run_controller: Any, until: Until) -> None:
    options = (("grpc.default_authority", HOST),)
    async with (
        model(defective=False) as incumbent,
        model(defective=True) as candidate,
        run_controller(companions=[monitor]) as rig,
    ):
        ports = {"incumbent": incumbent, "candidate": candidate}
        listed = [
            {
                "name": name,
                "url": f"http://127.0.0.1:{port}",
                "protocol": "http2",
                "weight": 100 * (name == "incumbent"),
            }
            for name, port in ports.items()
        ]
        shadow = {"backend": "candidate", "percent": 100}
        await rig.put(
            RouteSpec.model_validate({"name": "iris", "hosts": (HOST,), "backends": listed, "shadow": shadow})
        )
        async with grpc.aio.insecure_channel(f"127.0.0.1:{rig.settings.gateway_port}", options=options) as channel:
            call = channel.unary_unary(PREDICT)
            for asked in (b"good",) * 5 + (b"fail",) * 3 + (b"long",) * 2:
                assert await call(asked) == asked
        await until(lambda: [row.pairs for row in rig.store.shadow.of("iris")] == [10])
        (evidence,) = rig.store.shadow.of("iris")
    assert (evidence.agreed, evidence.lost, evidence.incomparable) == (5, 0, 0)
    assert evidence.paths == {"grpc-status": 3, "size": 2}
    assert ("0", "13") in {(one.primary, one.shadow) for one in evidence.disagreements}
