"""Identification beside `nmap -sV`: the questions alone, and discovery and identification into the inventory.

The questions go to two fleets: nginx hosts, which answer much alike, and hosts that answer as the recorded products
of the tests do, each with a token of its own in its pages (`replay.py`), so that nothing fits two of them whole.
Everything runs in a laboratory of network namespaces (`lab.py`, as root), in interleaved rounds. Every figure
is of a whole process, its start included, on all sides. nmap is told that hosts are up (-Pn) and to resolve no
names (-n), which is what gnomon does too. The slow stock nmap gets fewer hosts: compare hosts a second.
Every scanned address refuses what is closed, which is the case that is best for nmap; with --silent half of
them answer nothing, and its stock timing then takes minutes a round.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scanner.findings import Finding

from lab import Lab, Spent, missing

HOSTS = "10.231.0.0/21"
RANGE, LOWER, UPPER, WIDE = "10.232.0.0/23", "10.232.0.0/24", "10.232.1.0/24", "10.232.0.0/19"
PORTS = range(8000, 8020)
OPEN = 64
STOCK = ["-T4"]
TUNED = ["-T5", "--min-rate", "100000", "--min-hostgroup", "8192", "--min-parallelism", "4000", "--max-retries", "1"]
GNOMON_RATE = 1_000_000
LIMIT = 900.0
MEGABYTES = 200.0


@dataclass
class Side:
    """One contender: what it runs, what it works on, and what came of each round. ``prepare`` runs unmeasured."""

    name: str
    command: list[str]
    work: int
    count: Callable[[str], int]
    expected: int
    bar: float = 0.0
    prepare: list[str] | None = None
    rounds: list[Spent] = field(default_factory=list)
    found: set[int] = field(default_factory=set)

    def rate(self) -> float:
        """Units of work a second, the median of the rounds."""
        return median(self.work / spent.seconds for spent in self.rounds)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3, help="interleaved runs of each side")
    arguments.add_argument("--hosts", type=int, default=2000, help="web hosts to question, at most 2046")
    arguments.add_argument("--stock-hosts", type=int, default=200, help="how many of them stock nmap is given")
    arguments.add_argument("--only", choices=["questions", "mixed", "scan"], help="one part instead of all")
    arguments.add_argument("--silent", action="store_true", help="half of the scanned addresses answer nothing")
    arguments.add_argument("--without-nmap", action="store_true", help="gnomon's figures alone")
    arguments.add_argument("--ours", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.ours:
        print(json.dumps(asyncio.run(questions(addresses(given.ours)))))
        return 0
    if lacks := missing():
        print(f"not measured, no laboratory here: {'; '.join(lacks)}")
        return 0
    nmap = not given.without_nmap and shutil.which("nmap") is not None
    if not nmap:
        print("without nmap: no comparison, gnomon's figures alone")
    silent = [UPPER] if given.silent else []
    met: list[bool] = []
    if given.only != "mixed":
        with Lab([HOSTS, LOWER if silent else WIDE], silent, [("*", 80), *open_pairs()]) as lab:
            if given.only != "scan":
                met.append(question_hosts(lab, given.hosts, given.stock_hosts, given.rounds, nmap=nmap))
            if given.only != "questions":
                met.append(scan_range(lab, given.rounds, nmap=nmap, silent=given.silent))
    if given.only in {None, "mixed"}:
        replay = [sys.executable, str(Path(__file__).with_name("replay.py")), "80"]
        with Lab([HOSTS], [], [("*", 80)], replay) as lab:
            met.append(question_hosts(lab, given.hosts, given.stock_hosts, given.rounds, nmap=nmap, mixed=True))
    return 0 if all(met) else 1


def addresses(count: int) -> list[str]:
    hosts = list(map(str, IPv4Network(HOSTS).hosts()))
    if count > len(hosts):
        raise SystemExit(f"the laboratory has {len(hosts)} hosts: ask for no more")
    return hosts[:count]


def open_pairs() -> list[tuple[str, int]]:
    """Where something listens in the scanned range, spread over its addresses and ports."""
    first = IPv4Network(LOWER).network_address
    return [(str(first + number * 37 % 256), PORTS[number % len(PORTS)]) for number in range(OPEN)]


async def questions(hosts: list[str]) -> dict[str, Any]:
    """Put the questions of every signature to these hosts, as the scanner does to what it found open."""
    from inventory.garbage import collect_seldom

    collect_seldom()
    from inventory.model import Identified, Listener, Questioned
    from inventory.settings import Settings
    from scanner.asking import Asker
    from scanner.questioning import Questioning

    settings = Settings()
    named: dict[str, list[str | None]] = {}
    requests = 0

    def done(listener: Listener, result: "tuple[Finding, ...] | Exception") -> None:
        nonlocal requests
        if isinstance(result, Exception):
            raise result
        facts = [finding.fact for finding in result]
        named[listener.address] = [fact.product for fact in facts if isinstance(fact, Identified)]
        requests += sum(len(fact.requests) for fact in facts if isinstance(fact, Questioned))

    ask = Asker(settings)
    began = time.monotonic()
    questioning = Questioning(ask, done, concurrency=settings.scan_concurrency)
    for host in hosts:
        await questioning.put(Listener(site="lab", address=host, port=80))
    await questioning.finish()
    return {"named": named, "requests": requests, "asking": time.monotonic() - began}


def products(hosts: list[str]) -> dict[str, str | None]:
    """What the machine takes each of the hosts that replay a product for, told the transcript without a network.

    Some products are looked for at their usual port only, and these listen on port 80.
    """
    from replay import persona_of, personas

    from scanner.findings import Limits
    from scanner.knowledge import load_knowledge

    knowledge = load_knowledge()
    names = {id(one): name_of(replace(one, port=80).replay(knowledge, Limits())[0]) for one in personas()}
    return {host: names[id(persona_of(host))] for host in hosts}


def name_of(findings: "tuple[Finding, ...]") -> str | None:
    """The product at the root."""
    from inventory.model import Identified

    return next((finding.fact.product for finding in findings if isinstance(finding.fact, Identified)), None)


def question_hosts(lab: Lab, hosts: int, stock_hosts: int, rounds: int, *, nmap: bool, mixed: bool = False) -> bool:
    """The questions alone, to hosts that are known to listen on port 80."""
    few = min(hosts, stock_hosts)
    ours = [sys.executable, str(Path(__file__).resolve()), "--ours", str(hosts)]
    expected = products(addresses(hosts)) if mixed else dict.fromkeys(addresses(hosts), "nginx")

    def right(out: str) -> int:
        return sum(expected[host] in named for host, named in json.loads(out)["named"].items())

    sides = [Side("gnomon", ours, hosts, right, hosts)]
    bars = (0.0, 0.0) if mixed else (100.0, 30.0)
    for name, timing, count, bar in (("nmap stock", STOCK, few, bars[0]), ("nmap tuned", TUNED, hosts, bars[1])):
        targets = lab.folder / f"{count}.txt"
        targets.write_text("\n".join(addresses(count)), encoding="ascii")
        command = ["nmap", "-sV", *timing, "-n", "-Pn", "-p", "80", "-iL", str(targets), "-oX", "-"]
        sides.append(Side(name, command, count, served_by_nmap if mixed else named_by_nmap, count, bar))
    sides = sides if nmap else sides[:1]
    compete(lab, sides, rounds)
    fleet = "hosts that replay recorded products" if mixed else "nginx hosts"
    title = f"questions alone: {hosts} {fleet} on port 80, medians of {rounds} interleaved rounds"
    met = show(title, sides, "hosts", "as recorded" if mixed else "nginx")
    outs = [json.loads(spent.out) for spent in sides[0].rounds]
    print(
        f"  gnomon: {median(out['requests'] / hosts for out in outs):.1f} requests a host, "
        f"{median(out['requests'] / out['asking'] for out in outs):.0f} requests/s while asking, "
        f"{median(s.seconds - out['asking'] for s, out in zip(sides[0].rounds, outs, strict=True)):.2f} s to start; "
        f"flags: concurrency as in the settings"
    )
    return met


def scan_range(lab: Lab, rounds: int, *, nmap: bool, silent: bool) -> bool:
    """Discovery and identification, by the real command into an inventory that is there and empty.

    Stock nmap gets a range that it ends within a minute, the tuned one sixteen times as much.
    """
    met = scan_beside(lab, rounds, RANGE, "nmap stock", STOCK, 20, nmap=nmap, silent=silent)
    return scan_beside(lab, rounds, RANGE if silent else WIDE, "nmap tuned", TUNED, 6, nmap=nmap, silent=silent) and met


def scan_beside(
    lab: Lab, rounds: int, network: str, name: str, timing: list[str], bar: float, *, nmap: bool, silent: bool
) -> bool:
    """Gnomon and one nmap on the same range."""
    ports = f"{PORTS[0]}-{PORTS[-1]}"
    probes = IPv4Network(network).num_addresses * len(PORTS)
    words = ["scan", network, "--ports", ports, "--rate", str(GNOMON_RATE), "--format", "json"]
    gnomon = [sys.executable, "-m", "tui.cli"]
    sides = [Side("gnomon", [*gnomon, *words], probes, named_by_gnomon, OPEN, prepare=[*gnomon, "scope", "list"])]
    command = ["nmap", "-sS", "-sV", *timing, "-n", "-Pn", "-p", ports, network, "-oX", "-"]
    if nmap:
        sides.append(Side(name, command, probes, named_by_nmap, OPEN, bar))
    # Compiles its modules, as installing them does.
    part = str(next(IPv4Network(network).subnets(new_prefix=24)))
    (warm := lab.folder / f"warm-{probes}").mkdir(exist_ok=True)
    lab.run([*gnomon, "scan", part, "--ports", ports], LIMIT, environment(warm))
    compete(lab, sides, rounds)
    closed = "half silent, half refused" if silent else "refused"
    title = (
        f"discovery and identification: {network} x {ports} = {probes} probes, "
        f"{OPEN} open, the others {closed}, medians of {rounds} interleaved rounds"
    )
    return show(title, sides, "probes")


def compete(lab: Lab, sides: list[Side], rounds: int) -> None:
    """Run every side in turn, each time in an environment of its own."""
    for number in range(rounds):
        for side in sides:
            place = lab.folder / f"{side.name}-{number}-{len(list(lab.folder.iterdir()))}".replace(" ", "-")
            place.mkdir()
            around = environment(place)
            if side.prepare:
                lab.run(side.prepare, LIMIT, around)
            spent = lab.run(side.command, LIMIT, around)
            side.rounds.append(spent)
            side.found.add(side.count(spent.out))
            print(f"  round {number + 1}: {side.name} took {spent.seconds:.2f} s", file=sys.stderr, flush=True)


def environment(place: Path) -> dict[str, str]:
    """The settings as they come, a new inventory in a folder of its own, and modules compiled as installed ones are."""
    ours = ("GNOMON_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {
        "PYTHONPYCACHEPREFIX": str(place.parent / "compiled"),
        "GNOMON_DATABASE": f"sqlite:///{place}/inventory.db",
        "GNOMON_STATE_FOLDER": str(place / "state"),
        "XDG_CONFIG_HOME": str(place / "config"),
    }


def named_by_nmap(out: str) -> int:
    return len(re.findall(r'<service name="http" product="nginx"', out))


def served_by_nmap(out: str) -> int:
    """The hosts of which nmap names a product, whichever: its names are not the signatures'."""
    return len(re.findall(r'<service name="[^"]*" product="', out))


