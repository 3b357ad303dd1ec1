"""What is found, and what loss is reported, when a known share of the probes gets lost on the way.

Two network namespaces, as in packets.py; nftables drops SYNs at random at the far end, or whatever comes
faster than a link is said to carry. Needs root, ip and nft. Rates and repetitions are what they are by default.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from packets import NETWORK, Lab, laboratory

PORTS, PROBES, OPEN = "8000-8009", 65536 * 10, 2000
CONNECT_NETWORK, CONNECT_OPEN = "10.72.0.0/21", 130
LINK = 30_000
FOUND_BAR, LOSS_BAR = 0.999, 0.02


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=["syn", "link", "connect"], help="only these lines")
    arguments.add_argument("--ours", nargs=2, metavar=("WAY", "RATE"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        return ours(given.ours[0], float(given.ours[1]))
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("not measured: network namespaces need root, ip and nft")
        return 0
    met = True
    with laboratory() as lab:
        print(
            f"SYN: {NETWORK} x {PORTS} = {PROBES} probes, {OPEN} open, half of the addresses silent, no limit of rate"
        )
        heads = (("lost", 10), ("found", 8), ("of", 7), ("reported", 10), ("95 %", 18), ("missed at most", 16))
        print("".join(f"{head:>{width}}" for head, width in (*heads, ("sent", 9), ("seconds", 9))))
        for percent in (0, 5, 20, 50) if given.only in {None, "syn"} else ():
            met &= line(lab, f"{percent} %", "syn", 1e7, f"numgen random mod 100 < {percent} drop", OPEN, percent / 100)
        if given.only in {None, "link"}:
            line(
                lab, f"> {LINK}/s", "syn", 200_000, f"limit rate over {LINK}/second burst 500 packets drop", OPEN, None
            )
        print(f"connecting: {CONNECT_NETWORK} x {PORTS}, {CONNECT_OPEN} open, 5,000 a second at most")
        for percent in (0, 5, 20) if given.only in {None, "connect"} else ():
            rule = f"numgen random mod 100 < {percent} drop"
            met &= line(lab, f"{percent} %", "connect", 5000, rule, CONNECT_OPEN, percent / 100)
    bars = f"{FOUND_BAR:.1%} found at 5 %, and the loss reported within {100 * LOSS_BAR:.0f} points"
    print(f"at least {bars}: {'met' if met else 'missed'}")
    return 0


def line(lab: Lab, name: str, way: str, rate: float, rule: str, opened: int, share: float | None) -> bool:
    """One scan over one loss. Whether it meets the bars."""
    with dropping(lab, rule):
        began = time.monotonic()
        command = lab.inside([sys.executable, str(Path(__file__)), "--ours", way, str(rate)])
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        seconds = time.monotonic() - began
    bounds = f"{told['low']:.2%} to {told['high']:.2%}"
    print(
        f"{name:>10}{told['found']:>8}{opened:>7}{told['rate']:>10.2%}{bounds:>18}{told['missed']:>16.3%}"
        f"{told['sent'] / told['planned']:>8.2f}x{seconds:>9.1f}"
    )
    if share is None:
        return True
    return abs(told["rate"] - share) <= LOSS_BAR and (share != 0.05 or told["found"] >= FOUND_BAR * opened)


class dropping:  # noqa: N801 - reads like the statement that it is
    """While it lasts, SYNs that match a rule meet it at the far end."""

    def __init__(self, lab: Lab, rule: str) -> None:
        self._nft = ["ip", "netns", "exec", lab.near.replace("near", "far"), "nft"]
        self._rule = rule

    def __enter__(self) -> None:
        subprocess.run([*self._nft, "add chain inet lab loss { type filter hook input priority -10; }"], check=True)
        subprocess.run([*self._nft, f"add rule inet lab loss tcp flags syn {self._rule}"], check=True)

    def __exit__(self, *_error: object) -> None:
        subprocess.run([*self._nft, "flush chain inet lab loss; delete chain inet lab loss"], check=True)


def ours(way: str, rate: float) -> int:
    """One run of gnomon's side, in the namespace that it was started in."""
    from scanner.batches import batches
    from scanner.io.connect import ConnectScan
    from scanner.io.packets import SynScan
    from scanner.io.ways import find_ways
    from scanner.manners import Manners
    from scanner.plan import make_plan
    from scanner.ports import parse_ports
    from scanner.tally import Tally
    from scanner.targets import Addresses, parse_network

    network = NETWORK if way == "syn" else CONNECT_NETWORK
    plan = make_plan([Addresses(parse_network(network))], parse_ports(PORTS), key=b"benchmark")
    manners, found, probes = Manners.at(rate), 0, 0

    def add(tally: Tally) -> None:
        nonlocal found, probes
        found += len(tally.answered)
        probes += tally.probes

    if way == "syn":
        scan = SynScan(batches(plan), find_ways(plan.addresses).ways, manners, add, timeout=2.0)
        scan.run()
        sent = scan.sent
    else:
        ConnectScan(plan.pairs(), manners, add, timeout=2.0, in_flight=15_000).run()
        sent = 0
    assert probes == len(plan)
    loss = manners.meter.loss
    told = {"found": found, "planned": len(plan), "sent": sent, "rate": loss.rate, "missed": loss.missed}
    print(json.dumps(told | {"low": loss.bounds[0], "high": loss.bounds[1], "slowest": manners.back_off.slowest}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
