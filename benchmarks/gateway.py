"""The gateway as gnomon configures it, beside a minimal hand-written Envoy: requests a second, and change to effect.

Both run at once in front of the same backend (an Envoy that answers by itself) and are measured in turns, so that
what else the machine does hits both. Prints requests a second of each, the processor time that each spends on a request
(steadier than a rate on a machine that does other things), their ratios, and how long a change of weights
takes from the store's write to the first answer that shows it.

Usage: ``python benchmarks/gateway.py [ROUNDS] [CHANGES]``.
"""

import asyncio
import json
import logging
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from inventory.model import RouteSpec
from inventory.settings import Settings
from inventory.store import Store, open_store
from router import desired
from router.controller import Controller
from router.gateways.envoy.binary import envoy_binary
from router.gateways.envoy.upstream import API

HOST = "bench.localhost"
CONNECTIONS = 16
ROUND_SECONDS = 1.0
TYPE_HCM = f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listener(port: int, name: str, routes: list[dict[str, object]]) -> dict[str, object]:
    manager = {
        "@type": TYPE_HCM,
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{API}.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "enable_reuse_port": False,
        "filter_chains": [{"filters": filters}],
    }


def minimal_proxy(port: int, backend: int) -> dict[str, object]:
    """A proxy as short as it can be written by hand."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": backend}}
    cluster = {
        "name": "origin",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "origin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    routes: list[dict[str, object]] = [{"match": {"prefix": "/"}, "route": {"cluster": "origin"}}]
    return {"static_resources": {"listeners": [listener(port, "minimal", routes)], "clusters": [cluster]}}


def servers(backends: dict[str, int]) -> dict[str, object]:
    """Backends that say their name, as fast as can be."""
    answers = {name: {"status": 200, "body": {"inline_string": name}} for name in backends}
    listeners = [
        listener(port, name, [{"match": {"prefix": "/"}, "direct_response": answers[name]}])
        for name, port in backends.items()
    ]
    return {"static_resources": {"listeners": listeners}}


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has had. Source: proc(5), fields utime and stime of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered. Answers are short: one read holds one."""

    def __init__(self, tally: list[int], request: bytes) -> None:
        self.tally = tally
        self.request = request
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count the answer and ask again."""
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        self.tally[0] += 1
        assert self.transport is not None
        self.transport.write(self.request)


async def measure(port: int, pid: int, requests: Sequence[bytes] = ()) -> tuple[float, float]:
    """Requests a second through a proxy, and its microseconds of processor time for each.

    Each connection asks one of the requests again and again; without any, all ask the same.
    """
    tally = [0]
    same = f'POST /predict HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 8\r\n\r\n{{"x": 1}}'.encode()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda one=one: Client(tally, one), "127.0.0.1", port)
        for one in (requests or [same] * CONNECTIONS)[:CONNECTIONS]
    ]
    await asyncio.sleep(0.2)
    before, used, began = tally[0], cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(ROUND_SECONDS)
    asked = tally[0] - before
    took, used = time.perf_counter() - began, cpu_seconds(pid) - used
    for transport, _ in opened:
        transport.abort()
    return asked / took, used / asked * 1e6


async def seconds_until(port: int, name: bytes) -> float:
    """How long until an answer comes from this backend."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    try:
        while True:
            writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if await reader.readexactly(length) == name:
                return time.perf_counter() - began
    finally:
        writer.close()


async def throughput(proxies: dict[str, tuple[int, int]], rounds: int) -> None:
    """Each proxy, by name a port and a pid, in turns; the ratio is of gnomon to the other, round by round."""
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in proxies}
    for _ in range(rounds):
        for name, (port, pid) in proxies.items():
            measured[name].append(await measure(port, pid))
    for name, found in measured.items():
        rate, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:15} {rate:8.0f} requests/s {cpu:8.0f} µs of CPU a request (medians of {rounds} rounds)")
    rounds_of = list(zip(measured["gnomon"], measured["minimal Envoy"], strict=True))
    rate, cpu = (statistics.median(ours[n] / theirs[n] for ours, theirs in rounds_of) for n in (0, 1))
    print(f"{'ratio':15} {rate:8.2f} {cpu:19.2f}")


async def change_to_effect(store: Store, spec: RouteSpec, port: int, changes: int) -> None:
    measured = []
    for number in range(changes):
        name = "replacement" if number % 2 == 0 else "origin"
        weights = {"origin": 0, "replacement": 100} if name == "replacement" else {"origin": 100, "replacement": 0}
        waiting = asyncio.create_task(seconds_until(port, name.encode()))
        await asyncio.sleep(0.02)
        began = time.perf_counter()
        await asyncio.to_thread(store.routes.put, desired.shift(spec, weights), who="bench", why="a change")
        await waiting
        measured.append((time.perf_counter() - began) * 1000)
    measured.sort()
    print(
        f"change to effect: median {statistics.median(measured):.1f} ms, "
        f"p99 {measured[min(len(measured) - 1, int(len(measured) * 0.99))]:.1f} ms, {changes} changes"
    )


async def start_envoy(path: Path, form: dict[str, object]) -> asyncio.subprocess.Process:
    await asyncio.to_thread(path.write_text, json.dumps(form), encoding="utf-8")
    words = ["-c", str(path), "--disable-hot-restart", "-l", "critical"]
    return await asyncio.create_subprocess_exec(str(envoy_binary()), *words)


async def main(rounds: int, changes: int) -> None:
    minimal, gateway = free_port(), free_port()
    backends = {"origin": free_port(), "replacement": free_port()}
    with tempfile.TemporaryDirectory() as folder:
        started = [
            await start_envoy(Path(folder, f"{name}.json"), form)
            for name, form in (
                ("proxy", minimal_proxy(minimal, backends["origin"])),
                ("servers", servers(backends)),
            )
        ]
        settings = Settings(state_folder=Path(folder), gateway_port=gateway)
        stop = asyncio.Event()
        with open_store(f"sqlite:///{folder}/inventory.db", settings) as store:
            listed = [
                {"name": name, "url": f"http://127.0.0.1:{port}", "weight": 100 if name == "origin" else 0}
                for name, port in backends.items()
            ]
            spec = RouteSpec.model_validate({"name": "bench", "hosts": (HOST,), "backends": listed})
            store.routes.put(spec, who="bench", why="the benchmark")
            controller = Controller(store, settings)
            running = asyncio.create_task(controller.run(stop))
            try:
                await controller.started()
                await seconds_until(gateway, b"origin")
                pid = int((settings.state_folder / "gateway" / "envoy.pid").read_text(encoding="ascii"))
                await throughput({"minimal Envoy": (minimal, started[0].pid), "gnomon": (gateway, pid)}, rounds)
                await change_to_effect(store, spec, gateway, changes)
            finally:
                stop.set()
                await running
                for other in started:
                    other.terminate()
                    await other.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [5, 100][len(given) :])))
