"""A real Envoy mirrors and captures; the monitor must join and compare every pair of it."""

import asyncio
import gzip
import http.client
import importlib.util
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inventory.model import RouteSpec, ShadowEvidence
from inventory.store import Store
from router.shadow.monitor import Monitor
from router.shadow.tail import prepare

pytestmark = pytest.mark.e2e

ADDRESS = "127.44.7.1"
REQUESTS = 300
LIMIT = 64 * 1024
CAPTURE = f"""
local LIM = {LIMIT}
local function keep(handle, key)
  local parts, n = {{}}, 0
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if n < LIM and size > 0 then parts[#parts + 1] = chunk:getBytes(0, math.min(size, LIM - n)) end
    n = n + size
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("cap", key, handle:base64Escape(table.concat(parts)))
end
function envoy_on_request(handle) keep(handle, "req") end
function envoy_on_response(handle) keep(handle, "resp") end
"""


class Model(BaseHTTPRequestHandler):
    """Classifies a number. ``server.defect`` is the class that this copy gets wrong."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/stream":
            self._stream()
            return
        if self.path == "/large":
            self._send({"rows": [0.5] * 40_000})
            return
        answer = asked["x"] % 3
        wrong = answer == self.server.defect
        self._send({"class": answer + wrong, "score": 0.1 + 0.2 * answer, "took_ms": time.monotonic()})

    def _send(self, answer: object) -> None:
        body = json.dumps(answer, indent=self.server.indent).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if self.server.defect is not None:
            body = gzip.compress(body) if self.path != "/large" else body
            if self.path != "/large":
                self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """The same text, cut into other pieces by each copy."""
        text = "a stream of many words"
        step = 3 if self.server.defect is None else 5
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for at in range(0, len(text), step):
            chunk = {"choices": [{"index": 0, "delta": {"content": text[at : at + step]}}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def serving(defect: int | None, indent: int | None) -> Iterator[int]:
    server: Any = ThreadingHTTPServer((ADDRESS, 0), Model)
    server.defect, server.indent = defect, indent
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def log_format(role: str, backend: str) -> dict[str, str]:
    return {
        "rid": "%REQ(X-REQUEST-ID)%", "role": role, "entry": "churn@1", "cluster": f"churn|{backend}",
        "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%",
        "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
        "rx": "%BYTES_RECEIVED%", "tx": "%BYTES_SENT%",
        "rb": "%DYNAMIC_METADATA(cap:req)%", "sb": "%DYNAMIC_METADATA(cap:resp)%",
        "ct": "%RESP(CONTENT-TYPE)%", "ce": "%RESP(CONTENT-ENCODING)%",
        "method": "%REQ(:METHOD)%", "path": "%REQ(:PATH)%",
    }  # fmt: skip


HTTP = "type.googleapis.com/envoy.extensions.filters.http"


def connection_manager(role: str, backend: str, capture: Path, route: dict[str, Any]) -> dict[str, Any]:
    lua = {"@type": f"{HTTP}.lua.v3.Lua", "default_source_code": {"inline_string": CAPTURE}}
    buffer = {"@type": f"{HTTP}.buffer.v3.Buffer", "max_request_bytes": 2_097_152}
    log = {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": str(capture),
        "log_format": {"json_format": log_format(role, backend), "omit_empty_values": True},
    }
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": role,
            "preserve_external_request_id": role == "s",
            "http_filters": [
                *([{"name": "envoy.filters.http.buffer", "typed_config": buffer}] if role == "s" else []),
                {"name": "envoy.filters.http.lua", "typed_config": lua},
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{HTTP}.router.v3.Router"},
                },
            ],
            "route_config": {
                "virtual_hosts": [
                    {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
                ]
            },
            "access_log": [{"name": "file", "typed_config": log}],
        },
    }


def configuration(port: int, primary: int, shadow: int, capture: Path) -> dict[str, Any]:
    def cluster(name: str, address: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": name,
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }

    def at(port: int) -> dict[str, Any]:
        return {"socket_address": {"address": ADDRESS, "port_value": port}}

    live = {
        "cluster": "origin",
        "request_mirror_policies": [{"cluster": "hop", "disable_shadow_host_suffix_append": True}],
    }
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": at(port),
                    "enable_reuse_port": False,
                    "filter_chains": [{"filters": [connection_manager("p", "origin", capture, live)]}],
                },
                {
                    "name": "hop",
                    "internal_listener": {},
                    "filter_chains": [
                        {"filters": [connection_manager("s", "replacement", capture, {"cluster": "replacement"})]}
                    ],
                },
            ],
            "clusters": [
                cluster("origin", at(primary)),
                cluster("replacement", at(shadow)),
                cluster("hop", {"envoy_internal_address": {"server_listener_name": "hop"}}),
            ],
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
                },
            }
        ],
    }


def free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def envoy(folder: Path, settings: dict[str, Any], port: int) -> Iterator[int]:
    package = importlib.util.find_spec("envoy")
    assert package is not None
    assert package.submodule_search_locations
    binary = Path(package.submodule_search_locations[0]) / "_bin" / "envoy"
    file = folder / "envoy.json"
    file.write_text(json.dumps(settings))
    command = [
        str(binary), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "2", "-l", "error",
        "--file-flush-interval-msec", "100",
    ]  # fmt: skip
    with (folder / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert process.poll() is None, (folder / "envoy.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex((ADDRESS, port)) == 0:
                    break
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, paths: list[tuple[str, int]]) -> int:
    """How many of the requests got a 200."""
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=20)
    good = 0
    for path, x in paths:
        connection.request("POST", path, json.dumps({"x": x}), {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        good += response.status == 200
    connection.close()
    return good


def opened_for_appending(pid: int, path: Path) -> list[bool]:
    """For each descriptor of a process on a file, whether it has O_APPEND."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        if descriptor.exists() and descriptor.samefile(path):
            flags = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split("flags:")[1].split()[0]
            found.append(bool(int(flags, 8) & os.O_APPEND))
    return found


