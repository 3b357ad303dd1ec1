"""Scans that are killed at random moments (SIGKILL) and resumed: what they find, and what they send twice.

Two network namespaces, as in packets.py. Some scans run at once, each over a network of its own, a tenth of whose
ports is silent; each is killed several times at moments that chance chooses, and then runs to its end. The far end
counts what arrives: whatever is more than an undisturbed scan sends was sent twice. Needs root, ip and nft.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address as Address
from ipaddress import IPv4Network as Network
from pathlib import Path
from typing import NoReturn

from packets import OPEN, Lab, laboratory

PORTS, ALL, ANSWERING, SILENT_PORTS = "8000-8019", 20, 18, "8018-8019"
AT_MOST = 0.01


@dataclass(frozen=True)
class Outcome:
    """One scan that was killed and resumed: ``repeated`` is the share of probes that its kills together cost.

    ``resumed`` is False where another one began in between.
    """

    kills: int
    missing: int
    repeated: float
    complete: bool
    resumed: bool


@dataclass(frozen=True)
class End:
    """What a scan told in the end, how often it was killed before, and whether it was one scan all the time."""

    told: dict[str, object]
    kills: int
    same: bool


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--of-each", type=int, default=5, help="how often each scan is killed")
    arguments.add_argument("--at-once", type=int, default=4, help="scans that run at the same time, 32 at most")
    arguments.add_argument("--size", type=int, default=128, help="addresses of each scan: a power of two, 1024 at most")
    arguments.add_argument("--seconds", type=float, default=15.0, help="how long each scan sends")
    arguments.add_argument("--way", choices=["syn", "connect"], default="syn")
    arguments.add_argument("--ours", nargs="+", metavar="NETWORK", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        return ours([Network(one) for one in given.ours], given)
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("not measured: network namespaces need root, ip and nft")
        return 0
    done: list[Outcome] = []
    with laboratory() as lab:
        far = ["ip", "netns", "exec", lab.near.replace("near", "far"), "nft"]
        chain = "add chain inet lab kills { type filter hook input priority -10; }"
        subprocess.run([*far, chain], check=True)
        while sum(one.kills for one in done) < given.kills:
            subprocess.run([*far, "flush chain inet lab kills"], check=True)
            done += batch(lab, far, given)
            tell(done, given)
    return 0


def batch(lab: Lab, far: list[str], given: argparse.Namespace) -> list[Outcome]:
    networks = [Network((f"10.72.{4 * one}.0", 32 - (given.size - 1).bit_length())) for one in range(given.at_once)]
    # Control probes come from odd ports, and are no part of the plan.
    ours = "tcp flags syn tcp sport & 1 == 0" if given.way == "syn" else "tcp flags syn"
    for network in networks:
        for ports in ("8000-8017", SILENT_PORTS):
            rule = f"ip daddr {network} tcp dport {ports} {ours} counter"
            subprocess.run([*far, f"add rule inet lab kills {rule}"], check=True)
    subprocess.run([*far, f"add rule inet lab kills tcp dport {SILENT_PORTS} drop"], check=True)
    options = ["--of-each", str(given.of_each), "--seconds", str(given.seconds), "--way", given.way]
    command = [sys.executable, str(Path(__file__)), *options, "--ours", *map(str, networks)]
    told = subprocess.run(lab.inside(command), check=True, stdout=subprocess.PIPE).stdout
    ends = [End(**one) for one in json.loads(told)]
    told = json.loads(subprocess.run([*far, "-j", "list chain inet lab kills"], check=True, capture_output=True).stdout)
    rules = [one["rule"]["expr"] for one in told["nftables"] if "rule" in one]
    counts = [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]
    each = zip(networks, ends, counts[::2], counts[1::2], strict=True)
    return [outcome(network, end, answering, silent) for network, end, answering, silent in each]


def ours(networks: list[Network], given: argparse.Namespace) -> int:
    """Some scans at once, in the namespace that this was started in. Children are forked, which spares their start."""
    import scanner.asking
    import scanner.io.packets  # noqa: F401

    watched = []
    for network in networks:
        told, tell = os.pipe()
        if not os.fork():
            random.seed()
            with tempfile.TemporaryDirectory() as folder:
                end = killed(folder, network, given)
            os.write(tell, json.dumps(asdict(end)).encode())
            os._exit(0)
        os.close(tell)
        watched.append(told)
    print(json.dumps([json.loads(os.fdopen(told).read()) for told in watched]))
    return 0


def killed(folder: str, network: Network, given: argparse.Namespace) -> End:
    """One scan that is killed again and again, and may then run to its end."""
    rate = round(network.num_addresses * ALL / given.seconds)
    scans, kills = set(), 0
    for _ in range(given.of_each):
        begun, begin = os.pipe()
        child = os.fork()
        if not child:
            scan(folder, network, rate, given.way, begin)
        os.close(begin)
        os.read(begun, 1)
        os.close(begun)
        time.sleep(random.uniform(0, 2 * given.seconds / (given.of_each + 1)))
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            # It came to its end before.
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        scans.add(latest(folder))
    else:
        child = os.fork()
        if not child:
            scan(folder, network, rate, given.way, os.open("/dev/null", os.O_WRONLY))
        os.waitpid(child, 0)
    told = json.loads((Path(folder) / "told").read_text())
    return End(told, kills, scans <= {told["id"]})


def scan(folder: str, network: Network, rate: int, way: str, begin: int) -> NoReturn:
    """Scan, or go on, in this process, which ends with it."""
    from inventory.model import Exposed, Listener, Scheme, Scope, utc_now
    from inventory.settings import Settings
    from inventory.store import open_store
    from scanner.findings import Finding
    from scanner.runner import Runner

    async def ask(_: Listener) -> tuple[Finding, ...]:
        return (Finding(fact=Exposed(scheme=Scheme.TCP)),)

    words = iter([b"."])
    settings = Settings(database=f"sqlite:///{folder}/inventory.db", state_folder=Path(folder), discovery=way)
    scope = Scope(name="lab", targets=(str(network),), ports=PORTS, rate=rate, created_at=utc_now())
    with open_store(settings.database) as store:
        runner = Runner(store, settings, ask)
        run = runner.run(
            scope, resume=True, report=lambda now: now.percent > 0 and [os.write(begin, word) for word in words]
        )
        done = asyncio.run(run)
        found = sorted([one.address, one.port] for one in store.endpoints.list())
    told = {"found": found, "status": done.status, "id": done.id, "reason": done.reason}
    (Path(folder) / "told").write_text(json.dumps(told | done.account.model_dump()))
    os._exit(0)


def latest(folder: str) -> str | None:
    from inventory.store import open_store

    with open_store(f"sqlite:///{folder}/inventory.db") as store:
        return next((scan.id for scan in store.scans.list()), None)


def outcome(network: Network, end: End, answering: int, silent: int) -> Outcome:
    hosts = ((f"10.72.{one % 128}.{one // 128 * 7 + 3}", 8000 + one % ALL) for one in range(OPEN))
    opened = [[host, port] for host, port in hosts if Address(host) in network and port < 8000 + ANSWERING]
    found = end.told["found"]
    assert isinstance(found, list)
    missing = sum(one not in found for one in opened) + sum(one not in opened for one in found)
    # Whatever is silent is sent twice without any kill: where all that is watched arrives, once more is enough.
    size = network.num_addresses
    repeated = answering - size * ANSWERING + silent - 2 * size * (ALL - ANSWERING)
    return Outcome(end.kills, missing, repeated / (size * ALL), end.told["status"] == "complete", end.same)


def tell(done: list[Outcome], given: argparse.Namespace) -> None:
    kills, planned = sum(one.kills for one in done), given.size * ALL
    missing, shares = sum(one.missing for one in done), sorted(one.repeated for one in done)
    mean, each = sum(shares) / len(shares), sum(shares) / max(1, kills)
    print(f"{kills} kills of {len(done)} scans of {planned} probes in {given.seconds:.0f} s, by {given.way}:")
    print(f"  {sum(one.complete for one in done)} complete, {sum(one.resumed for one in done)} went on where they were")
    print(f"  {missing} open ports missing or wrong: {'met' if not missing else 'missed'}")
    verdict = "met" if mean < AT_MOST else "missed"
    print(f"  sent once too often by a kill: {each:.3%} in the mean; by all kills of a scan: {mean:.2%} in the mean")
    print(f"  (bar: {AT_MOST:.0%}): {verdict}; {shares[-1]:.2%} of the scan that had most", flush=True)


if __name__ == "__main__":
    sys.exit(main())
