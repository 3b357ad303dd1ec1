"""The terminal UI at scale: first useful paint, key to repaint while others write, and memory.

A real store with endpoints of ordinary size; another process changes 500 of them a second. Keys are posted to the
app, and a repaint counts when the compositor has drawn the screen after the cursor moved.

Run: python benchmarks/terminal.py [ENDPOINTS] [KEYS]     (default 100000 and 300)
"""

import asyncio
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from textual import events

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
from inventory.settings import Settings
from inventory.store import Store, open_store
from inventory.store.endpoints import assessed
from inventory.store.rows import Due, keep
from tui.app import GnomonApp
from tui.widgets.table import RowTable

BATCH = 5000
SIZE = (200, 60)
UPDATES = 500
BATCHES_A_SECOND = 25
KEYS = ("j", "j", "j", "pagedown", "k", "j", "pageup", "j", "G", "k", "g", "pagedown")


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
    """Change endpoints until somebody ends this: the other process."""
    dice = random.Random(2)
    with open_store(url) as store:
        ids = [one.id for one in store.endpoints.list(limit=20_000)]
        due = time.monotonic()
        while True:
            some = store.pages.rows(dice.sample(ids, UPDATES // BATCHES_A_SECOND))
            changed = [
                one.model_copy(update={"risk": dice.randrange(101), "last_seen": utc_now()}) for one in some.values()
            ]
            with store._database.write() as session:  # noqa: SLF001 - rows without their observations
                keep(session, [Due(one, None) for one in changed], utc_now())
            due += 1 / BATCHES_A_SECOND
            time.sleep(max(due - time.monotonic(), 0))


class Watched(GnomonApp):
    """Notes when the screen was drawn."""

    drawn = drawn_cpu = 0.0

    def _display(self, *given: object) -> None:
        super()._display(*given)
        self.drawn, self.drawn_cpu = time.perf_counter(), time.thread_time()


async def until(holds, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - it watches from outside, on what sets no event
            await asyncio.sleep(0.001)


async def measure(url: str, folder: Path, keys: int) -> None:
    with open_store(url) as store:
        settings = Settings(database=url, state_folder=folder)
        for name, place in (("pulse", "pulse"), ("endpoints", "endpoints")):
            await first_paint(store, settings, name, place)
        started = store.version()
        app = Watched(store, settings)
        async with app.run_test(size=SIZE) as pilot:
            await pilot.press("2")
            await app.settled()
            await pilot.pause()
            began, at = time.monotonic(), store.version()
            found = [await one_key(app, KEYS[n % len(KEYS)]) for n in range(keys)]
            rate = (store.version() - at) / (time.monotonic() - began) * (UPDATES / BATCHES_A_SECOND)
        print(f"{'changes a second meanwhile':44}{rate:12,.0f}   (store at {store.version() - started} writes)")
        report("key to repaint", [wall for wall, _ in found])
        report("of which the UI's thread computed", [cpu for _, cpu in found])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'memory':44}{memory:12,.0f} MB peak")


async def first_paint(store: Store, settings: Settings, name: str, place: str) -> None:
    began = time.perf_counter()
    app = Watched(store, settings)
    async with app.run_test(size=SIZE):
        if place == "endpoints":
            app.post_message(events.Key("2", "2"))
            await until(lambda: place == app.screen.PLACE and app.screen.is_mounted)
            await until(lambda: bool(app.screen.feed.rows))
        else:
            await until(lambda: app.session.loaded)
        ready = time.perf_counter()
        await until(lambda: app.drawn > ready)
        print(f"{f'first useful paint of {name}':44}{1000 * (app.drawn - began):12,.0f} ms")


async def one_key(app: Watched, key: str) -> tuple[float, float]:
    """From a key to the screen that shows its effect: milliseconds, and those that the UI's thread computed."""
    table = app.screen.query_one(RowTable)
    moved = asyncio.Event()
    move = table.move_to
    table.move_to = lambda row: (move(row), moved.set())  # type: ignore[method-assign]
    began, cpu = time.perf_counter(), time.thread_time()
    app.post_message(events.Key(key, key if len(key) == 1 else None))
    await moved.wait()
    at = time.perf_counter()
    await until(
        lambda: (
            app.drawn > at and all(k in app.screen.feed.rows for k in table.keys_shown[table.place : table.place + 1])
        )
    )
    table.move_to = move  # type: ignore[method-assign]
    await asyncio.sleep(0.02)
    return 1000 * (app.drawn - began), 1000 * (app.drawn_cpu - cpu)


def report(what: str, found: Sequence[float]) -> None:
    found = sorted(found)
    print(f"{what + ', median':44}{statistics.median(found):12,.1f} ms")
    print(f"{what + ', 99 of 100':44}{found[int(len(found) * 0.99) - 1]:12,.1f} ms")


def main() -> None:
    if sys.argv[1:2] == ["--write"]:
        write_on(sys.argv[2])
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    with tempfile.TemporaryDirectory() as name:
        given = Path(sys.argv[3]) if len(sys.argv) > 3 else None
        url = f"sqlite:///{given or Path(name) / 'inventory.db'}"
        if given is None:
            subprocess.run([sys.executable, __file__, "--fill", url, str(count)], check=True)
        print(f"{'endpoints':44}{count:12,}")
        writer = subprocess.Popen([sys.executable, __file__, "--write", url])
        try:
            asyncio.run(measure(url, Path(name), keys))
        finally:
            writer.kill()
            writer.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fill"]:
        with open_store(sys.argv[2]) as filled:
            fill(filled, int(sys.argv[3]))
    else:
        main()
