"""What a shadow costs and what it can break: beside no shadow at all, and beside nginx's ``mirror`` where it is found.

1. Bad shadows: small requests while 50 MB are uploaded, with a shadow that stalls, is dead, answers 500, resets, or
   sends a body without end. p99 as a ratio to the same gateway without a shadow, in rounds that alternate, with the
   95 % interval that drawing the rounds anew gives it; and of no shadow to no shadow, which is what chance makes of it.
   Requests come at fixed moments, evenly spread, whatever became of those before. Uploads come at the pace of a
   network (50 MB/s): as fast as loopback takes them, this benchmark's own processes fill two processors, and p99 is
   how long its client waits for one.
2. Cost: requests a second and the median with 10 % copied and compared, against without, with the interval as above,
   at several gateways that are started for it, one after the other; lost pairs at saturation. Once with the shadow in
   a server of its own, which works on the same two processors as all the rest, and once with both models in one server.
   Beside it, what the machine allows: the same Envoy that copies 10 % straight to the shadow, and captures nothing.
3. Sampling: at weights 10/90 and a shadow of 10 %, the share of each arm that is copied, over 100,000 requests.
4. Switches: milliseconds from the off switch, and from exceeding a budget, to the last copy.
5. Rollback: a replacement that has half of the live requests begins to answer 503; seconds until the rollout, which
   was begun by the command line, is rolled back on record, and until a caller got the last 503.

Usage: ``python benchmarks/shadow.py [bad] [cost] [sampling] [switch] [rollback]``; all without a word. ``bad=KIND``
is one row of the first.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from shadow_rig import BODY, HOST, KINDS, Gateway, ask, backends, free_port, gateway, listening

from inventory.model import ShadowEvidence
from router.gateways.envoy import switch
from router.gateways.envoy.binary import envoy_binary

T = TypeVar("T")

UPLOAD = 50_000_000
MEASURED_SECONDS = 4.0
BAD_ROUNDS = 6
CALLERS, RATE = 16, 200.0
PACE = 50e6


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has had. Source: proc(5), fields utime and stime of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def latencies(port: int) -> tuple[list[float], int, int]:
    """Milliseconds of small requests at a steady rate beside uploads; how many uploads; how many requests failed."""
    began_at, found, failed = time.perf_counter() + 0.2, [], 0
    until = began_at + MEASURED_SECONDS

    async def calling(number: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        due = began_at + number / RATE
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            due += CALLERS / RATE
            began = time.perf_counter()
            try:
                async with asyncio.timeout(10):
                    failed += await ask(reader, writer, BODY) != 200
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                failed += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found.append((time.perf_counter() - began) * 1000)
        writer.close()

    uploader = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--upload", str(port), stdout=asyncio.subprocess.PIPE
    )
    await asyncio.gather(*(calling(number) for number in range(CALLERS)))
    uploader.terminate()
    said, _ = await uploader.communicate()
    answered = [int(word) for word in said.split()]
    return found, len(answered), failed + sum(status != 200 for status in answered)


async def upload(port: int) -> None:
    """Upload without end, and write each status to stdout. A process of its own, so that it delays no caller."""
    piece = bytes(500_000)
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        status, began = 0, time.perf_counter()
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(20):
                head = b"POST /predict HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n\r\n"
                writer.write(head % (HOST.encode(), UPLOAD))
                for sent in range(0, UPLOAD, len(piece)):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(max(0.0, began + sent / PACE - time.perf_counter()))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                status = int(head.split(b" ")[1])
        print(status, flush=True)
        writer.close()
        await asyncio.sleep(0.3)


def nginx_conf(folder: str, port: int, origin: int, mirror: int | None) -> str:
    copies = "mirror /copy;" if mirror else ""
    to = f"location = /copy {{ internal; proxy_pass http://127.0.0.1:{mirror}$request_uri; }}" if mirror else ""
    return f"""
