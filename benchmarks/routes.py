"""Many routes, changed under load: how long they take to load, how soon a change has its effect, and who noticed.

``gnomon serve`` runs as a process of its own over a SQLite file. Callers ask one route without a pause while its
weights move, and while other routes come and go; an answer that is not 200, or a connection that breaks, is a failure.
A change is timed from before the store's write to the first answer that shows it. With KILLS, ``serve`` is killed by
SIGKILL so many times under the same load, and started again; with RESTARTS, so many times more with a setting that
Envoy has to be restarted for, which hands its sockets on to the next one.

Usage: ``python benchmarks/routes.py [ROUTES] [WEIGHTS] [ADDED] [KILLS] [RESTARTS]``.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from gateway import free_port, servers, start_envoy

from inventory.model import RouteSpec
from inventory.store import Store, open_store
from router import desired

HOST = "bench.localhost"
CALLERS = 4
PAUSE = 0.02
"""Seconds between a change's effect and the next change."""
ASKED_AT_MOST = 5000
"""Requests of one connection of who waits for an effect: Envoy asks for another one now and then."""


def spec_of(name: str, backends: dict[str, int]) -> RouteSpec:
    listed = [
        {"name": one, "url": f"http://127.0.0.1:{port}", "weight": 100 if one == "origin" else 0}
        for one, port in backends.items()
    ]
    return RouteSpec.model_validate({"name": name, "hosts": (f"{name}.localhost",), "backends": listed})


class Callers:
    """Connections that never pause, and count what went wrong."""

    def __init__(self, port: int) -> None:
        self.asked = 0
        self.failed: list[str] = []
        self._stop = False
        self._tasks = [asyncio.create_task(self._work(port)) for _ in range(CALLERS)]

    async def _work(self, port: int) -> None:
        request = f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not self._stop:
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
                self.asked += 1
                if not head.startswith(b"HTTP/1.1 200"):
                    self.failed.append(head[:40].decode())
                closes = b"connection: close" in head.lower()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(repr(error))
                closes = True
            if closes:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.002)
        writer.close()

    async def stop(self) -> None:
        """Let every caller finish what it asked."""
        self._stop = True
        await asyncio.gather(*self._tasks)


