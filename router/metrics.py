"""What is known of gateways and live traffic, for Prometheus, served on loopback.

Source: Prometheus, "Exposition formats", text-based format 0.0.4.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from inventory.model import GatewayStatus, Revision, Traffic
from inventory.store import Store, StoreError

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_MOST_HEAD = 8192
_PATIENCE = 10.0


def render(traffic: Sequence[Traffic], gateways: Sequence[GatewayStatus], desired: Sequence[Revision]) -> str:
    """The whole page. Counters count since each route was made, over restarts of gateway and controller."""
    lines: list[str] = []
    for name, kind, about, samples in _families(traffic, gateways, desired):
        lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *samples]
    return "\n".join(lines) + "\n"


Family = tuple[str, str, str, Iterable[str]]


def _families(
    traffic: Sequence[Traffic], gateways: Sequence[GatewayStatus], desired: Sequence[Revision]
) -> Iterator[Family]:
    def counted(name: str, field: str) -> list[str]:
        return [_line(name, _of(one), getattr(one, field)) for one in traffic]

    name = "gnomon_requests_total"
    yield name, "counter", "Live requests that were answered.", counted(name, "requests")
    name = "gnomon_failures_total"
    yield name, "counter", "Live requests that were answered by 5xx.", counted(name, "failures")
    name = "gnomon_shadowed_total"
    yield name, "counter", "Copies of live requests that were sent to a shadow.", counted(name, "shadowed")
    name = "gnomon_in_flight"
    yield name, "gauge", "Live requests under way.", counted(name, "in_flight")
    name = "gnomon_latency_seconds"
    yield name, "histogram", "How long live answers took.", (line for one in traffic for line in _histogram(name, one))
    name = "gnomon_routes_desired"
    yield name, "gauge", "Routes that are desired.", [_line(name, {}, len(desired))]
    wanted = {one.route: one.number for one in desired}
    per_gateway = (
        ("gnomon_gateway_up", "gauge", "Whether a gateway runs and takes changes.", lambda one: int(one.healthy)),
        ("gnomon_gateway_restarts_total", "counter", "Starts of a proxy after the first.", lambda one: one.restarts),
        ("gnomon_gateway_routes", "gauge", "Routes that a gateway serves.", lambda one: len(one.revisions)),
        ("gnomon_gateway_routes_behind", "gauge", "Routes that a gateway does not serve as desired.",
         lambda one: sum(one.revisions.get(route) != number for route, number in wanted.items())),
        ("gnomon_gateway_routes_refused", "gauge", "Routes of which a gateway refused a revision.",
         lambda one: len(one.refused)),
        ("gnomon_gateway_unknown_hosts_total", "counter", "Requests for a host that no route has.",
         lambda one: one.unknown_hosts),
    )  # fmt: skip
    for name, kind, about, value in per_gateway:
        yield name, kind, about, [_line(name, {"gateway": one.id}, value(one)) for one in gateways]


def _histogram(name: str, one: Traffic) -> Iterator[str]:
    labels, count, total = _of(one), 0, 0.0
    lower = 0
    for bound, inside in sorted(one.latency.items()):
        count += inside
        # Envoy keeps buckets, not a sum: the middle of each stands for what is in it.
        total += inside * (lower + bound) / 2000
        lower = bound
        yield _line(f"{name}_bucket", labels | {"le": f"{bound / 1000:g}"}, count)
    yield _line(f"{name}_bucket", labels | {"le": "+Inf"}, count)
    yield _line(f"{name}_sum", labels, round(total, 6))
    yield _line(f"{name}_count", labels, count)


def _of(one: Traffic) -> dict[str, str]:
    return {"route": one.route, "backend": one.backend}


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    listed = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{listed}}} {value}" if listed else f"{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Exporter:
    """Serves the page at /metrics on a port of loopback. Anything else is 404."""

    def __init__(self, store: Store, port: int) -> None:
        """Nothing is served before ``run``; ``port`` 0 takes any that is free."""
        self._store = store
        self.port = port

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set. A port in use is said, and nothing else suffers from it."""
        try:
            server = await asyncio.start_server(self._answer, ADDRESS, self.port, limit=_MOST_HEAD)
        except OSError as error:
            log.warning("no /metrics: port %d of %s: %s; set metrics_port", self.port, ADDRESS, error.strerror)
            await stop.wait()
            return
        self.port = int(server.sockets[0].getsockname()[1])
        async with server:
            await stop.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._page(head.split(b" ", 2))
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {len(body)}\r\n"
                    "connection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _page(self, words: Sequence[bytes]) -> tuple[str, bytes]:
        if len(words) < 3 or words[0] != b"GET" or words[1].partition(b"?")[0] != b"/metrics":
            return "404 Not Found", b"there is only GET /metrics here\n"
        try:
            return "200 OK", (await asyncio.to_thread(self._text)).encode()
        except StoreError as error:
            return "503 Service Unavailable", f"{error}\n".encode()

    def _text(self) -> str:
        store = self._store
        return render(store.traffic.totals(), store.gateways.list(), store.routes.list())
