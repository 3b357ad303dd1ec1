"""Everything declared matched with everything that runs, and the lists of drift that follow, with peak memory.

Run: python benchmarks/matching.py [COUNT]     (default 10000 declared and 10000 running)

A third is declared by its URL, a sixth by a name that stands for its address, a sixth by its certificate's name, a
sixth only by its model's name (proposals, not matches), and the rest is elsewhere than declared. The pairs are counted,
so that a fast wrong answer is no answer.
"""

import resource
import sys
import time

from inventory.counterparts import Tier, match
from inventory.drift import Drift, drift
from inventory.model import Declaration, Endpoint, InferenceRoute, Kind, Presence, Registered, Scheme, utc_now

BAR = 10.0
"""Seconds that matching may take."""

WAYS = ("url", "url", "place", "certificate", "model", "elsewhere")
MOMENT = utc_now()


def address(number: int, net: int = 10) -> str:
    return f"{net}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def endpoint(number: int) -> Endpoint:
    return Endpoint(
        id=f"{number:016x}",
        site="lab",
        scope="lab",
        address=address(number),
        port=8000,
        scheme=Scheme.HTTP,
        url=f"http://{address(number)}:8000/",
        kind=Kind.MODEL_ENDPOINT,
        is_model_endpoint=True,
        title=f"model-{number:06d}",
        inference_routes=(InferenceRoute(method="POST", path="/predict"),),
        certificate_names=(f"m{number}.models.example",),
        presence=Presence.SEEN,
        first_seen=MOMENT,
        last_seen=MOMENT,
    )


def declaration(number: int) -> Declaration:
    way = WAYS[number % len(WAYS)]
    named = f"https://m{number}.models.example:8000/predict"
    parts = {
        "url": {"urls": (f"http://{address(number)}:8000/predict",)},
        "place": {"urls": (f"http://name{number}.example:8000",), "places": (f"{address(number)}:8000",)},
        "certificate": {"urls": (named,)},
        "model": {"model": f"model-{number:06d}"},
        "elsewhere": {"urls": (f"http://{address(number, 172)}:8000",)},
    }
    return Declaration(
        source="benchmark:", key=str(number), name=f"m{number}", operations=("POST /predict",),
        site="lab", scope="registry", scan="s1", at=MOMENT, **parts[way],
    )  # fmt: skip


def report(what: str, seconds: float, note: str) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:28}{seconds:8.2f} s{memory:8,.0f} MB peak   {note}")


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    endpoints = [endpoint(number) for number in range(count)]
    declarations = [declaration(number) for number in range(count)]
    report("made", 0.0, f"{count:,} declared, {count:,} running")
    started = time.perf_counter()
    matching = match(declarations, endpoints, ())
    seconds = time.perf_counter() - started
    right = sum(one.declaration.key == str(int(one.endpoint.id, 16)) for one in matching.matches)
    report("matched", seconds, f"{right:,} right of {len(matching.matches):,}, {len(matching.proposals):,} proposed")
    planted = [WAYS[number % len(WAYS)] for number in range(count)]
    exact = right == len(matching.matches) == sum(way in {"url", "place", "certificate"} for way in planted)
    exact &= len(matching.proposals) == planted.count("model")
    exact &= all(one.tier is Tier.MODEL_NAME for one in matching.proposals)
    started = time.perf_counter()
    registered = [Registered(declaration=one, first_seen=MOMENT, last_seen=MOMENT) for one in declarations]
    lists = drift(endpoints, registered, (), ()).items
    shadows = sum(item.drift is Drift.SHADOW for item in lists)
    report("drift, matching included", time.perf_counter() - started, f"{shadows:,} shadows")
    exact &= shadows == count - len(matching.matches)
    print(f"bar: {count:,} with {count:,} in {BAR:g} s: {'met' if exact and seconds <= BAR else 'MISSED'}")
    return 0 if exact and seconds <= BAR else 1


if __name__ == "__main__":
    raise SystemExit(main())
