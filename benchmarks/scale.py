"""A million endpoints with ten million observations: how they are taken in, and what questions about them cost.

Run: python benchmarks/scale.py FILE [ENDPOINTS]     (default 100000; ten observations each, over two scans)

FILE is the SQLite database. It is built where it is not there; where it is, it is asked, and one more scan of
8,000 of its listeners, in no order, is taken in. The first twenty
thousand endpoints are taken in and folded as scans do it, and those are the rates that are printed. The
rest are copies of them under other addresses, made in SQL with the ids that they would have: each observation
and each row is what the store would have written, and `gnomon db check` agrees. Times are the best and the
median of seven.
"""

import hashlib
import random
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from inventory.garbage import collect_seldom
from inventory.graph import build as build_graph
from inventory.identity import endpoint_id
from inventory.listing import Order, place_key
from inventory.model import (
    Account,
    Asked,
    Certificate,
    Evidence,
    Exposed,
    Fact,
    Identified,
    InferenceRoute,
    Kind,
    Listener,
    Observation,
    Owned,
    Posture,
    Postured,
    Questioned,
    Scan,
    ScanStatus,
    Scheme,
    utc_now,
)
from inventory.reach import blast_radius, ways_in
from inventory.store import Store, open_store

KINDS = (
    Kind.ORDINARY_WEB, Kind.ORDINARY_WEB, Kind.MODEL_ENDPOINT, Kind.ORDINARY_WEB, Kind.NOTEBOOK, Kind.ORDINARY_WEB,
    Kind.ML_UI, Kind.NOT_HTTP, Kind.ORDINARY_WEB, Kind.ML_PLATFORM, Kind.ORDINARY_WEB,
)  # fmt: skip
PRODUCTS = tuple(f"product-{number}" for number in range(37))
PORTS = (80, 443, 5000, 8000, 8080, 8501, 8888)
ROUTES = (InferenceRoute(method="POST", path="/predict"),)
ASKED = tuple(Asked(method="GET", path=f"/{n}", status=404, digest="0" * 64) for n in range(4))
BATCH = 4000
SITES = 12
SEED = 20_000
GRAPH = 100_000
CHANGED = 200
MORE = 8000
TRANSACTION = 20_000


def listener(number: int) -> Listener:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Listener(site=f"site-{number % SITES}", address=address, port=PORTS[number % len(PORTS)])


def facts(number: int) -> Iterator[Fact]:
    kind = KINDS[number % len(KINDS)]
    yield Exposed(scheme=Scheme.HTTPS if number % 3 == 0 else Scheme.HTTP)
    yield Identified(
        kind=kind,
        product=PRODUCTS[number % len(PRODUCTS)],
        version=f"1.{number % 9}",
        is_model_endpoint=kind is Kind.MODEL_ENDPOINT,
        confidence=0.9,
        inference_routes=ROUTES if kind is Kind.MODEL_ENDPOINT else (),
    )
    yield Postured(posture=tuple(Posture)[number % 3], decided_by="GET /api/status")
    yield Questioned(requests=ASKED)
    if number % 2:
        yield Owned(owner=f"team-{number % 1999}", said_by="label")
    else:
        yield Certificate(names=(f"h{number}.example",), key_digest=f"{number:064x}")


def scans() -> list[Scan]:
    now = utc_now()
    return [
        Scan(
            id=f"scan-{day}-{site}", scope=f"scope-{site}", site=f"site-{site}", source="subnet",
            targets=("10.0.0.0/8",), ports=PORTS,
            started_at=now - timedelta(days=day, hours=1), ended_at=now - timedelta(days=day),
            status=ScanStatus.COMPLETE, account=Account(planned=65536 * 7, answered=9000, refused=400000),
        )
        for day in (2, 1)
        for site in range(SITES)
    ]  # fmt: skip


def observations(number: int, day: int, scan: Scan, copy: int = 0) -> Iterator[Observation]:
    where = listener(number)
    where = where.model_copy(update={"address": where.address.replace("10.0.", f"10.{copy}.", 1)})
    at = scan.started_at + timedelta(seconds=number % 3000)
    for fact in facts(number):
        evidence = (Evidence(signal="answers like it", weight=3.0, request="GET /"),) if day == 1 else ()
        yield Observation(scan=scan.id, scope=scan.scope, listener=where, at=at, fact=fact, evidence=evidence)


