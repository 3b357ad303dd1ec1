"""The terminal UI at scale: first useful paint, key to repaint while others write, and memory.

The real command in a terminal of its own (a pty of 200x60 cells) on a real store with endpoints of ordinary size.
Another process changes 500 of them a second, in batches as a scan's journal writes them.
A first paint is counted from when the app is made, and also from the start of the process, with all that Python
imports. A key counts from the byte that is written to the terminal until the screen with the row it leads to, read
and under the cursor, was drawn and handed to the terminal.

Run: python benchmarks/terminal.py [ENDPOINTS] [KEYS] [FILE]     (default 100000 and 300; FILE is made where it is not)
"""

import fcntl
import json
import os
import pty
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from inventory.listing import Order
from inventory.model import (
    Asked,
    Endpoint,
    Evidence,
    Governance,
    InferenceRoute,
    Kind,
    Posture,
    Presence,
    Routing,
    Scheme,
    utc_now,
)
from inventory.query import Query
from inventory.store import Store, open_store
from inventory.store.folding import assessed
from inventory.store.rows import Due, keep

BATCH = 5000
COLUMNS, LINES = 200, 60
UPDATES = 500
BATCHES_A_SECOND = 4
CHANGING = 20_000
SPAWNS = 3
PAUSE = 0.03
KEYS = ("j", "j", "j", "pagedown", "k", "j", "pageup", "j", "G", "k", "g", "pagedown")
BYTES = {"pagedown": b"\x1b[6~", "pageup": b"\x1b[5~"}


def endpoint(number: int, dice: random.Random) -> Endpoint:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    now = utc_now()
    kind = dice.choice([*Kind, Kind.ORDINARY_WEB, None])
    return assessed(
        Endpoint(
            id=f"{dice.getrandbits(80):020x}",
            site="default",
            scope="lab",
            address=address,
            port=5000,
            scheme=Scheme.HTTP,
            url=f"http://{address}:5000",
            kind=kind,
            is_model_endpoint=kind is Kind.MODEL_ENDPOINT,
            product=dice.choice(("flask", "fastapi", "jupyter-server", None)),
            title="a service",
            posture=dice.choice([*Posture]),
            presence=dice.choice([*[Presence.SEEN] * 9, Presence.GONE]),
            governance=dice.choice([*[Governance.UNREVIEWED] * 5, Governance.MANAGED]),
            routing=dice.choice([*[Routing.DIRECT] * 5, *Routing]),
            owner=dice.choice((None, None, "team-a", "team-b")),
            first_seen=now - timedelta(days=60 * dice.random()),
            last_seen=now - timedelta(minutes=600 * dice.random()),
            inference_routes=(InferenceRoute(method="POST", path="/predict"),),
            evidence=tuple(Evidence(signal=f"signal {n}", weight=2.0, request="GET / -> 200") for n in range(4)),
            asked=tuple(Asked(method="GET", path=f"/{n}", status=404, digest="0" * 64) for n in range(6)),
        ),
        now,
    )


def fill(store: Store, count: int) -> None:
    dice = random.Random(1)
    for start in range(0, count, BATCH):
        with store._database.write() as session:  # noqa: SLF001 - rows without their observations
            keep(session, [Due(endpoint(n, dice), None) for n in range(start, min(start + BATCH, count))], utc_now())


def write_on(url: str) -> None:
    """Change endpoints until somebody ends this: the other process. It says each second how many it changed."""
    dice = random.Random(2)
    with open_store(url) as store:
        its = {one.id: one for one in store.endpoints.list(limit=CHANGING)}
        ids, size = sorted(its), UPDATES // BATCHES_A_SECOND
        began = due = time.monotonic()
        done = 0
        print("ready", flush=True)
        while True:
            fresh = {"last_seen": utc_now()}
            some = [its[n].model_copy(update={"risk": dice.randrange(101), **fresh}) for n in dice.sample(ids, size)]
            with store._database.write() as session:  # noqa: SLF001 - rows without their observations
                keep(session, [Due(one, None) for one in some], utc_now())
            done += size
            print(f"{done} {time.monotonic() - began}", flush=True)
            due += 1 / BATCHES_A_SECOND
            time.sleep(max(due - time.monotonic(), 0))


def show_on(url: str, report: int) -> None:
    """The real command, which tells through a pipe what each drawing of the screen showed."""
    from tui.app import GnomonApp
    from tui.commandline import make_app
    from tui.widgets.table import RowTable

    told = {"moves": 0, "painted": 0}
    draw, row, move, make = GnomonApp._display, RowTable._row, RowTable.move_to, GnomonApp.__init__  # noqa: SLF001

    def tell(place: str, ready: bool) -> None:
        line = {"at": time.monotonic(), "place": place, "ready": ready, "painted": told["painted"]}
        os.write(report, json.dumps(line).encode() + b"\n")

    def made(screen: GnomonApp, *given: Any, **named: Any) -> None:
        tell("made", False)
        make(screen, *given, **named)

    def moved(table: RowTable, place: int) -> None:
        told["moves"] += 1
        move(table, place)

    def painted(table: RowTable, place: int, width: int) -> Any:
        strip = row(table, place, width)
        if place == table.place and "\u2026" not in strip.text[:8]:
            told["painted"] = told["moves"]
        return strip

    def drawn(screen: GnomonApp, *given: Any) -> None:
        draw(screen, *given)
        page = screen.screen_stack[-1]
        place = getattr(page, "PLACE", "")
        ready = bool(page.feed.rows) if hasattr(page, "feed") else screen.session.loaded
        tell(place, ready)

    GnomonApp.__init__ = made  # type: ignore[method-assign]
    GnomonApp._display, RowTable._row, RowTable.move_to = drawn, painted, moved  # noqa: SLF001
    sys.argv = ["gnomon", "--database", url, "tui"]
    make_app()()


