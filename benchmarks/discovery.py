"""The connect scan on loopback beside `nmap -sT -T4`, and how well its rate limit is held.

Runs are interleaved and the medians compared, because the machine is never quite quiet. Both sides
pay for the start of their own process. Where nmap is not installed its half is left out, and said so.
"""

import argparse
import resource
import shutil
import socket
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from scanner.io.connect import ConnectScan
from scanner.io.sockets import most_in_flight
from scanner.manners import Manners
from scanner.plan import make_plan
from scanner.ports import parse_ports
from scanner.tally import Pair, Tally
from scanner.targets import Addresses, parse_network

NETWORK, PORTS = "127.84.0.0/20", "8000-8019"
ADDRESSES = 4096
PROBES = ADDRESSES * 20
OPEN = 300
NMAP = ["nmap", "-sT", "-T4", "-n", "-Pn", "-p", PORTS, NETWORK, "-oG", "-"]
BAR = 0.9


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=5, help="interleaved runs of each side")
    arguments.add_argument("--seconds", type=float, default=5.0, help="how long each rate limit is watched")
    arguments.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        print(len(scan().answered))
        return 0
    connect(given.rounds)
    for rate in (100, 1_000, 10_000):
        pace(rate, given.seconds)
    return 0


def scan() -> Tally:
    plan = make_plan([Addresses(parse_network(NETWORK))], parse_ports(PORTS), key=b"benchmark")
    total = Tally()

    def add(tally: Tally) -> None:
        total.answered += tally.answered
        total.refused += tally.refused
        total.silent += tally.silent
        total.lost += tally.lost

    ConnectScan(plan.pairs(), Manners.at(1e6), add, timeout=2.0, in_flight=most_in_flight(8000, 128)).run()
    assert total.probes == len(plan) == PROBES
    return total


def connect(rounds: int) -> None:
    ours = [sys.executable, str(Path(__file__)), "--ours"]
    sides = {"gnomon": ours} | ({"nmap -sT -T4": NMAP} if shutil.which("nmap") else {})
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    found: dict[str, set[int]] = {side: set() for side in sides}
    with ExitStack() as servers:
        for number in range(OPEN):
            address = f"127.84.{number % 16}.{number * 7 % 256}"
            servers.enter_context(socket.create_server((address, 8000 + number % 20), backlog=1024))
        for _ in range(rounds):
            for side, command in sides.items():
                wall, used, out = timed(command)
                seconds[side].append(wall)
                cpu[side].append(used)
                found[side].add(out.count("/open/") if side != "gnomon" else int(out))
    print(f"connect scan: {NETWORK} x {PORTS} = {PROBES} probes, {OPEN} open, medians of {rounds} interleaved runs")
    print(f"{'':14}{'seconds':>9}{'probes/s':>10}{'CPU s':>8}{'open found':>12}")
    for side in sides:
        wall = median(seconds[side])
        opened = "/".join(map(str, sorted(found[side])))
        print(f"{side:14}{wall:9.2f}{PROBES / wall:10.0f}{median(cpu[side]):8.2f}{opened:>12}")
    print(f"gnomon finds every open port: {verdict(found['gnomon'] == {OPEN})}")
    if len(sides) == 1:
        print("nmap is not installed: no comparison")
        return
    ratio = median(seconds["nmap -sT -T4"]) / median(seconds["gnomon"])
    print(f"gnomon is {ratio:.2f}x nmap (bar: {BAR}x): {verdict(ratio >= BAR)}")


def timed(command: list[str]) -> tuple[float, float, str]:
    """Seconds on the wall and on the processors that a command took, and what it wrote."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


def pace(rate: int, seconds: float) -> None:
    """Scan a closed port at a limit, and look at the moments at which probes were sent."""
    sent: list[float] = []

    def pairs() -> Iterator[Pair]:
        while not sent or sent[-1] - sent[0] < seconds:
            sent.append(time.monotonic())
            yield ("127.84.255.1", 1)

    ConnectScan(pairs(), Manners.at(rate), lambda _: None, timeout=1.0, in_flight=512).run()
    held = (len(sent) - 1) / (sent[-1] - sent[0]) / rate
    burst = max(index - bisect_left(sent, at - 0.1) for index, at in enumerate(sent)) / (rate * 0.1)
    met = 0.99 <= held <= 1.01 and burst <= 1.1
    print(f"limit {rate:6}/s: {held:7.2%} of it, busiest 100 ms {burst:7.2%} (bars: 99-101%, 110%): {verdict(met)}")


def verdict(met: bool) -> str:
    return "met" if met else "missed"


if __name__ == "__main__":
    sys.exit(main())