def memory() -> str:
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8,.0f} MB peak"


def build(store: Store, count: int) -> None:
    known = {scan.id: scan for scan in scans()}
    for scan in known.values():
        store.scans.save(scan)
    taken = folded = 0.0
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        made = [
            observation
            for day in (2, 1)
            for number in numbers
            for observation in observations(number, day, known[f"scan-{day}-{number % SITES}"])
        ]
        began = time.perf_counter()
        store.observations.append(made)
        between = time.perf_counter()
        store.endpoints.refold([listener(number) for number in numbers], utc_now())
        taken += between - began
        folded += time.perf_counter() - between
        done = numbers[-1] + 1
        if (start // BATCH) % max(1, count // BATCH // 10) == 0 or done == count:
            print(
                f"{done:10,} endpoints: {10 * done / taken:8,.0f} observations a second taken in, "
                f"{done / folded:6,.0f} listeners a second folded, {memory()}",
                flush=True,
            )


def multiply(path: Path, copies: int) -> None:
    """Copy what is there, in 10.0.0.0/16, to 10.1.0.0/16 and on: 20,000 endpoints each."""
    connection = sqlite3.connect(path)
    connection.create_function("digest", 1, lambda body: hashlib.blake2b(body.encode(), digest_size=16).hexdigest())
    connection.create_function(
        "named", 3, lambda s, a, p: endpoint_id(Listener(site=s, address=a, port=p), "/"), deterministic=True
    )
    connection.create_function("place", 3, place_key, deterministic=True)
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -2000000;")
    columns = {
        table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for table in ("endpoint", "observation")
    }
    connection.execute("CREATE TEMP TABLE seed AS SELECT * FROM observation")
    connection.execute("CREATE TEMP TABLE first AS SELECT * FROM endpoint")
    for copy in range(1, copies + 1):
        body = f"""replace(body, '"address":"10.0.', '"address":"10.{copy}.')"""
        address = f"'10.{copy}.' || substr(address, 6)"
        name = f"named(site, {address}, port)"
        moved = {column: f"replace({column}, '//10.0.', '//10.{copy}.')" for column in ("url", "exposures")}
        values = {"id": f"digest({body})", "address": address, "body": body}
        _copy(connection, "observation", "seed", columns["observation"], values)
        words = f"{name} || replace(substr(words, 17), '//10.0.', '//10.{copy}.')"
        values = {"id": name, "address": address, "place": f"place({address}, port, {name})", "words": words, **moved}
        _copy(connection, "endpoint", "first", columns["endpoint"], values)
        key = f"'40a{copy:02x}' || substr(key, 6)"
        connection.execute(
            f"INSERT INTO block (site, key, count) SELECT site, {key}, count FROM block WHERE key LIKE '40a00%'"
        )
        event = "json_object('at', first_seen || 'Z', 'endpoint', id, 'what', 'new', 'url', url)"
        connection.execute(
            "INSERT INTO event (at, endpoint, what, body) "
            f"SELECT first_seen, id, 'new', {event} FROM endpoint WHERE address LIKE '10.{copy}.%'"
        )
        connection.commit()
        if copy % 10 == 0:
            print(f"{copy} copies", flush=True)
    connection.execute("UPDATE facet SET count = count * ?", (copies + 1,))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _copy(connection: sqlite3.Connection, table: str, source: str, columns: list[str], values: dict[str, str]) -> None:
    names = ", ".join(columns)
    chosen = ", ".join(values.get(name, name) for name in columns)
    connection.execute(f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {source}")


def timed(what: str, bar: float | None, work: Callable[[], object]) -> None:
    times, cpu = [], []
    for _ in range(7):
        started, busy = time.perf_counter(), time.process_time()
        work()
        times.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - busy))
    middle = statistics.median(times)
    verdict = "" if bar is None else f"bar {bar:6,.0f} ms  {'met' if middle <= bar else 'MISSED'}"
    print(f"{what:50}{min(times):9.1f}{middle:9.1f}{statistics.median(cpu):9.1f} ms  {verdict}", flush=True)