@dataclass
class Screen:
    """A running terminal UI: its terminal, and what it tells of each drawing."""

    process: subprocess.Popen[bytes]
    terminal: int
    report: int
    began: float
    bytes_shown: int = 0
    rest: bytes = b""

    def type(self, key: str) -> float:
        """Type a key. When that was."""
        at = time.monotonic()
        os.write(self.terminal, BYTES.get(key, key.encode()))
        return at

    def until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """The first drawing of which that holds."""
        end = time.monotonic() + seconds
        for told in self.drawings(end):
            if holds(told):
                return told
        raise TimeoutError("the screen never showed it")

    def drawings(self, end: float) -> Iterator[dict[str, Any]]:
        """What it tells until then, while what it shows is taken from the terminal."""
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.terminal, self.report], [], [], left)
            if self.terminal in ready:
                self.bytes_shown += len(os.read(self.terminal, 1 << 20))
            if self.report in ready:
                *lines, self.rest = (self.rest + os.read(self.report, 1 << 16)).split(b"\n")
                yield from (json.loads(line) for line in lines)

    def of_process(self, name: str) -> int:
        """A line of /proc/PID/status, in kB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])

    def cpu(self) -> float:
        """Seconds of a core that the process used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def screen(url: str, folder: Path) -> Iterator[Screen]:
    """The terminal UI in a terminal of its own."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    report, told = os.pipe()
    env = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_STATE_HOME": str(folder)}
    env.pop("NO_COLOR", None)
    command = [sys.executable, __file__, "--show", url, str(told)]
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, env=env, pass_fds=[told], start_new_session=True
    )
    os.close(inner)
    os.close(told)
    try:
        yield Screen(process, terminal, report, began)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(terminal)
        os.close(report)


def measure(url: str, folder: Path, keys: int, writer: subprocess.Popen[str]) -> None:
    whole, first, second = [], [], []
    for _ in range(SPAWNS):
        with screen(url, folder) as one:
            made = one.until(lambda told: told["place"] == "made")["at"]
            drawn = one.until(lambda told: told["ready"] and told["place"] == "pulse")["at"]
            whole.append(drawn - one.began)
            first.append(drawn - made)
            at = one.type("2")
            second.append(one.until(lambda told: told["ready"] and told["place"] == "endpoints")["at"] - at)
    assert writer.stdout is not None
    said(f"first useful paint, median of {SPAWNS}", statistics.median(first) * 1000, "ms", 1000)
    said("the same from the start of the process, imports and all", statistics.median(whole) * 1000, "ms")
    said("from 2 to the first rows of all endpoints, median", statistics.median(second) * 1000, "ms")
    with screen(url, folder) as one:
        one.until(lambda told: told["ready"])
        one.type("2")
        told = one.until(lambda told: told["ready"] and told["place"] == "endpoints")

        list(one.drawings(time.monotonic() + 2))
        os.set_blocking(writer.stdout.fileno(), False)
        before, began, cpu = written(writer), time.monotonic(), one.cpu()
        found, painted = [], told["painted"]
        for n in range(keys):
            at = one.type(KEYS[n % len(KEYS)])
            seen = one.until(lambda told, last=painted: told["painted"] > last)
            painted = seen["painted"]
            found.append((1000 * (seen["at"] - at), KEYS[n % len(KEYS)]))
            list(one.drawings(time.monotonic() + PAUSE))
        took = time.monotonic() - began
        said("changes a second meanwhile", (written(writer) - before) / took, "", UPDATES)
        found.sort()
        said("key to repaint, median", statistics.median(ms for ms, _ in found), "ms", 50)
        said("key to repaint, 99 of 100", found[min(int(len(found) * 0.99), len(found) - 1)][0], "ms", 150)
        print("the slowest:", ", ".join(f"{key} {ms:.0f}" for ms, key in found[-6:]))
        said("the screen's process used of a core", 100 * (one.cpu() - cpu) / took, "%")
        said("memory at most", one.of_process("VmHWM") / 1024, "MB", 300)


def written(writer: subprocess.Popen[str]) -> int:
    """How many changes the other process made so far."""
    assert writer.stdout is not None
    time.sleep(0.3)
    lines = os.read(writer.stdout.fileno(), 1 << 20).decode().splitlines()
    return int(lines[-1].split()[0])


def said(what: str, value: float, unit: str, bar: float | None = None) -> None:
    print(f"{what:54}{value:10,.0f} {unit:4}{f'  (bar {bar:,.0f})' if bar else ''}", flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as name:
        file = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(name) / "inventory.db"
        url = f"sqlite:///{file}"
        if not file.exists():
            subprocess.run([sys.executable, __file__, "--fill", url, str(count)], check=True)
        with open_store(url) as store:
            said("endpoints", len(store.order.read(Query(), Order(), utc_now()).keys), "")
        writer = subprocess.Popen([sys.executable, __file__, "--write", url], stdout=subprocess.PIPE, text=True)
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            measure(url, Path(name), keys, writer)
        finally:
            writer.kill()
            writer.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--fill", url, count]:
            with open_store(url) as filled:
                fill(filled, int(count))
        case ["--write", url]:
            write_on(url)
        case ["--show", url, report]:
            show_on(url, int(report))
        case _:
            main()
