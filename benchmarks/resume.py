"""Scans that are killed at random moments (SIGKILL) and resumed: what they find, and what they send twice.

Two network namespaces, as in packets.py. Many scans run at once, each over a network of its own at a low rate,
so that it takes minutes and a tenth of it is silent; the far end counts what arrives. What is sent twice at a
kill is what went since the last word in the database: a second or two of the scan, however long it is. So the
share depends on how long a scan takes: say both. Needs root, ip and nft.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from packets import Lab, laboratory

SIZE, PORTS, SILENT_PORTS = 1024, "8000-8019", "8018-8019"
PLANNED, ANSWERING, SILENT = SIZE * 20, SIZE * 18, SIZE * 2
AT_MOST = 0.01

SCAN = """
import asyncio, json, sys
from pathlib import Path
from inventory.model import Exposed, Scheme, Scope, utc_now
from inventory.settings import Settings
from inventory.store import open_store
from scanner.findings import Finding
from scanner.runner import Runner

async def ask(listener):
    return (Finding(fact=Exposed(scheme=Scheme.TCP)),)

folder, network, ports, rate = sys.argv[1:]
settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), scan_timeout=0.5)
scope = Scope(name="lab", targets=(network,), ports=ports, rate=int(rate), created_at=utc_now())
begun = iter(["begun"])

def report(_):
    for word in begun:
        print(word, flush=True)

with open_store(settings.database) as store:
    scan = asyncio.run(Runner(store, settings, ask).run(scope, resume=True, report=report))
    found = sorted([one.address, one.port] for one in store.endpoints.list())
    print(json.dumps({"found": found, "status": scan.status, "id": scan.id, "lost": scan.account.lost}))
"""


@dataclass(frozen=True)
class Outcome:
    """One scan that was killed and resumed: ``repeated`` counts probes that were sent once too often.

    ``resumed`` is False where it had ended by then, so that another one began.
    """

    missing: int
    repeated: int
    complete: bool
    resumed: bool


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--at-once", type=int, default=24, help="scans that run at the same time, 32 at most")
    arguments.add_argument("--rate", type=int, default=110, help="probes a second of each scan")
    given = arguments.parse_args()
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("not measured: network namespaces need root, ip and nft")
        return 0
    done: list[Outcome] = []
    with laboratory() as lab:
        far = ["ip", "netns", "exec", lab.near.replace("near", "far"), "nft"]
        chain = "add chain inet lab kills { type filter hook input priority -10; }"
        subprocess.run([*far, chain], check=True)
        while len(done) < given.kills:
            subprocess.run([*far, "flush chain inet lab kills"], check=True)
            done += batch(lab, far, min(given.at_once, given.kills - len(done)), given.rate)
            tell(done, given.rate)
    return 0


def batch(lab: Lab, far: list[str], scans: int, rate: int) -> list[Outcome]:
    for number in range(scans):
        for ports in ("8000-8017", SILENT_PORTS):
            # Control probes come from odd ports, and are no part of the plan.
            rule = f"ip daddr {network(number)} tcp dport {ports} tcp flags syn tcp sport & 1 == 0 counter"
            subprocess.run([*far, f"add rule inet lab kills {rule}"], check=True)
    subprocess.run([*far, f"add rule inet lab kills tcp dport {SILENT_PORTS} drop"], check=True)
    ends = asyncio.run(all_killed(lab, scans, rate))
    told = json.loads(subprocess.run([*far, "-j", "list chain inet lab kills"], check=True, capture_output=True).stdout)
    rules = [one["rule"]["expr"] for one in told["nftables"] if "rule" in one]
    counts = [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]
    return [outcome(number, *ends[number], counts[2 * number : 2 * number + 2]) for number in range(scans)]


async def all_killed(lab: Lab, scans: int, rate: int) -> list[tuple[dict[str, object], bool]]:
    return await asyncio.gather(*(killed_once(lab, number, rate) for number in range(scans)))


def network(number: int) -> str:
    return f"10.72.{4 * number}.0/22"


async def killed_once(lab: Lab, number: int, rate: int) -> tuple[dict[str, object], bool]:
    """What the resumed scan tells, and whether it is the killed one that went on."""
    with tempfile.TemporaryDirectory() as folder:
        command = lab.inside([sys.executable, "-c", SCAN, folder, network(number), PORTS, str(rate)])
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        await asyncio.sleep(random.uniform(0, PLANNED / rate))
        if process.returncode is None:
            process.kill()
        await process.communicate()
        before = latest(folder)
        again = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        out, _ = await again.communicate()
        told: dict[str, object] = json.loads(out.splitlines()[-1])
        return told, told["id"] == before


def latest(folder: str) -> str | None:
    from inventory.store import open_store

    with open_store(f"sqlite:///{folder}/inventory.db") as store:
        return next((scan.id for scan in store.scans.list()), None)


def outcome(number: int, told: dict[str, object], resumed: bool, counts: list[int]) -> Outcome:
    first = 4 * number
    hosts = ((one % 128, one // 128 * 7 + 3, 8000 + one % 20) for one in range(4000))
    opened = [
        [f"10.72.{third}.{last}", port] for third, last, port in hosts if first <= third < first + 4 and port < 8018
    ]
    found = told["found"]
    assert isinstance(found, list)
    missing = sum(one not in found for one in opened) + sum(one not in opened for one in found)
    # Whatever is silent is sent twice without any kill: where all that is watched arrives, once more is enough.
    repeated = counts[0] - ANSWERING + counts[1] - 2 * SILENT
    return Outcome(missing, repeated, told["status"] == "complete", resumed)


def tell(done: list[Outcome], rate: int) -> None:
    missing, shares = sum(one.missing for one in done), sorted(one.repeated / PLANNED for one in done)
    mean = sum(shares) / len(shares)
    print(f"{len(done)} scans of {PLANNED} probes at {rate}/s (about {PLANNED / rate:.0f} s), each killed and resumed:")
    print(f"  {sum(one.complete for one in done)} complete, {sum(one.resumed for one in done)} went on where they were")
    print(f"  {missing} open ports missing or wrong: {'met' if not missing else 'missed'}")
    verdict = "met" if mean < AT_MOST else "missed"
    print(f"  sent once too often: {mean:.2%} in the mean, {shares[-1]:.2%} at most: {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