FILTERS = (
    "kind:notebook", "kind:notebook posture:open", "owner:team-77", "-owner:*", "site:site-3 kind:model-endpoint",
    "product:product-3 kind:notebook", "risk>70", "presence:gone", "governance:managed", "routing:direct",
    "address:10.3.7.*", "address:10.3.7.9", "port:8888", "seen<30m", "new<9d kind:ml-ui",
    "port:8888 seen<30d", "seen<30d risk>20 -owner:*", "scope:scope-9",
)  # fmt: skip


def ask(store: Store) -> None:
    endpoints = store.endpoints
    print(f"\n{'question':50}{'best':>9}{'median':>9}{'of CPU':>9}")
    timed("the first page, riskiest first", 100, endpoints.page)
    for by, descending in (("endpoint", False), ("seen", True), ("new", True), ("owner", False), ("kind", True)):
        order = Order(by, descending=descending)
        timed(f"the first page by {by}", 100, lambda order=order: endpoints.page(order=order))
    for text in FILTERS:
        timed(f"a page of {text}", 100, lambda text=text: endpoints.page(text))
        timed(f"how many {text}", 100, lambda text=text: endpoints.count(text))
    after = None
    for _ in range(20):
        after = endpoints.page("kind:notebook", limit=100, after=after).after
    timed("the twenty-first page of kind:notebook", 100, lambda: endpoints.page("kind:notebook", after=after))
    timed("a word that many have", 1000, lambda: endpoints.page("product-3"))
    timed("a word that one has", 1000, lambda: endpoints.page("10.0.77.200"))
    one = endpoints.page("kind:notebook").rows[50]

    def history() -> None:
        found = endpoints.get(one.id)
        store.history(found)
        store.changes.list(subject=found.id)
        store.events.list(endpoint=found.id)

    timed("one endpoint with its history", 50, history)
    timed("coverage", 1000, store.coverage.report)
    timed("coverage by owner", 1000, lambda: store.coverage.by("owner"))
    version = store.version()
    endpoints.refold([listener(number) for number in range(CHANGED)], utc_now())
    timed(f"what changed since then: {CHANGED} endpoints", 100, lambda: endpoints.changed(version))
    began, busy = time.perf_counter(), time.process_time()
    graph = build_graph(islice(endpoints.points(), GRAPH), store.routes.list(), [])
    cpu = time.process_time() - busy
    print(
        f"graph of {GRAPH:,}: {time.perf_counter() - began:.1f} s, {cpu:.1f} s of CPU; bar 5 s; {memory()}", flush=True
    )
    nodes = [node for node in islice(graph, 1000) if node.startswith("endpoint:")]
    timed("how an endpoint can be reached", 50, lambda: ways_in(graph, nodes[-1]))
    timed("its blast radius", 50, lambda: blast_radius(graph, nodes[-1]))


def go_on(store: Store) -> None:
    """Take in one more scan of listeners that are known, met in no order as a scan of a subnet meets them."""
    total, now = store.endpoints.count(), utc_now()
    scan = scans()[-1].model_copy(update={"id": f"scan-{now:%y%m%d%H%M%S}", "started_at": now})
    store.scans.save(scan)
    copies = range(max(1, total // SEED))
    its = [(number, copy) for number in range(SITES - 1, min(total, SEED), SITES) for copy in copies]
    met = random.Random(total).sample(its, min(MORE, len(its)))
    made = [one for number, copy in met for one in observations(number, 0, scan, copy)]
    began, busy = time.perf_counter(), time.process_time()
    for start in range(0, len(made), TRANSACTION):
        store.observations.append(made[start : start + TRANSACTION])
    wall, cpu = time.perf_counter() - began, time.process_time() - busy
    print(
        f"{len(made):,} observations more: {len(made) / wall:,.0f} a second, {len(made) / cpu:,.0f} a second of CPU; "
        f"bar 20,000; {memory()}",
        flush=True,
    )


def main() -> None:
    collect_seldom()
    path = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    if not path.exists():
        with open_store(f"sqlite:///{path}") as store:
            build(store, min(count, SEED))
        multiply(path, max(0, count // SEED - 1))
    with open_store(f"sqlite:///{path}") as store:
        total = store.endpoints.count()
        print(f"{total:,} endpoints, {path.stat().st_size / 2**30:.1f} GiB, {memory()}")
        ask(store)
        go_on(store)
        print(memory())


if __name__ == "__main__":
    main()