daemon off; user root; worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 32; }}
  server {{ listen 127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Connection "";
    location / {{ {copies} proxy_pass http://origin; }} {to} }} }}
"""


@contextlib.asynccontextmanager
async def nginx(origin: int, mirror: int | None) -> AsyncIterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "nginx.conf")
        await asyncio.to_thread(file.write_text, nginx_conf(folder, port, origin, mirror), encoding="utf-8")
        child = await asyncio.create_subprocess_exec("nginx", "-p", folder, "-c", str(file), stderr=-3)
        try:
            await listening(port)
            yield port
        finally:
            child.terminate()
            await child.wait()


async def bad(gate: Gateway, ports: dict[str, int], kinds: Iterable[str] = ("none", *KINDS)) -> None:
    print(f"bad shadows, 100 % copied, beside uploads of {UPLOAD // 1_000_000} MB; milliseconds of small requests")
    columns = ("p50", "p99", "without", "ratio", "interval", "added", "failed", "nginx p99", "without", "failed")
    print(f"{'shadow':10}" + "".join(f"{column:>11}" for column in columns))
    for kind in kinds:
        asked = None if kind == "none" else {"backend": kind if kind != "500" else "failing", "percent": 100}
        without: list[list[float]] = []
        beside: list[list[float]] = []
        failed = 0
        for number in range(BAD_ROUNDS):
            pair = [(None, without), (asked, beside)]
            for shadow, found in pair if number % 2 else reversed(pair):
                await gate.desire(ports, shadow)
                times, _, failures = await latencies(gate.port)
                found.append(times)
                failed += failures
        plain, p99 = _p99(without), _p99(beside)
        low, high = _interval(without, beside)
        median = statistics.median([one for times in beside for one in times])
        line = f"{kind:10}{median:>11.2f}{p99:>11.2f}{plain:>11.2f}{p99 / plain:>11.2f}"
        line += f"{f'{low:.2f}-{high:.2f}':>11}{p99 - plain:>11.2f}{failed:>11}"
        if shutil.which("nginx"):
            line += await _nginx(ports["origin"], None if kind == "none" else ports[kind])
        print(f"{line}   ({sum(map(len, beside))} requests)", flush=True)


async def _nginx(origin: int, mirror: int | None) -> str:
    async with nginx(origin, None) as port:
        plain, _, _ = await latencies(port)
    async with nginx(origin, mirror) as port:
        theirs, _, failures = await latencies(port)
    return f"{_p99([theirs]):>11.2f}{_p99([plain]):>11.2f}{failures:>11}"


def _p99(rounds: list[list[float]]) -> float:
    times = sorted(one for times in rounds for one in times)
    return times[int(0.99 * len(times))]


def _interval(without: list[list[float]], beside: list[list[float]]) -> tuple[float, float]:
    """Between what the ratio of p99 lies in 95 % of draws of rounds."""
    pairs = list(zip(without, beside, strict=True))
    return _drawn(pairs, lambda some: _p99([two for _, two in some]) / _p99([one for one, _ in some]))


def _drawn(rounds: list[T], figure: Callable[[list[T]], float]) -> tuple[float, float]:
    """Between what a figure lies in 95 % of draws of the rounds. Source: B. Efron, Ann. Statist. 7 (1979)."""
    chance = random.Random(7)
    found = sorted(figure(chance.choices(rounds, k=len(rounds))) for _ in range(200))
    return found[5], found[-6]


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, tally: list[int], most: int) -> None:
        self.tally, self.most, self.ended = tally, most, asyncio.get_running_loop().create_future()
        self.request = b"POST /predict HTTP/1.1\r\nhost: %s\r\ncontent-length: 8\r\n\r\n%s" % (HOST.encode(), BODY)

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count, and ask again; answers are short, so one read holds one."""
        assert data.startswith(b"HTTP/1.1 200"), data[:100]
        self.tally[0] += 1
        if self.tally[0] >= self.most:
            self.transport.close()
            if not self.ended.done():
                self.ended.set_result(None)
        else:
            self.transport.write(self.request)


async def requests(port: int, many: int, callers: int = 16) -> float:
    """Send so many requests as fast as they are answered; requests a second."""
    loop, tally, began = asyncio.get_running_loop(), [0], time.perf_counter()
    opened = [await loop.create_connection(lambda: Caller(tally, many), "127.0.0.1", port) for _ in range(callers)]
    await asyncio.gather(*(protocol.ended for _, protocol in opened))
    return tally[0] / (time.perf_counter() - began)


async def median_of_one(port: int, many: int) -> float:
    """The median in milliseconds of requests one after the other."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for _ in range(many):
        began = time.perf_counter()
        await ask(reader, writer, BODY)
        found.append((time.perf_counter() - began) * 1000)
    writer.close()
    return statistics.median(found)


async def settled(gate: Gateway) -> list[ShadowEvidence]:
    """The evidence, once it has not changed for a while (or after 10 s)."""
    before: list[tuple[int, int]] = []
    rows: list[ShadowEvidence] = []
    for _ in range(8):
        await asyncio.sleep(1.2)
        rows = [row for row in gate.store.shadow.of("bench") if row.primary != row.shadow]
        now = [(row.pairs, row.lost) for row in rows]
        if now and now == before:
            break
        before = now
    return rows


@contextlib.asynccontextmanager
async def mirror_alone(gate: Gateway) -> AsyncIterator[tuple[int, int]]:
    """The gateway's Envoy again, that copies straight to the shadow and captures nothing: its port and its process.

    Made from what the gateway keeps to start from, so everything else is the same.
    """
    kept = Path(gate.settings.state_folder, "gateway", "standalone.json")
    said = b""
    while b"request_mirror_policies" not in said:
        await asyncio.sleep(0.1)
        with contextlib.suppress(FileNotFoundError):
            said = await asyncio.to_thread(kept.read_bytes)
    form, port = json.loads(said), free_port()
    made = form["static_resources"]
    (straight,) = (one for one in made["clusters"] if "/shadow@" in one["name"])
    (spoken,) = straight["typed_extension_protocol_options"].values()
    del spoken["http_filters"]
    edge, _ = made["listeners"]
    edge["address"]["socket_address"]["port_value"] = port
    manager = edge["filter_chains"][0]["filters"][0]["typed_config"]
    (scope,) = manager["scoped_routes"]["scoped_route_configurations_list"]["scoped_route_configurations"]
    for entry in scope["route_configuration"]["virtual_hosts"][0]["routes"]:
        if "request_mirror_policies" in entry.get("route", ()):
            entry["route"]["request_mirror_policies"][0]["cluster"] = straight["name"]
            del entry["typed_per_filter_config"]
    del manager["access_log"], manager["http_filters"][-1]["typed_config"]["upstream_log"]
    with tempfile.TemporaryDirectory() as folder:
        form["admin"] = {"address": {"pipe": {"path": f"{folder}/admin.sock"}}}
        file = Path(folder, "envoy.json")
        await asyncio.to_thread(file.write_text, json.dumps(form), encoding="utf-8")
        words = ["--config-path", str(file), "--use-dynamic-base-id", "--log-level", "off"]
        child = await asyncio.create_subprocess_exec(envoy_binary(), *words)
        try:
            await listening(port)
            yield port, child.pid
        finally:
            child.terminate()
            await child.wait()


COST_GATEWAYS, COST_ROUNDS = 6, 6
COPIED = {"backend": "replacement", "percent": 10}
Rows = dict[str, list[tuple[float, float, float, float]]]


async def cost(gate: Gateway, ports: dict[str, int]) -> None:
    rows: Rows = {"no shadow": [], "mirror alone": [], "compared": [], "one server": []}
    # Where a process lies in memory makes it some percent faster or slower as long as it runs.
    for _ in range(COST_GATEWAYS):
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(folder) as fresh:
                await fresh.desire(ports, COPIED)
                async with mirror_alone(fresh) as bare:
                    await _cost_rounds(fresh, ports, bare, rows)
    heads = ("requests/s", "x none", "interval", "p50 ms", "added", "Envoy µs", "gnomon µs")
    print(f"{'10 % copied':14}" + "".join(f"{head:>11}" for head in heads))
    for name, found in rows.items():
        pairs = list(zip(found, rows["no shadow"], strict=True))
        rate, median, proxy, own = (statistics.median(column) for column in zip(*found, strict=True))
        ratio = statistics.median(one[0] / none[0] for one, none in pairs)
        low, high = _drawn([one[0] / none[0] for one, none in pairs], statistics.median)
        added = statistics.median(one[1] - none[1] for one, none in pairs)
        values = (
            f"{rate:.0f}",
            f"{ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
            f"{median:.3f}",
            f"{added:+.3f}",
            f"{proxy:.0f}",
            f"{own:.0f}",
        )
        print(f"{name:14}" + "".join(f"{value:>11}" for value in values), flush=True)
    await gate.desire(ports, COPIED)
    await _losses(gate)


async def _cost_rounds(gate: Gateway, ports: dict[str, int], bare: tuple[int, int], rows: Rows) -> None:
    together = {**ports, "replacement": ports["twin"]}
    ways = (("no shadow", ports, None), ("compared", ports, COPIED), ("one server", together, COPIED))
    for _ in range(COST_ROUNDS):
        for name, at, wanted in ways:
            await gate.desire(at, wanted)
            rows[name].append(await _costs(gate.port, gate.envoy, gate.pid))
        rows["mirror alone"].append(await _costs(*bare, gate.pid))


async def _costs(port: int, envoy: int, gnomon: int) -> tuple[float, float, float, float]:
    """Requests a second, the median alone in milliseconds, and the processor time that each request took of both."""
    many = 15_000
    before = cpu_seconds(envoy), cpu_seconds(gnomon)
    rate = await requests(port, many)
    used = [(cpu_seconds(pid) - then) / many * 1e6 for pid, then in zip((envoy, gnomon), before, strict=True)]
    return rate, await median_of_one(port, 400), *used


async def _losses(gate: Gateway) -> None:
    """Whether every copy of a saturated gateway becomes a pair, or is counted as lost."""
    rows = await settled(gate)
    pairs, lost = sum(row.pairs for row in rows), sum(row.lost for row in rows)
    copies, spent = gate.copies(), cpu_seconds(gate.pid)
    rate = await requests(gate.port, 20_000)
    copies = gate.copies() - copies
    rows = await settled(gate)
    pairs, lost = sum(row.pairs for row in rows) - pairs, sum(row.lost for row in rows) - lost
    print(
        f"at saturation ({rate:.0f} requests/s): {copies} copies, {pairs} pairs, {lost} counted as lost, "
        f"{copies - pairs - lost} unaccounted; gnomon {(cpu_seconds(gate.pid) - spent) / max(pairs, 1) * 1e6:.0f} µs "
        "of CPU a pair"
    )


async def sampling(gate: Gateway, ports: dict[str, int], many: int = 100_000) -> None:
    ports = {**ports, "shadow": ports["replacement"]}
    await gate.desire(ports, {"backend": "shadow", "percent": 10}, origin=10)
    before = gate.live()
    await requests(gate.port, many)
    after, rows = gate.live(), {row.primary: row for row in await settled(gate)}
    for arm in ("origin", "replacement"):
        live, sampled = after[arm] - before.get(arm, 0), rows[arm].pairs + rows[arm].lost
        sigma = (live * 0.1 * 0.9) ** 0.5
        print(
            f"sampling: {arm:12} {live:>7} live, {sampled:>6} copied ({sampled / live:.3%}), "
            f"{(sampled - live * 0.1) / sigma:+.2f} sigma"
        )


async def switches(gate: Gateway, ports: dict[str, int]) -> None:
    found = []
    await gate.desire(ports, {"backend": "replacement", "percent": 100})
    for _ in range(20):
        began = time.perf_counter()
        await asyncio.to_thread(switch.turn, gate.admin, "bench", off=True)
        found.append((time.perf_counter() - began) * 1000)
        await asyncio.to_thread(switch.turn, gate.admin, "bench", off=False)
    print(f"off switch: median {statistics.median(found):.1f} ms, worst of 20 {max(found):.1f} ms")
    await gate.desire(ports, {"backend": "replacement", "percent": 100, "budget": {"requests_per_second": 50}})
    load, began = asyncio.create_task(requests(gate.port, 1_000_000)), time.perf_counter()
    while not await asyncio.to_thread(switch.switched_off, gate.admin):  # noqa: ASYNC110 - Envoy does not tell
        await asyncio.sleep(0.01)
    print(f"over its budget: off {time.perf_counter() - began:.2f} s after the load began (rates are of one second)")
    load.cancel()


ROLLBACKS = 5
STEPS = """
gate: {minimum_pairs: 50, latency_ratio: 50, latency_slack_ms: 2000}
steps:
  - shadow: 100
  - split: 50
  - split: 100
    gate: {minimum_pairs: 1000000}
"""


async def rollback(gate: Gateway, ports: dict[str, int]) -> None:
    decided, last, failures = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        steps = Path(folder, "steps.yaml")
        await asyncio.to_thread(steps.write_text, STEPS, encoding="utf-8")
        for _ in range(ROLLBACKS):
            await gate.desire({**ports, "replacement": ports["breaks"]}, None)
            asked: list[tuple[float, int]] = []
            callers = [asyncio.create_task(_calling(gate.port, asked)) for _ in range(CALLERS)]
            await _gnomon(gate, "rollout", "bench", "start", "--steps", str(steps), "--candidate", "replacement")
            await _until(lambda: (found := gate.store.rollouts.get("bench")) is not None and found.position == 2, 60)
            await asyncio.sleep(2)
            broke, clock = time.time(), time.perf_counter()
            await _turn(ports["breaks"])
            await _until(lambda: (found := gate.store.rollouts.get("bench")) is not None and not found.active, 20)
            await asyncio.sleep(2)
            for caller in callers:
                caller.cancel()
            await _turn(ports["breaks"])
            newest = gate.store.rollouts.transitions("bench")[0]
            decided.append(newest.at.timestamp() - broke)
            failed = [at - clock for at, status in asked if status == 503]
            last.append(max(failed))
            failures.append(len(failed))
    print(
        f"rollback of a broken replacement at 50 %: on record after {statistics.median(decided):.2f} s (worst of "
        f"{ROLLBACKS} {max(decided):.2f}), last 503 after {statistics.median(last):.2f} s (worst {max(last):.2f}); "
        f"{statistics.median(failures):.0f} callers got one; the last because: {newest.why}"
    )


async def _turn(port: int) -> None:
    """Have the backend that breaks do so, or answer again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /turn HTTP/1.1\r\nhost: bench\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _calling(port: int, asked: list[tuple[float, int]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        status = await ask(reader, writer, BODY)
        asked.append((time.perf_counter(), status))
        await asyncio.sleep(CALLERS / RATE)


async def _gnomon(gate: Gateway, *words: str) -> None:
    environment = os.environ | {
        "GNOMON_DATABASE": gate.settings.database, "GNOMON_STATE_FOLDER": str(gate.settings.state_folder),
    }  # fmt: skip
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui.cli", *words, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    assert await child.wait() == 0, words


async def _until(done: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(done):  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.02)


async def main(wanted: list[str]) -> None:
    parts = {"bad": bad, "cost": cost, "sampling": sampling, "switch": switches, "rollback": rollback}
    known = {*parts, *(f"bad={kind}" for kind in ("none", *KINDS))}
    if unknown := [word for word in wanted if word not in known]:
        sys.stderr.write(f"there is no {', '.join(unknown)}, only {', '.join(sorted(known))}\n")
        sys.exit(2)
    async with backends() as ports:
        for word in wanted or parts:
            with tempfile.TemporaryDirectory() as folder:
                async with gateway(folder) as gate:
                    name, _, kind = word.partition("=")
                    await (bad(gate, ports, [kind]) if kind else parts[name](gate, ports))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--upload"]:
        asyncio.run(upload(int(sys.argv[2])))
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(sys.argv[1:]))