def named_by_gnomon(out: str) -> int:
    return sum(endpoint["product"] == "nginx" for endpoint in json.loads(out)["endpoints"])


def show(title: str, sides: list[Side], unit: str, name: str = "nginx") -> bool:
    """The table, the flags and the verdicts. Whether every bar is met."""
    print(title)
    units = f"{unit}/s"
    print(f"{'':12}{unit:>8}{'seconds':>9}{units:>10}{'CPU s':>8}{'peak MB':>9}{'named ' + name:>18}{'gnomon is':>11}")
    ours, met = sides[0], []
    for side in sides:
        ratio = median(
            (ours.work / own.seconds) / (side.work / spent.seconds)
            for own, spent in zip(ours.rounds, side.rounds, strict=True)
        )
        cells = [median(spent.seconds for spent in side.rounds), side.rate(), median(s.cpu for s in side.rounds)]
        named = f"{'/'.join(map(str, sorted(side.found)))} of {side.expected}"
        ahead = f"{ratio:.1f}x" if side is not ours else ""
        peak = max(spent.megabytes for spent in side.rounds)
        print(
            f"{side.name:12}{side.work:8}{cells[0]:9.2f}{cells[1]:10.1f}{cells[2]:8.2f}{peak:9.0f}{named:>18}{ahead:>11}"
        )
        if side.bar:
            met.append(_verdict(f"{ratio:.1f}x {side.name}", ratio >= side.bar, f"{side.bar:g}x"))
    for side in sides:
        shown = [word if len(word) < 60 else "..." + word[-30:] for word in side.command]
        print(f"  {side.name}: {' '.join(shown)}")
    peak = max(spent.megabytes for spent in ours.rounds)
    met.append(_verdict(f"peak of its largest process {peak:.0f} MB", peak < MEGABYTES, f"under {MEGABYTES:g} MB"))
    met.append(_verdict("all named by gnomon", ours.found == {ours.expected}, "every one, every round"))
    for sentence, _ in met:
        print(f"  {sentence}")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  (a peak of {own:.0f} MB or less cannot be told from this program's own)")
    return all(good for _, good in met)


def _verdict(what: str, good: bool, bar: str) -> tuple[str, bool]:
    return f"{what} (bar: {bar}): {'met' if good else 'MISSED'}", good


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the laboratory is removed")
    except RuntimeError as error:
        sys.exit(f"not measured: {error}")
