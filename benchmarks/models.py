"""Real models end to end: scikit-learn's digits, a classifier and an embedding, each replaced by three candidates.

A rollout with the usual ladder runs at a real gateway under load. The candidates: the same model retrained on other
examples; one retrained with a defect in one class (most eights of its training were called threes); and the same model
with its weights rounded to eight bits. Printed: how each rollout ended, at which step, how large a share of the live
requests the candidate answered, and what the disagreements say.

Before them, what a shadow costs where the model works: requests a second with 10 % copied to the rounded one and
compared, against without, in rounds that alternate. The candidate computes on the same processors.

scikit-learn is needed (``pip install scikit-learn``), and is no dependency of gnomon.
Usage: ``python benchmarks/models.py``.
"""

import asyncio
import contextlib
import itertools
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from shadow_rig import HOST, Gateway, ask, free_port, gateway, listening

from inventory.model import Comparison, Gate, RouteSpec, Rule, utc_now
from router import rollout_moves
from router.rollout import ladder, live_percent
from router.rollout_file import RolloutPlan
from tui.convergence import await_gateways

GATE = Gate(agreement=0.95, new_errors=0.02, latency_ratio=3, latency_slack_ms=100)
PLAN = RolloutPlan(steps=ladder(GATE, shadow=(10, 50), split=(5, 50, 100)))
RULES = Comparison(rules=(Rule(path="$.probabilities", distance=0.3), Rule(path="$.embedding", cosine=0.99)))
CANDIDATES = ("retrained", "defective", "rounded")
MOST_SECONDS = 120.0
COST_ROUNDS, COST_SECONDS = 15, 2.0
HEAD = (
    f"{'candidate':10} {'ended':12} {'furthest':11} {'live':>6} {'answered':>7} {'pairs agree':>14} {'failed':>6} "
    f"{'took':>8}  what differs"
)


def rounded(weights: Any) -> Any:
    """The weights in 255 steps between the largest and its negative."""
    import numpy as np

    largest = np.abs(weights).max()
    return np.round(weights / largest * 127) / 127 * largest


def train(kind: str) -> Any:
    """A function from pixels to an answer."""
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    pixels, digits = load_digits(return_X_y=True)
    chance = np.random.default_rng(7 if kind in {"incumbent", "rounded"} else 8)
    chosen = chance.permutation(len(pixels))[:1600]
    given, wanted = pixels[chosen], digits[chosen].copy()
    if kind == "defective":
        wanted[(wanted == 8) & (chance.random(len(wanted)) < 0.8)] = 3
    classifier = LogisticRegression(max_iter=400, C=0.02).fit(given / 16, wanted)
    # One basis for all: another one would be another embedding, not a worse one.
    basis = PCA(16, random_state=0).fit(pixels / 16)
    weights, axes = classifier.coef_, basis.components_
    if kind == "rounded":
        weights, axes = rounded(weights), rounded(axes)

    def answer(body: bytes) -> bytes:
        asked = np.array(json.loads(body)["pixels"]) / 16
        scores = np.exp(weights @ asked + classifier.intercept_)
        shares = scores / scores.sum()
        said = {
            "digit": int(classifier.classes_[shares.argmax()]),
            "probabilities": shares.round(5).tolist(),
            "embedding": (axes @ (asked - basis.mean_)).round(6).tolist(),
        }
        return json.dumps(said).encode()

    return answer


def questions() -> Iterator[bytes]:
    from sklearn.datasets import load_digits

    return itertools.cycle([json.dumps({"pixels": row.tolist()}).encode() for row in load_digits().data])


async def serve(kind: str, port: int) -> None:
    answer = train(kind)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
                said = answer(body)
                head = b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
                writer.write(head + said)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", port)
    await server.serve_forever()


