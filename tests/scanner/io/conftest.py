"""Two network namespaces with a cable between them: frames need a link layer, and nobody else may get any."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SERVE = """
import json, socket, sys
sockets = [
    socket.create_server((address, port), backlog=64, family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    for address, port in json.loads(sys.argv[1])
]
print("up", flush=True)
sys.stdin.read()
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Lab:
    """``near`` scans at 10.71.0.1; ``far`` is 10.71.0.2 on the link and has 10.72.0.0/16 behind it."""

    near: str
    far: str
    interface: str

    def scan(self, script: str, *arguments: str, frames: bool = True) -> dict[str, object]:
        """What a Python script prints as JSON when it runs in the near namespace, where it may send frames or not."""
        without = [] if frames else ["setpriv", "--bounding-set", "-net_raw"]
        told = run("ip", "netns", "exec", self.near, *without, sys.executable, "-c", script, *arguments)
        result: dict[str, object] = json.loads(told)
        return result

    def ip(self, *words: str) -> None:
        """Change links, addresses or routes."""
        run("ip", *words)

    def hardware(self) -> str:
        """The hardware address of the far end."""
        address: str = json.loads(run("ip", "-n", self.far, "-j", "link", "show", "far0"))[0]["address"]
        return address

    def speak(self, source: str, to: str) -> None:
        """Have the far end send something from an address of its own, until the near end has answered its question."""
        ask = "import socket, sys; s = socket.socket(socket.AF_INET6); s.bind((sys.argv[1], 0)); s.settimeout(5)"
        code = f"{ask}; sys.exit(s.connect_ex((sys.argv[2], 9)) != 111)"
        run("ip", "netns", "exec", self.far, sys.executable, "-c", code, source, to)

    def rule(self, text: str) -> None:
        """Add an nftables rule to what comes in at the far end."""
        run("ip", "netns", "exec", self.far, "nft", f"add rule inet lab input {text}")

    def arp_rule(self, text: str) -> None:
        """Add a rule to what comes in there by ARP."""
        chain = "add table arp lab; add chain arp lab input { type filter hook input priority 0; }"
        run("ip", "netns", "exec", self.far, "nft", f"{chain}; add rule arp lab input {text}")

    def counted(self, family: str = "inet") -> list[int]:
        """The packets that each counting rule has seen, in the order of the rules."""
        told = json.loads(run("ip", "netns", "exec", self.far, "nft", "-j", f"list chain {family} lab input"))
        rules = [one["rule"]["expr"] for one in told["nftables"] if "rule" in one]
        return [part["counter"]["packets"] for rule in rules for part in rule if "counter" in part]


@pytest.fixture
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None:
        pytest.skip("network namespaces need root, ip and nft")
    name = f"gn{os.getpid()}"
    made = Lab(f"{name}n", f"{name}f", "near0")
    try:
        for space in (made.near, made.far):
            if subprocess.run(["ip", "netns", "add", space], check=False, capture_output=True).returncode:
                pytest.skip("this machine lets nobody make network namespaces")
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "link", "add", "near0", "netns", made.near, "type", "veth", "peer", "name", "far0", "netns", made.far)
        run("ip", "-n", made.near, "address", "add", "10.71.0.1/24", "dev", "near0")
        run("ip", "-n", made.far, "address", "add", "10.71.0.2/24", "dev", "far0")
        run("ip", "-n", made.near, "link", "set", "near0", "up")
        run("ip", "-n", made.far, "link", "set", "far0", "up")
        run("ip", "-n", made.near, "route", "add", "10.72.0.0/16", "via", "10.71.0.2")
        run("ip", "-n", made.far, "route", "add", "local", "10.72.0.0/16", "dev", "lo")
        chain = "add table inet lab; add chain inet lab input { type filter hook input priority 0; }"
        run("ip", "netns", "exec", made.far, "nft", chain)
        yield made
    finally:
        for space in (made.near, made.far):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)


@pytest.fixture
def serve(lab: Lab) -> Iterator[Callable[[list[tuple[str, int]]], None]]:
    """Has real servers listen in the far namespace."""
    started: list[subprocess.Popen[str]] = []

    def start(pairs: list[tuple[str, int]]) -> None:
        command = ["ip", "netns", "exec", lab.far, sys.executable, "-c", SERVE, json.dumps(pairs)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"

    yield start
    for server in started:
        server.communicate()
