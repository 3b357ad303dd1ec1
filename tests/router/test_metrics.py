"""The page for Prometheus: its form, and the little server that gives it to loopback."""

import asyncio
import re
import socket
from typing import Any

import pytest
from making import NOW, route

from inventory.model import GatewayStatus, Refusal, Revision, Traffic
from router.metrics import Exporter, render

TRAFFIC = [
    Traffic(route="iris", backend="origin", requests=10, failures=2, in_flight=3, latency={5: 8, 20: 2}),
    Traffic(route="iris", backend="replacement", shadowed=4),
]
GATEWAY = GatewayStatus(
    id='a"b\\c', address="x:1", healthy=True, heartbeat_at=NOW, revisions={"iris": 1, "wine": 1},
    refused={"iris": Refusal(error="no", number=2)}, unknown_hosts=5, restarts=1,
)  # fmt: skip
DESIRED = [Revision(route=name, number=number, spec=route(name), at=NOW, who="a", why="b")
           for name, number in (("iris", 2), ("wine", 1))]  # fmt: skip
LINE = re.compile(r'^[a-z_]+({([a-z]+="(\\.|[^"\\])*",?)+})? [0-9.e+-]+$')


def test_every_line_has_the_form_and_every_value_its_meaning() -> None:
    page = render(TRAFFIC, [GATEWAY], DESIRED)
    assert page.endswith("\n")
    lines = page.splitlines()
    assert [line for line in lines if not line.startswith("#") and not LINE.match(line)] == []
    for expected in (
        'gnomon_requests_total{route="iris",backend="origin"} 10',
        'gnomon_failures_total{route="iris",backend="origin"} 2',
        'gnomon_shadowed_total{route="iris",backend="replacement"} 4',
        'gnomon_in_flight{route="iris",backend="origin"} 3',
        'gnomon_latency_seconds_bucket{route="iris",backend="origin",le="0.005"} 8',
        'gnomon_latency_seconds_bucket{route="iris",backend="origin",le="0.02"} 10',
        'gnomon_latency_seconds_bucket{route="iris",backend="origin",le="+Inf"} 10',
        'gnomon_latency_seconds_count{route="iris",backend="origin"} 10',
        "gnomon_routes_desired 2",
        'gnomon_gateway_up{gateway="a\\"b\\\\c"} 1',
        'gnomon_gateway_routes_behind{gateway="a\\"b\\\\c"} 1',
        'gnomon_gateway_routes_refused{gateway="a\\"b\\\\c"} 1',
        'gnomon_gateway_unknown_hosts_total{gateway="a\\"b\\\\c"} 5',
    ):
        assert expected in lines
    types = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


async def answer(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(15):
        found = await reader.read()
    writer.close()
    return found


async def test_the_page_is_served_on_loopback(store: Any, until: Any) -> None:
    store.routes.put(route("iris"), who="ana", why="x")
    stop, exporter = asyncio.Event(), Exporter(store, 0)
    serving = asyncio.create_task(exporter.run(stop))
    await until(lambda: exporter.port)
    page = await answer(exporter.port, b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"gnomon_routes_desired 1\n" in page
    for request in (b"POST /metrics HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
        assert (await answer(exporter.port, request)).startswith(b"HTTP/1.1 404 ")
    assert await answer(exporter.port, b"x" * 20_000) == b""
    stop.set()
    await serving


async def test_a_port_in_use_is_said_and_harms_nothing(store: Any, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stop = asyncio.Event()
        serving = asyncio.create_task(Exporter(store, taken.getsockname()[1]).run(stop))
        while "set metrics_port" not in caplog.text:
            assert not serving.done()
            await asyncio.sleep(0.01)
        stop.set()
        await serving
