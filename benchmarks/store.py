"""The inventory at scale: ingest, folding, lists, filters, coverage and the graph, with peak memory.

Run: python benchmarks/store.py [ENDPOINTS]     (default 20000; five observations each)
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from inventory.coverage import coverage
from inventory.graph import build, neighbourhood
from inventory.model import (
    Asked,
    Evidence,
    Exposed,
    Identified,
    InferenceRoute,
    Kind,
    Listener,
    Observation,
    Posture,
    Postured,
    Questioned,
    Scheme,
    utc_now,
)
from inventory.store import open_store

KINDS = (*Kind, Kind.ORDINARY_WEB, Kind.ORDINARY_WEB)
BATCH = 5000


def observations(listener: Listener, number: int, moment) -> Iterator[Observation]:
    def seen(fact, evidence=()) -> Observation:
        return Observation(scan="s1", scope="lab", listener=listener, at=moment, fact=fact, evidence=evidence)

    kind = KINDS[number % len(KINDS)]
    yield seen(Exposed(scheme=Scheme.HTTP))
    yield seen(
        Identified(
            kind=kind,
            product=("flask", "fastapi", "jupyter-server", None)[number % 4],
            is_model_endpoint=kind is Kind.MODEL_ENDPOINT,
            confidence=0.9,
            inference_routes=(InferenceRoute(method="POST", path="/predict"),),
        ),
        (Evidence(signal="answers like it", weight=3.0, request="GET /"),),
    )
    yield seen(Postured(posture=tuple(Posture)[number % 3], decided_by="GET /api/status"))
    yield seen(
        Questioned(requests=tuple(Asked(method="GET", path=f"/{n}", status=404, digest="0" * 64) for n in range(4)))
    )
    yield seen(Exposed(scheme=Scheme.HTTP)).model_copy(update={"at": moment - timedelta(days=1)})


def timed(what: str, work: Callable[[], object], count: int | None = None) -> object:
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    rate = f"{count / seconds:12,.0f} a second" if count else f"{1000 * seconds:12,.1f} ms"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:52}{rate:>24}{memory:10,.0f} MB peak")
    return result


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    moment = utc_now()
    listeners = [
        Listener(site="lab", address=f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", port=8000) for n in range(count)
    ]
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{Path(folder)}/inventory.db") as store:

        def ingest() -> None:
            for start in range(0, count, BATCH):
                numbered = enumerate(listeners[start : start + BATCH], start)
                store.observations.append(o for number, one in numbered for o in observations(one, number, moment))

        def fold() -> None:
            for start in range(0, count, BATCH):
                store.endpoints.refold(listeners[start : start + BATCH], moment)

        timed("observations ingested (made, digested, written)", ingest, 5 * count)
        timed("listeners folded into endpoints", fold, count)
        timed("first page of 100, riskiest first", lambda: store.endpoints.list(limit=100))
        timed("page of 100 by an indexed filter", lambda: store.endpoints.list("kind:notebook", limit=100))
        timed("count by two filters", lambda: store.endpoints.count("kind:notebook posture:open"))
        timed("free text over everything, 100 rows", lambda: store.endpoints.list("10.0.77", limit=100))
        one = store.endpoints.list(limit=1)[0]
        timed("one endpoint", lambda: store.endpoints.get(one.id))
        everything = timed("every endpoint read", store.endpoints.list, count)
        timed("coverage of all that was read", lambda: coverage(everything, store.scans.list()))
        graph = timed("graph built", lambda: build(everything, [], []))
        timed("neighbourhood of an endpoint", lambda: neighbourhood(graph, f"endpoint:{one.id}"))


if __name__ == "__main__":
    main()
