"""How well a limit of rate is held by SYN frames: every frame's moment, as the sender saw it, over some seconds.

Two network namespaces, as in packets.py. Half of the addresses are silent, so repetitions and control probes
are among the frames. Bars: within 1 % over the whole time, and no 100 ms hold more than 10 % too many. The
connect scan's limits are in discovery.py. Needs root, ip and nft.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from packets import NETWORK, PORTS, laboratory

RATES = 100, 1_000, 10_000, 100_000
WITHIN, WINDOW, BURST = 0.01, 0.1, 1.1


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10.0, help="how long each limit is watched")
    arguments.add_argument("--ours", type=float, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        return ours(given.ours, given.seconds)
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("not measured: network namespaces need root, ip and nft")
        return 0
    with laboratory() as lab:
        for rate in RATES:
            command = lab.inside(
                [sys.executable, str(Path(__file__)), "--ours", str(rate), "--seconds", str(given.seconds)]
            )
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            met = abs(told["held"] - 1) <= WITHIN and told["busiest"] <= BURST
            print(
                f"limit {rate:7}/s: {told['held']:8.2%} of it over {told['seconds']:.1f} s, busiest 100 ms "
                f"{told['busiest']:8.2%} (bars: 99-101 %, 110 %): {'met' if met else 'missed'}"
            )
    return 0


def ours(rate: float, seconds: float) -> int:
    """One run at one limit, in the namespace that it was started in."""
    import numpy as np

    from scanner.batches import batches
    from scanner.io import lanes
    from scanner.io.packets import SynScan
    from scanner.io.ways import find_ways
    from scanner.io.wire import Sender
    from scanner.manners import Manners
    from scanner.plan import make_plan
    from scanner.ports import parse_ports
    from scanner.targets import Addresses, parse_network

    moments: list[tuple[float, int]] = []

    class Watched(Sender):
        def send(self, count: int) -> None:
            super().send(count)
            moments.append((time.monotonic(), count))

    lanes.Sender = Watched  # type: ignore[misc]
    plan = make_plan([Addresses(parse_network(NETWORK))], parse_ports(PORTS), key=b"benchmark")
    scan = SynScan(batches(plan), find_ways(plan.addresses).ways, Manners.at(rate), lambda _: None, timeout=2.0)
    timer = threading.Timer(seconds + 0.5, scan.stop)
    timer.start()
    scan.run()
    timer.cancel()
    times = np.array([moment for moment, _ in moments])
    counts = np.array([count for _, count in moments])
    total = np.concatenate(([0], np.cumsum(counts)))
    # From each sending on, what went within a tenth of a second.
    ends = np.searchsorted(times, times + WINDOW, side="left")
    busiest = (total[ends] - total[:-1][: len(ends)]).max() / max(1.0, rate * WINDOW)
    held = (total[-1] - counts[0]) / (times[-1] - times[0]) / rate
    print(json.dumps({"held": float(held), "busiest": float(busiest), "seconds": float(times[-1] - times[0])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
