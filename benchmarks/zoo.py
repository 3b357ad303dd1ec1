"""One whole scan of a running zoo of real servers, hostile members and all: its score, cost and manners.

`--zoo FOLDER` names the zoo: a `zoo.py` that tells `ports` and `truth --running`, and a `score.py`. The scan is the
command line's own, into a database of its own. Bars: at most 90 s and 300 MB; a mean of at most 8 requests a
listener and never more than 40; no method but GET, HEAD and OPTIONS; nothing that any signature forbids to every
host; no kernel that Voila starts.
Run: python benchmarks/zoo.py --zoo FOLDER [--cidr 127.77.0.0/24] [--misses]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from inventory.model import Listener, Questioned
from inventory.store import open_store
from scanner.knowledge import load_knowledge, parse_request

SECONDS, MEGABYTES, MEAN, MOST = 90, 300, 8.0, 40
ALLOWED = {"GET", "HEAD", "OPTIONS"}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--zoo", type=Path, required=True)
    arguments.add_argument("--cidr", default="127.77.0.0/24")
    arguments.add_argument("--misses", action="store_true")
    given = arguments.parse_args()
    harness = [sys.executable, str(given.zoo / "zoo.py")]
    with tempfile.TemporaryDirectory() as folder:
        truth, found = Path(folder) / "truth.json", Path(folder) / "endpoints.json"
        truth.write_text(_told([*harness, "truth", "--running"]))
        database = f"sqlite:///{folder}/zoo.db"
        gnomon = [str(Path(sys.executable).parent / "gnomon"), "--database", database]
        kernels, started = _kernels(), time.monotonic()
        ports = _told([*harness, "ports"]).strip()
        subprocess.run([*gnomon, "scan", given.cidr, "--ports", ports], check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        born = _kernels() - kernels
        found.write_text(_told([*gnomon, "endpoints", "--format", "json"]))
        score = [sys.executable, str(given.zoo / "score.py"), str(truth), str(found)]
        subprocess.run([*score, *(["--misses"] if given.misses else [])], check=True)
        requests = _asked(database, json.loads(found.read_text()))
    bars = [
        ("seconds", seconds, seconds <= SECONDS),
        ("megabytes", megabytes, megabytes <= MEGABYTES),
        ("requests a listener", sum(map(len, requests.values())) / max(1, len(requests)), None),
        ("most of one listener", max(map(len, requests.values()), default=0), None),
        ("other methods", sum(text.split()[0] not in ALLOWED for asked in requests.values() for text in asked), None),
        ("forbidden requests", len(_forbidden(requests)), None),
        ("kernels that started", len(born), not born),
    ]
    limits = {"requests a listener": MEAN, "most of one listener": MOST}
    met = [value <= limits.get(name, 0) if told is None else told for name, value, told in bars]
    for (name, value, _), good in zip(bars, met, strict=True):
        print(f"{name:22}{value:8.1f}  {'met' if good else 'MISSED'}")
    methods = Counter(text.split()[0] for asked in requests.values() for text in asked)
    print(f"{'methods':22}{json.dumps(methods)}")
    return 0 if all(met) else 1


def _told(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _asked(database: str, endpoints: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Every request by listener, as the ledger's pages are stored. gRPC calls are no requests."""
    asked: dict[str, list[str]] = {}
    with open_store(database) as store:
        for endpoint in endpoints:
            listener = Listener(site=endpoint["site"], address=endpoint["address"], port=endpoint["port"])
            pages = [seen.fact for seen in store.observations.of(listener) if isinstance(seen.fact, Questioned)]
            asked[str(listener)] = [
                f"{one.method} {one.path}" for page in pages for one in page.requests if one.method != "GRPC"
            ]
    return asked


def _forbidden(requests: dict[str, list[str]]) -> list[str]:
    """What was sent although a signature forbids it to every host."""
    rules = [rule for rule in load_knowledge().never if rule.once is None]
    return [text for asked in requests.values() for text in asked
            if any(rule.covers(parse_request(text)) for rule in rules)]  # fmt: skip


def _kernels() -> set[str]:
    """The processes that run a notebook kernel now."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ipykernel" in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                found.add(process.name)
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