async def calling(port: int, bodies: Iterator[bytes], tally: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            tally[1] += await ask(reader, writer, next(bodies)) != 200
            tally[0] += 1
    finally:
        writer.close()


async def roll(
    gate: Gateway,
    name: str,
    incumbent: int,
    candidate: int,
    *,
    rules: Comparison = RULES,
    bodies: Iterator[bytes] | None = None,
) -> str:
    """One rollout, until it ends; what became of it, as a line."""
    listed = [
        {"name": "incumbent", "url": f"http://127.0.0.1:{incumbent}", "weight": 100},
        {"name": name, "url": f"http://127.0.0.1:{candidate}", "weight": 0},
    ]
    spec = RouteSpec.model_validate({"name": name, "hosts": (HOST,), "backends": listed, "comparison": rules})
    await asyncio.to_thread(await_gateways, gate.store, [gate.store.routes.put(spec, who="bench", why="bench")], 20)
    tally, began, bodies = [0, 0], time.monotonic(), bodies or questions()
    callers = [asyncio.create_task(calling(gate.port, bodies, tally)) for _ in range(8)]
    rollout, shaped = rollout_moves.start(spec, PLAN, rollout_id=name, now=utc_now())
    gate.store.rollouts.begin(rollout, shaped, who="bench", why="bench")
    highest = rollout
    while rollout.active and time.monotonic() - began < MOST_SECONDS:
        await asyncio.sleep(0.2)
        rollout = gate.store.rollouts.get(name) or rollout
        highest = rollout if rollout.position > highest.position else highest
    took = time.monotonic() - began
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await asyncio.sleep(1.5)
    live = {one.backend: one.requests for one in gate.store.shadow.traffic(name)}
    rows = {(row.primary, row.shadow): row for row in gate.store.shadow.of(name)}
    row = rows.get(("incumbent", name))
    swaps = row.swaps.get("$.digit", {}) if row else {}
    most = ", ".join(f"{times} x {swap}" for swap, times in list(swaps.items())[:2])
    if not most and row is not None and row.paths:
        most = ", ".join(f"{times} x {place} by up to {row.distances.get(place)}" for place, times in row.paths.items())
    share = live.get(name, 0) / max(1, sum(live.values()))
    gate.store.routes.remove(name, who="bench", why="done")
    agreed = f"{row.agreed} of {row.compared}" if row else "none"
    return (
        f"{name:10} {rollout.status.value:12} {highest.step.words:11} {live_percent(highest):>4} % {share:>7.1%} "
        f"{agreed:>14} {tally[1]:>6} {took:>6.1f} s  {most or 'nothing'}"
    )


async def cost(gate: Gateway, ports: dict[str, int]) -> None:
    """How much of the throughput is left with a shadow, with the interval of 95 % that the rounds give the median."""
    names = {"origin": ports["incumbent"], "replacement": ports["rounded"]}
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(COST_ROUNDS):
        for copied in (False, True) if number % 2 else (True, False):
            shadow = {"backend": "replacement", "percent": 10} if copied else None
            await gate.desire(names, shadow, comparison=RULES)
            tally, began = [0, 0], time.perf_counter()
            callers = [asyncio.create_task(calling(gate.port, questions(), tally)) for _ in range(8)]
            await asyncio.sleep(COST_SECONDS)
            rates[copied].append(tally[0] / (time.perf_counter() - began))
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
            assert not tally[1], tally
    found = sorted(with_it / without for without, with_it in zip(rates[False], rates[True], strict=True))
    low, high = _ranks(len(found))
    print(
        f"10 % copied and compared: {statistics.median(rates[True]):.0f} of {statistics.median(rates[False]):.0f} "
        f"requests/s, x {statistics.median(found):.2f} ({found[low]:.2f}-{found[high]:.2f})",
        flush=True,
    )


def _ranks(many: int) -> tuple[int, int]:
    """Between which of so many ordered values the median lies in 95 %. Source: the sign test (Conover, 1971)."""
    below, rank = 0.5**many, 0
    while below + math.comb(many, rank + 1) * 0.5**many <= 0.025:
        rank += 1
        below += math.comb(many, rank) * 0.5**many
    return rank, many - 1 - rank


async def main() -> None:
    ports = {kind: free_port() for kind in ("incumbent", *CANDIDATES)}
    children = [
        await asyncio.create_subprocess_exec(sys.executable, __file__, "--serve", kind, str(port))
        for kind, port in ports.items()
    ]
    try:
        for port in ports.values():
            await listening(port)
        with tempfile.TemporaryDirectory() as folder:
            async with gateway(folder) as gate:
                await cost(gate, ports)
        print(HEAD)
        for name in CANDIDATES:
            with tempfile.TemporaryDirectory() as folder:
                async with gateway(folder) as gate:
                    print(await roll(gate, name, ports["incumbent"], ports[name]), flush=True)
    finally:
        for child in children:
            child.kill()
            await child.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(sys.argv[2], int(sys.argv[3])))
    try:
        import sklearn  # noqa: F401 - whether it is there
    except ImportError:
        sys.exit("scikit-learn is needed for this benchmark, and only for it: pip install scikit-learn")
    asyncio.run(main())