async def serve(folder: Path, port: int, connections: int = 50_000) -> asyncio.subprocess.Process:
    environment = os.environ | {"GNOMON_GATEWAY_PORT": str(port), "GNOMON_STATE_FOLDER": f"{folder}/state",
                                "GNOMON_METRICS_PORT": "0", "GNOMON_GATEWAY_DRAIN": "2",
                                "GNOMON_GATEWAY_CONNECTIONS": str(connections)}  # fmt: skip
    words = ["-m", "tui.cli", "--database", f"sqlite:///{folder}/inventory.db", "serve", "--no-schedules"]
    with (folder / "serve.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(sys.executable, *words, env=environment, stdout=log, stderr=log)


async def acknowledged(database: Path, count: int) -> None:
    """Wait until a gateway has so many routes. They are counted past the store, which would read every one of them."""
    asked = "SELECT count(*) FROM gateway_route WHERE number IS NOT NULL"
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as opened:
        while opened.execute(asked).fetchone()[0] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def resident(pid: int) -> float:
    """MiB that a process holds in memory. Source: proc(5), VmRSS of status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def processor(pid: int) -> float:
    """Seconds of a processor that a process had. Source: proc(5), utime and stime of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def left_running(folder: Path) -> None:
    """End the Envoys of a ``serve`` that was killed, whose command lines name their folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{folder}/state/gateway".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def shares(measured: list[float]) -> str:
    """The median and the 99th percentile of times in milliseconds."""
    ordered = sorted(measured)
    at = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"median {statistics.median(ordered):.1f} ms, p99 {at:.1f} ms"


class Writer:
    """The store in a process of its own, as a command's is: callers who are counted must not slow it down."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    async def change(self, wanted: dict[str, RouteSpec | None]) -> float:
        """Make specifications desired. When that was begun, by the clock that all processes share."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _write, self._database, wanted)

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


_opened: dict[str, Store] = {}


def _write(database: str, wanted: dict[str, RouteSpec | None]) -> float:
    store = _opened.get(database) or _opened.setdefault(database, open_store(database))
    began = time.monotonic()
    store.routes.change(wanted, who="bench", why="a change")
    return began


async def effect(port: int, host: str, shows: Callable[[int, bytes], bool]) -> float:
    """When an answer to this host, by status and body, first shows a change. It is asked about every millisecond."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(writer):
            for _ in range(ASKED_AT_MOST):
                writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if shows(int(head.split()[1]), await reader.readexactly(length)):
                    return time.monotonic()
                await asyncio.sleep(0.001)


async def weights(writer: Writer, spec: RouteSpec, port: int, changes: int) -> list[float]:
    measured = []
    for number in range(changes):
        name = "replacement" if number % 2 == 0 else "origin"
        moved = {"origin": 0, "replacement": 100} if name == "replacement" else {"origin": 100, "replacement": 0}
        waiting = asyncio.create_task(effect(port, HOST, lambda _, body, name=name: body == name.encode()))
        await asyncio.sleep(PAUSE)
        began = await writer.change({"bench": desired.shift(spec, moved)})
        measured.append((await waiting - began) * 1000)
    print(f"{changes} weight changes: to effect {shares(measured)}")
    return measured


async def come_and_go(writer: Writer, port: int, backends: dict[str, int], count: int) -> list[float]:
    measured: dict[str, list[float]] = {"additions": [], "removals": []}
    for number in range(count):
        name = f"extra-{number}"
        for what, goal in (("additions", 200), ("removals", 404)):
            waiting = asyncio.create_task(
                effect(port, f"{name}.localhost", lambda status, _, goal=goal: status == goal)
            )
            await asyncio.sleep(PAUSE)
            began = await writer.change({name: spec_of(name, backends) if what == "additions" else None})
            measured[what].append((await waiting - began) * 1000)
    for what, found in measured.items():
        print(f"{count} {what}: to effect {shares(found)}")
    return [*measured["additions"], *measured["removals"]]


async def alive(folder: Path, running: asyncio.subprocess.Process) -> None:
    """Ends the benchmark, with gnomon's last words, where that ended by itself."""
    if running.returncode is not None:
        log = await asyncio.to_thread((folder / "serve.log").read_text, encoding="utf-8")
        raise SystemExit(f"gnomon ended by itself with {running.returncode}:\n{log[-2000:]}")


async def restarted(
    folder: Path, port: int, running: asyncio.subprocess.Process, callers: Callers, number: int
) -> asyncio.subprocess.Process:
    """Start ``serve`` anew with another bound on connections, and wait for another Envoy and its answers."""
    pid = folder / "state" / "gateway" / "envoy.pid"
    before = await asyncio.to_thread(pid.read_text, encoding="ascii")
    await alive(folder, running)
    running.kill()
    await running.wait()
    running = await serve(folder, port, 40_000 + number)
    while await asyncio.to_thread(pid.read_text, encoding="ascii") in {before, ""}:
        await alive(folder, running)
        await asyncio.sleep(0.05)
    goal = callers.asked + 2000
    while callers.asked < goal:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return running


async def main(routes: int, changes: int, added: int, kills: int, restarts: int) -> None:
    port, backends = free_port(), {"origin": free_port(), "replacement": free_port()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others = await start_envoy(folder / "servers.json", servers(backends))
        with open_store(f"sqlite:///{folder}/inventory.db") as store:
            bench = spec_of("bench", backends)
            store.routes.put(bench, who="bench", why="the benchmark")
            for start in range(0, routes, 500):
                many = {
                    f"r{number}": spec_of(f"r{number}", backends) for number in range(start, min(start + 500, routes))
                }
                store.routes.change(many, who="bench", why="the benchmark")
            began = time.perf_counter()
            running = await serve(folder, port)
            writer = Writer(f"sqlite:///{folder}/inventory.db")
            try:
                await acknowledged(folder / "inventory.db", routes + 1)
                envoy = int((folder / "state" / "gateway" / "envoy.pid").read_text(encoding="ascii"))
                print(
                    f"{routes} routes: loaded and acknowledged in {time.perf_counter() - began:.1f} s, "
                    f"gnomon {resident(running.pid):.0f} MiB and {processor(running.pid):.1f} s of a processor, "
                    f"Envoy {resident(envoy):.0f} MiB and {processor(envoy):.1f} s"
                )
                callers = Callers(port)
                measured = await weights(writer, bench, port, changes) if changes else []
                measured += await come_and_go(writer, port, backends, added) if added else []
                if changes and added:
                    print(f"all {len(measured)} changes: to effect {shares(measured)}")
                for _ in range(kills):
                    running.kill()
                    await running.wait()
                    running = await serve(folder, port)
                    goal = callers.asked + 200
                    while callers.asked < goal:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                if kills:
                    print(f"gnomon killed and started again {kills} times")
                for number in range(restarts):
                    running = await restarted(folder, port, running, callers, number)
                if restarts:
                    print(f"Envoy restarted hot {restarts} times")
                await callers.stop()
                print(f"failed requests: {len(callers.failed)} of {callers.asked} {sorted(set(callers.failed))[:3]}")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    running.terminate()
                await running.wait()
                left_running(folder)
                writer.close()
                others.terminate()
                await others.wait()


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [10_000, 1_000, 200, 0, 0][len(given) :])))
