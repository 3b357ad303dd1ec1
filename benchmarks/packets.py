"""SYN discovery and the ARP sweep between two network namespaces, beside masscan, nmap and arp-scan.

Needs root, ip and nft; what is not installed is left out, and said so. Runs are interleaved and the
medians compared. Rates are frames sent a second, from the first frame on the wire to the last, the
repetitions of ours among them. Of masscan that is its best rate: no limit. Its losses are its own: it
answers every RST with a RST, and with RSTs suppressed it finds more. The start is that of the whole command, from
the moment at which a shell would begin it, with a database of its own, to its first SYNs.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from lab import clear, remove, terminated

PREFIX = "gnomon-packets"

NETWORK, PORTS, ADDRESSES = "10.72.0.0/16", "8000-8019", 65536
PROBES = ADDRESSES * 20
OPEN = 4000
SMALL, SMALL_PROBES = "10.72.0.0/20", 4096 * 20
LINK, STATIONS = "10.74.0.0/16", 32768
SYN_BAR, ARP_SECONDS, START_SECONDS = 1.5, 2.0, 1.0
REFUSING = "10.72.5.224/27"
"""Addresses without a door: nobody is asked anything after the probes."""
FIRST, SWEPT = 65, (65, 65_000)
"""Frames, from which on those of a tool are counted, and up to which those of a sweep are."""
MASSCAN = ["masscan", "-p", PORTS, NETWORK, "--rate", "10000000", "--wait", "2", "-oL", "found"]
NMAP = ["nmap", "-sS", "-T5", "--min-rate", "20000", "-n", "-Pn", "-p", PORTS, SMALL, "-oG", "-"]
ARP_SCAN = ["arp-scan", "--interface", "near0", "--bandwidth", "1000000000", "--retry", "1", "--quiet", LINK]

SERVE = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
sockets = [
    socket.create_server((f"10.72.{number % 128}.{number // 128 * 7 + 3}", 8000 + number % 20), backlog=64)
    for number in range(int(sys.argv[1]))
]
print("up", flush=True)
sys.stdin.read()
"""


@dataclass(slots=True)
class Side:
    """The runs of one tool: frames a second, seconds on the wall and on the processors, and what it found."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    found: list[int] = field(default_factory=list)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="interleaved runs of each side")
    arguments.add_argument("--only", choices=["syn", "nmap", "arp", "start"], help="one comparison instead of all")
    arguments.add_argument("--ours", choices=["syn", "small", "arp"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        return ours(given.ours)
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("not measured: network namespaces need root, ip and nft")
        return 0
    with tempfile.TemporaryDirectory() as folder, laboratory() as lab:
        as_installed(lab, Path(folder))
        if given.only in {None, "syn"}:
            syn(lab, given.rounds, Path(folder))
        if given.only in {None, "nmap"} and shutil.which("nmap"):
            beside_nmap(lab, given.rounds)
        if given.only in {None, "arp"}:
            arp(lab, given.rounds)
        if given.only in {None, "start"}:
            start(lab, given.rounds, Path(folder))
    return 0


def as_installed(lab: "Lab", folder: Path) -> None:
    """Have what is started from here find its modules compiled, as those of an installed program are."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    gnomon_once(lab, "small", Side())


def ours(what: str) -> int:
    """One run of gnomon's side, in the namespace that it was started in."""
    from inventory.garbage import collect_seldom

    # As every command of gnomon does first.
    collect_seldom()
    from scanner.io.ways import find_ways
    from scanner.plan import make_plan
    from scanner.ports import parse_ports
    from scanner.targets import Addresses, parse_network

    network = {"syn": NETWORK, "small": SMALL, "arp": LINK}[what]
    plan = make_plan([Addresses(parse_network(network))], parse_ports(PORTS), key=b"benchmark")
    found = find_ways(plan.addresses)
    if what == "arp":
        return our_sweep(found.ways[0])
    from scanner.batches import batches
    from scanner.io.packets import SynScan
    from scanner.manners import Manners
    from scanner.tally import Tally

    total = Tally()

    def add(tally: Tally) -> None:
        total.answered += tally.answered
        total.refused += tally.refused
        total.silent += tally.silent
        total.lost += tally.lost

    scan = SynScan(batches(plan), found.ways, Manners.at(1e7), add, timeout=2.0)
    scan.run()
    assert total.probes == len(plan)
    print(json.dumps({"found": len(total.answered), "sent": scan.sent, "ended": scan.last_sent}))
    return 0


def our_sweep(way: "Way") -> int:  # type: ignore[name-defined]  # noqa: F821
    import numpy as np

    from scanner.batches import Members
    from scanner.io.arp import sweep
    from scanner.manners import Manners

    members = Members(way.addresses)
    asked = members.at(np.arange(len(way.addresses), dtype=np.uint64))
    stations = sweep(way.interface, way.hardware, way.source, asked, Manners.at(1e7).pacer, threading.Event())
    print(json.dumps({"found": len(stations.addresses)}))
    return 0


