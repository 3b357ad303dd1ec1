"""Scans that are killed at random moments (SIGKILL) and resumed: what they find, and what they send twice.

Two network namespaces, as in packets.py. Some scans run at once, each over a network of its own at a low rate,
so that it takes a minute and a half and a tenth of it is silent; the far end counts what arrives. What is sent
twice at a kill is what went since the last word in the database and what waited for an answer then: half a second
of the scan, however long it is. So the share depends on how long a scan takes: say both. Needs root, ip and nft.
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
from ipaddress import IPv4Address as Address
from ipaddress import IPv4Network as Network

from packets import OPEN, Lab, laboratory

PORTS, ALL, ANSWERING, SILENT_PORTS = "8000-8019", 20, 18, "8018-8019"
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
    """One scan that was killed and resumed: ``repeated`` is the share of probes that were sent once too often.

    ``resumed`` is False where it had ended by then, so that another one began.
    """

    missing: int
    repeated: float
    complete: bool
    resumed: bool


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--at-once", type=int, default=10, help="scans that run at the same time, 32 at most")
    arguments.add_argument("--size", type=int, default=128, help="addresses of each scan: a power of two, 1024 at most")
    arguments.add_argument("--rate", type=int, default=26, help="probes a second of each scan")
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
            done += batch(lab, far, min(given.at_once, given.kills - len(done)), given.size, given.rate)
            tell(done, given.size * ALL, given.rate)
    return 0


def batch(lab: Lab, far: list[str], scans: int, size: int, rate: int) -> list[Outcome]:
    networks = [Network((f"10.72.{4 * number}.0", 32 - (size - 1).bit_length())) for number in range(scans)]
    for network in networks:
        for ports in ("8000-8017", SILENT_PORTS):
            # Control probes come from odd ports, and are no part of the plan.
            rule = f"ip daddr {network} tcp dport {ports} tcp flags syn tcp sport & 1 == 0 counter"
            subprocess.run([*far, f"add rule inet lab kills {rule}"], check=True)
    subprocess.run([*far, f"add rule inet lab kills tcp dport {SILENT_PORTS} drop"], check=True)
    ends = asyncio.run(all_killed(lab, networks, rate))
    told = json.loads(subprocess.run([*far, "-j", "list chain inet lab kills"], check=True, capture_output=True).stdout)
    rules = [one["rule"]["expr"] for one in told["nftables"] if "rule" in one]
    counts = [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]
    each = zip(networks, ends, counts[::2], counts[1::2], strict=True)
    return [outcome(network, *end, answering, silent) for network, end, answering, silent in each]


async def all_killed(lab: Lab, networks: list[Network], rate: int) -> list[tuple[dict[str, object], bool]]:
    return await asyncio.gather(*(killed_once(lab, network, rate) for network in networks))


async def killed_once(lab: Lab, network: Network, rate: int) -> tuple[dict[str, object], bool]:
    """What the resumed scan tells, and whether it is the killed one that went on."""
    with tempfile.TemporaryDirectory() as folder:
        command = lab.inside([sys.executable, "-c", SCAN, folder, str(network), PORTS, str(rate)])
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        await asyncio.sleep(random.uniform(0, network.num_addresses * ALL / rate))
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


def outcome(network: Network, told: dict[str, object], resumed: bool, answering: int, silent: int) -> Outcome:
    hosts = ((f"10.72.{one % 128}.{one // 128 * 7 + 3}", 8000 + one % ALL) for one in range(OPEN))
    opened = [[host, port] for host, port in hosts if Address(host) in network and port < 8000 + ANSWERING]
    found = told["found"]
    assert isinstance(found, list)
    missing = sum(one not in found for one in opened) + sum(one not in opened for one in found)
    # Whatever is silent is sent twice without any kill: where all that is watched arrives, once more is enough.
    size = network.num_addresses
    repeated = answering - size * ANSWERING + silent - 2 * size * (ALL - ANSWERING)
    return Outcome(missing, repeated / (size * ALL), told["status"] == "complete", resumed)


def tell(done: list[Outcome], planned: int, rate: int) -> None:
    missing, shares = sum(one.missing for one in done), sorted(one.repeated for one in done)
    mean = sum(shares) / len(shares)
    print(f"{len(done)} scans of {planned} probes at {rate}/s (about {planned / rate:.0f} s), each killed and resumed:")
    print(f"  {sum(one.complete for one in done)} complete, {sum(one.resumed for one in done)} went on where they were")
    print(f"  {missing} open ports missing or wrong: {'met' if not missing else 'missed'}")
    verdict = "met" if mean < AT_MOST else "missed"
    print(f"  sent once too often: {mean:.2%} in the mean, {shares[-1]:.2%} at most: {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
