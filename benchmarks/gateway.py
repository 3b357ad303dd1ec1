"""The gateway as gnomon configures it, beside other proxies: requests a second, latency, and change to effect.

The others are a minimal hand-written Envoy, and nginx and HAProxy where they are installed, each with keep-alive to
the backend and as many workers as Envoy has. All run at once in front of the same backend (an Envoy that answers by
itself) and are measured in turns, so that what else the machine does hits all of them. Prints requests a second of
each, the median and 99th percentile of how long an answer takes, the processor time spent on a request (steadier than a
rate on a machine that does other things), the ratios to each, and how long a change of weights takes from the store's
write to the first answer that shows it.

Usage: ``python benchmarks/gateway.py [ROUNDS] [CHANGES]``.
"""

import asyncio
import json
import logging
import os
import shutil
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


def family(pid: int) -> list[int]:
    """A process and its children: nginx and HAProxy work in those."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in family(int(child)))]


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered. Answers are short: one read holds one."""

    def __init__(self, tally: list[int], request: bytes, waits: list[float] | None = None) -> None:
        self.tally = tally
        self.waits = waits
        self.asked = 0.0
        self.request = request
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.asked = time.perf_counter()
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count the answer and ask again."""
        assert data.startswith(b"HTTP/1.1 200"), data[:200]
        self.tally[0] += 1
        if self.waits is not None:
            now = time.perf_counter()
            self.waits.append(now - self.asked)
            self.asked = now
        assert self.transport is not None
        self.transport.write(self.request)


async def measure(
    port: int, pid: int, requests: Sequence[bytes] = (), waits: list[float] | None = None
) -> tuple[float, float]:
    """Requests a second through a proxy, and its microseconds of processor time for each.

    Each connection asks one of the requests again and again; without any, all ask the same. ``waits`` takes how long
    each answer took, in seconds.
    """
    tally = [0]
    same = f'POST /predict HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 8\r\n\r\n{{"x": 1}}'.encode()
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda one=one: Client(tally, one, waits), "127.0.0.1", port)
        for one in (requests or [same] * CONNECTIONS)[:CONNECTIONS]
    ]
    await asyncio.sleep(0.2)
    if waits is not None:
        waits.clear()
    members = family(pid)
    before, used, began = tally[0], sum(map(cpu_seconds, members)), time.perf_counter()
    await asyncio.sleep(ROUND_SECONDS)
    asked = tally[0] - before
    took, used = time.perf_counter() - began, sum(map(cpu_seconds, members)) - used
    for transport, _ in opened:
        transport.abort()
    return asked / took, used / asked * 1e6


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a server that may not listen yet. OSError where it does not in five seconds."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def seconds_until(port: int, name: bytes) -> float:
    """How long until an answer comes from this backend."""
    reader, writer = await connected(port)
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
    """Each proxy, by name a port and a pid, in turns; ratios are of gnomon to another, round by round."""
    measured: dict[str, list[tuple[float, ...]]] = {name: [] for name in proxies}
    for _ in range(rounds):
        for name, (port, pid) in proxies.items():
            waits: list[float] = []
            rate, cpu = await measure(port, pid, waits=waits)
            waits.sort()
            p50, p99 = (waits[int(len(waits) * share)] * 1000 for share in (0.5, 0.99))
            measured[name].append((rate, p50, p99, cpu))
    print(f"{'':15} requests/s   p50 ms   p99 ms   CPU µs  gnomon/it   (medians of {rounds} rounds)")
    for name, found in measured.items():
        rate, p50, p99, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(ours[0] / its[0] for ours, its in zip(measured["gnomon"], found, strict=True))
        print(f"{name:15} {rate:10.0f} {p50:8.2f} {p99:8.2f} {cpu:8.0f} {ratio:10.2f}")


def nginx_form(port: int, backend: int, folder: Path, workers: int) -> str:
    """A reverse proxy by nginx, with connections to the backend kept alive."""
    kept = " ".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off; worker_processes {workers}; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000; {kept}
  upstream origin {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
    }}
  }}
}}
"""


def haproxy_form(port: int, backend: int, workers: int) -> str:
    """A reverse proxy of HAProxy."""
    return f"""
global
  nbthread {workers}
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend edge
  bind 127.0.0.1:{port}
  default_backend origin
backend origin
  server one 127.0.0.1:{backend}
"""


async def start_others(folder: Path, backend: int) -> dict[str, tuple[int, asyncio.subprocess.Process]]:
    """Start nginx and HAProxy, as far as they are installed, each by its name with its port."""
    workers, found = os.cpu_count() or 1, {}
    for name in ("nginx", "haproxy"):
        binary = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if binary is None:
            print(f"{name} is not installed, and is left out")
            continue
        port = free_port()
        form = nginx_form(port, backend, folder, workers) if name == "nginx" else haproxy_form(port, backend, workers)
        path = folder / f"{name}.conf"
        await asyncio.to_thread(path.write_text, form, encoding="utf-8")
        words = ["-e", "stderr", "-p", str(folder), "-c", str(path)] if name == "nginx" else ["-db", "-f", str(path)]
        started = await asyncio.create_subprocess_exec(binary, *words)
        found[name] = port, started
        await seconds_until(port, b"origin")
    return found


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
                proxies = {"minimal Envoy": (minimal, started[0].pid), "gnomon": (gateway, pid)}
                for name, (port, other) in (await start_others(Path(folder), backends["origin"])).items():
                    started.append(other)
                    proxies[name] = port, other.pid
                await throughput(proxies, rounds)
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