@dataclass(frozen=True)
class Lab:
    """The near end: its namespace, the hardware address of its router, and where the kernel counts its frames."""

    near: str
    router: str
    counters: Path

    def inside(self, command: list[str]) -> list[str]:
        """A command that runs in the near namespace."""
        return ["ip", "netns", "exec", self.near, *command]

    def frames(self) -> int:
        """Frames that left the near end so far."""
        return int(self.counters.read_text().split("near0:")[1].split()[9])


def ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def laboratory() -> Iterator[Lab]:
    """Made, and removed however this ends; what a killed run left behind is removed first."""
    clear(PREFIX)
    near, far = (f"{PREFIX}-{os.getpid()}-{end}" for end in ("near", "far"))
    started: list[subprocess.Popen[str]] = []
    previous = signal.signal(signal.SIGTERM, terminated)
    try:
        for space in (near, far):
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
        ip("link", "add", "near0", "netns", near, "type", "veth", "peer", "name", "far0", "netns", far)
        ip("-n", near, "address", "add", "10.71.0.1/24", "dev", "near0")
        ip("-n", near, "address", "add", "10.74.255.1/16", "dev", "near0")
        ip("-n", far, "address", "add", "10.71.0.2/24", "dev", "far0")
        ip("-n", near, "link", "set", "near0", "up")
        ip("-n", far, "link", "set", "far0", "up")
        ip("-n", near, "route", "add", NETWORK, "via", "10.71.0.2")
        ip("-n", far, "route", "add", "local", NETWORK, "dev", "lo")
        ip("-n", far, "route", "add", "local", "10.74.0.0/17", "dev", "lo")
        ip("-n", far, "route", "add", "10.74.255.1/32", "dev", "far0")
        rules = "add table inet lab; add chain inet lab input { type filter hook input priority 0; };"
        rules += "add rule inet lab input ip daddr 10.72.128.0/17 drop"
        ip("netns", "exec", far, "nft", rules)
        server = ["ip", "netns", "exec", far, sys.executable, "-c", SERVE, str(OPEN)]
        started.append(subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[0].stdout is not None
        assert started[0].stdout.readline() == "up\n"
        holder = ["ip", "netns", "exec", near, "sleep", "infinity"]
        started.append(subprocess.Popen(holder, text=True))
        router = json.loads(ip("-n", far, "-j", "link", "show", "far0"))[0]["address"]
        counters = Path(f"/proc/{started[1].pid}/net/dev")
        deadline = time.monotonic() + 10
        while "near0:" not in counters.read_text():
            assert time.monotonic() < deadline, "the namespace was not entered"
            time.sleep(0.01)
        yield Lab(near, router, counters)
    finally:
        for process in started:
            process.kill()
            process.wait()
        for space in (near, far):
            remove(space)
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def moments(lab: Lab, counts: Sequence[int] = (FIRST,)) -> Iterator[list[float]]:
    """When so many frames of what runs inside had gone, as the kernel counts them. The first few may be of ARP."""
    base, ended, seen = lab.frames(), threading.Event(), list[float]()

    def watch() -> None:
        # Whoever ends this may end the namespace first.
        with suppress(OSError):
            while len(seen) < len(counts) and not ended.wait(0.005):
                if lab.frames() >= base + counts[len(seen)]:
                    seen.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def syn(lab: Lab, rounds: int, folder: Path) -> None:
    sides = {"gnomon": Side()} | ({"masscan": Side()} if shutil.which("masscan") else {})
    for _ in range(rounds):
        gnomon_once(lab, "syn", sides["gnomon"])
        if "masscan" in sides:
            masscan_once(lab, sides["masscan"], folder)
    print(f"SYN: {NETWORK} x {PORTS} = {PROBES} probes, {OPEN} open, half of the addresses silent, medians of {rounds}")
    print(f"masscan runs as: {' '.join(MASSCAN)}")
    table(sides)
    verdict = "met" if set(sides["gnomon"].found) == {OPEN} else "missed"
    print(f"gnomon finds every open port: {verdict}")
    if "masscan" not in sides:
        print("masscan is not installed: no comparison")
        return
    ratio = median(sides["gnomon"].rates) / median(sides["masscan"].rates)
    print(f"gnomon sends {ratio:.2f}x masscan's frames a second (bar: {SYN_BAR}x): {met(ratio >= SYN_BAR)}")


def gnomon_once(lab: Lab, what: str, side: Side) -> None:
    command = lab.inside([sys.executable, str(Path(__file__)), "--ours", what])
    before, began = cpu(), time.monotonic()
    with moments(lab, SWEPT if what == "arp" else (FIRST,)) as seen:
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    side.seconds.append(time.monotonic() - began)
    side.cpu.append(cpu() - before)
    side.found.append(told["found"])
    side.rates.append(swept(seen) if what == "arp" else told["sent"] / (told["ended"] - seen[0]))


def masscan_once(lab: Lab, side: Side, folder: Path) -> None:
    """It is ended by an interrupt two seconds after its last probe: it may wait for ever for one more frame."""
    further = ["--interface", "near0", "--adapter-ip", "10.71.0.1", "--router-mac", lab.router.replace(":", "-")]
    before, began = cpu(), time.monotonic()
    with moments(lab) as seen:
        process = subprocess.Popen(lab.inside(MASSCAN + further), cwd=folder, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = b""
        while b"waiting" not in said:
            piece = os.read(process.stderr.fileno(), 4096)
            assert piece, f"masscan ended: {said.decode()}"
            said = said[-200:] + piece
        ended = time.monotonic()
        while time.monotonic() < ended + 2:
            os.read(process.stderr.fileno(), 4096)
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    side.seconds.append(time.monotonic() - began)
    side.cpu.append(cpu() - before)
    lines = (folder / "found").read_text().splitlines() if (folder / "found").exists() else []
    side.found.append(len({tuple(line.split()[2:4]) for line in lines if line.startswith("open")}))
    side.rates.append(PROBES / (ended - seen[0]))


def beside_nmap(lab: Lab, rounds: int) -> None:
    sides = {"gnomon": Side(), "nmap": Side()}
    for _ in range(rounds):
        gnomon_once(lab, "small", sides["gnomon"])
        command_once(lab, NMAP, sides["nmap"], lambda out: out.count("/open/"), sweeps=False)
    print(f"\nSYN: {SMALL} x {PORTS} = {SMALL_PROBES} probes, all addresses answer, medians of {rounds}")
    print(f"nmap runs as: {' '.join(NMAP)}")
    table(sides)
    ratio = median(sides["nmap"].seconds) / median(sides["gnomon"].seconds)
    print(f"gnomon takes 1/{ratio:.1f} of nmap's time, start of the process included")


def arp(lab: Lab, rounds: int) -> None:
    sides = {"gnomon": Side()} | ({"arp-scan": Side()} if shutil.which("arp-scan") else {})
    for _ in range(rounds):
        gnomon_once(lab, "arp", sides["gnomon"])
        if "arp-scan" in sides:
            command_once(lab, ARP_SCAN, sides["arp-scan"], lambda out: out.count("\n10.74."), sweeps=True)
    print(f"\nARP: {LINK}, {STATIONS} stations, medians of {rounds}; arp-scan runs as: {' '.join(ARP_SCAN)}")
    table(sides)
    wall, complete = median(sides["gnomon"].seconds), set(sides["gnomon"].found) == {STATIONS}
    verdict = met(wall <= ARP_SECONDS and complete)
    if "arp-scan" in sides:
        ratio = median(sides["gnomon"].rates) / median(sides["arp-scan"].rates)
        print(f"gnomon sends {ratio:.2f}x arp-scan's frames a second (bar: 1x): {met(ratio >= 1)}")
    print(f"gnomon takes {wall:.2f} s and finds every station (bar: {ARP_SECONDS} s): {verdict}")


def start(lab: Lab, rounds: int, folder: Path) -> None:
    """The first run finds no database and no compiled module of a command, and is not counted."""
    words = ["scan", REFUSING, "--ports", PORTS, "--rate", "1000000", "--format", "json"]
    print(f"\nstart: gnomon {' '.join(words)}")
    command = [sys.executable, "-m", "tui.cli", "--database", f"sqlite:///{folder / 'start.db'}", *words]
    measured = []
    for _ in range(rounds + 1):
        began = time.monotonic()
        with moments(lab) as seen:
            subprocess.run(lab.inside(command), check=True, capture_output=True)
        measured.append(seen[0] - began)
    first = median(measured[1:])
    verdict = met(first <= START_SECONDS)
    print(f"gnomon's first probes leave {first:.2f} s after its start (bar: {START_SECONDS} s): {verdict}")


def command_once(lab: Lab, command: list[str], side: Side, found: Callable[[str], int], *, sweeps: bool) -> None:
    before, began = cpu(), time.monotonic()
    with moments(lab, SWEPT if sweeps else ()) as seen:
        out = subprocess.run(lab.inside(command), check=True, capture_output=True, text=True).stdout
    if sweeps:
        side.rates.append(swept(seen))
    side.seconds.append(time.monotonic() - began)
    side.cpu.append(cpu() - before)
    side.found.append(found("\n" + out))


def swept(seen: list[float]) -> float:
    """Frames a second of nearly all of the first requests, which both tools send to every address."""
    return (SWEPT[1] - SWEPT[0]) / (seen[1] - seen[0])


def table(sides: dict[str, Side]) -> None:
    print(f"{'':10}{'frames/s':>10}{'seconds':>9}{'CPU s':>8}  found")
    for name, side in sides.items():
        rate = f"{median(side.rates):.0f}" if side.rates else "-"
        found = "/".join(map(str, sorted(set(side.found))))
        print(f"{name:10}{rate:>10}{median(side.seconds):9.2f}{median(side.cpu):8.2f}  {found}")


def cpu() -> float:
    """Seconds that ended children took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def met(good: bool) -> str:
    return "met" if good else "missed"


if __name__ == "__main__":
    sys.exit(main())