async def settled(store: Store, pairs: int) -> ShadowEvidence:
    async with asyncio.timeout(30):
        while True:
            rows = store.shadow.of("churn")
            if rows and rows[0].pairs >= pairs:
                return rows[0]
            await asyncio.sleep(0.05)


async def test_every_pair_of_a_real_gateway_is_joined_and_compared(
    store: Store, spec: RouteSpec, tmp_path: Path
) -> None:
    store.routes.put(spec, who="test", why="shadow")
    capture = tmp_path / "capture" / "pairs.jsonl"
    prepare(capture)
    port = free_port()
    paths = [("/predict", x) for x in range(REQUESTS)]
    extra = [("/stream", 0)] * 5 + [("/large", 0)] * 4
    stop = asyncio.Event()
    monitor = Monitor(store, capture)
    with (
        serving(None, None) as primary,
        serving(1, 2) as shadow,
        envoy(tmp_path, configuration(port, primary, shadow, capture), port) as pid,
    ):
        running = asyncio.create_task(monitor.run(stop))
        try:
            with ThreadPoolExecutor(8) as pool:
                loop = asyncio.get_running_loop()
                parts = [paths[at::8] for at in range(8)] + [extra]
                good = await asyncio.gather(*(loop.run_in_executor(pool, ask, port, part) for part in parts))
            evidence = await settled(store, REQUESTS + len(extra))
            appending = opened_for_appending(pid, capture)
        finally:
            stop.set()
            await running
    assert sum(good) == REQUESTS + len(extra)
    assert (evidence.pairs, evidence.lost, monitor.malformed, monitor.unknown) == (sum(good), 0, 0, 0)
    assert evidence.incomparable_reasons == {"truncated": 4}
    assert evidence.agreed == REQUESTS * 2 // 3 + 5
    assert evidence.paths == {"$.class": REQUESTS // 3}
    assert {(d.primary, d.shadow) for d in evidence.disagreements} == {("1", "2")}
    assert evidence.primary_p50 is not None
    assert evidence.primary_p50 > 0.05
    assert appending
    assert all(appending)
    assert capture.read_bytes().strip(b"\0") == b""
