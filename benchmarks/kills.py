"""Kills a writer again and again, at moments that chance chooses, and looks at what it left behind.

Run: python benchmarks/kills.py [KILLS]     (default 1000; exits with 1 where anything is not as it should be)

A child process writes scans into a SQLite database as `gnomon scan` does: the scan, its observations, the fold,
the end of the scan, what follows from it. It is killed by SIGKILL. Afterwards the file has to pass SQLite's
integrity check, and every scan that is marked complete has to have all its observations. In the end the writer
may run to its end, and what it made has to be what an undisturbed writer makes.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from inventory.model import (
    Exposed,
    Identified,
    Kind,
    Listener,
    Observation,
    Posture,
    Postured,
    Scan,
    ScanStatus,
    Scheme,
)
from inventory.store import Store, open_store

SCANS = 24
HOSTS = 40
START = datetime(2026, 1, 1, tzinfo=UTC)


def scan_of(number: int, status: ScanStatus) -> Scan:
    started = START + timedelta(hours=number)
    return Scan(
        id=f"scan-{number:03}", scope="lab", site="lab", source="subnet", targets=("10.0.0.0/24",), ports=(8000,),
        started_at=started, ended_at=started if status is ScanStatus.COMPLETE else None, status=status,
    )  # fmt: skip


def observations(number: int) -> Iterator[Observation]:
    """A scan sees each host but every seventh, whose posture and version change now and then."""
    at = START + timedelta(hours=number, minutes=1)
    for host in range(HOSTS):
        if (host + number) % 7 == 0:
            continue
        listener = Listener(site="lab", address=f"10.0.0.{host}", port=8000)
        kind = Kind.NOTEBOOK if host % 3 else Kind.MODEL_ENDPOINT
        for fact in (
            Exposed(scheme=Scheme.HTTP),
            Identified(kind=kind, product="jupyter-server", version=f"{number // 5}"),
            Postured(posture=tuple(Posture)[(number + host) % 3]),
        ):
            yield Observation(scan=f"scan-{number:03}", scope="lab", listener=listener, at=at, fact=fact)


def write(store: Store, order: list[int]) -> None:
    """Write scans as the scanner's journal does; writing one twice changes nothing."""
    for number in order:
        seen = list(observations(number))
        now = START + timedelta(days=2)
        store.scans.save(scan_of(number, ScanStatus.RUNNING))
        store.observations.append(seen)
        store.endpoints.refold({one.listener for one in seen}, now)
        done = scan_of(number, ScanStatus.COMPLETE)
        store.scans.save(done)
        store.endpoints.settle(done, now)


def child(url: str, seed: int) -> int:
    """Fork a writer that goes on until it is killed. Its process id."""
    pid = os.fork()
    if pid:
        return pid
    chance = random.Random(seed)
    with open_store(url) as store:
        while True:
            write(store, [chance.randrange(SCANS) for _ in range(SCANS)])


def faults(url: str) -> list[str]:
    """What is not whole after a kill."""
    found = []
    expected = {f"scan-{number:03}": len(list(observations(number))) for number in range(SCANS)}
    with open_store(url) as store, store._database.read() as session:  # noqa: SLF001 - it looks behind the counter
        connection = session.connection()
        found += [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
        counts = dict(connection.execute(text("SELECT scan, count(*) FROM observation GROUP BY scan")).all())
        for scan in store.scans.list(limit=SCANS):
            if scan.status is ScanStatus.COMPLETE and counts.get(scan.id) != expected[scan.id]:
                found.append(f"{scan.id} is complete with {counts.get(scan.id)} of {expected[scan.id]} observations")
        for scan_id, count in counts.items():
            if count != expected[scan_id]:
                found.append(f"{scan_id} has {count} of {expected[scan_id]} observations: a transaction was torn")
    return found


def made(url: str) -> list[dict]:
    with open_store(url) as store:
        write(store, list(range(SCANS)))
        problems = list(store.upkeep.check())
        assert problems == [], problems
        return sorted((one.model_dump() for one in store.endpoints.list()), key=lambda one: one["id"])


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    chance = random.Random(7)
    wrong: list[str] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/killed.db"
        open_store(url).close()
        for number in range(1, kills + 1):
            pid = child(url, number)
            time.sleep(chance.uniform(0.0, 0.25))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if number % 10 == 0 or number == kills:
                wrong += faults(url)
            if number % 100 == 0:
                print(f"{number} kills, {len(wrong)} faults, {time.perf_counter() - began:.0f} s", flush=True)
        same = made(url) == made(f"sqlite:///{Path(folder)}/undisturbed.db")
    for fault in wrong:
        print(fault)
    print(f"{kills} kills, {len(wrong)} faults; the end is {'the same' if same else 'ANOTHER'} as undisturbed")
    sys.exit(0 if same and not wrong else 1)


if __name__ == "__main__":
    main()
