"""A gateway, a model and a caller on three machines, as far as a network can tell: so a path can be shown shut."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

GNOMON = (sys.executable, "-m", "tui.cli")
GATEWAY, MODEL, CALLER = "10.73.0.1", "10.73.0.2", "10.73.0.3"
SERVER = """
from flask import Flask, jsonify
app = Flask("iris")
@app.post("/predict")
def predict(): return jsonify(label="setosa")
app.run("0.0.0.0", 8000)
"""


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


class Net:
    """Three network namespaces on one bridge, and gnomon run in any of them on one database."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._names = {address: f"{name}{index}" for index, address in enumerate((GATEWAY, MODEL, CALLER))}
        self._stack = ExitStack()

    def lay(self) -> None:
        hub = self._names[GATEWAY]
        for index, (address, space) in enumerate(self._names.items()):
            if subprocess.run(["ip", "netns", "add", space], check=False, capture_output=True).returncode:
                pytest.skip("this machine lets nobody make network namespaces")
            self._stack.callback(subprocess.run, ["ip", "netns", "delete", space], check=False, capture_output=True)
            run("ip", "-n", space, "link", "set", "lo", "up")
            if index == 0:
                run("ip", "-n", space, "link", "add", "hub", "type", "bridge")
                run("ip", "-n", space, "link", "set", "hub", "up")
                run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "hub")
                continue
            run("ip", "link", "add", "cable", "netns", space, "type", "veth", "peer", "name", f"port{index}", "netns",
                hub)  # fmt: skip
            run("ip", "-n", hub, "link", "set", f"port{index}", "master", "hub", "up")
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "cable")
            run("ip", "-n", space, "link", "set", "cable", "up")

    def close(self) -> None:
        self._stack.close()

    def on(self, where: str, *command: str) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._names[where], *command)

    def start(self, where: str, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self.on(where, *command), env=self._environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._stack.callback(process.wait, timeout=30)
        self._stack.callback(process.terminate)
        return process

    def gnomon(self, where: str, *words: str) -> "subprocess.CompletedProcess[str]":
        command = self.on(where, *GNOMON, *words)
        return subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120, check=False
        )

    def rows(self, where: str, *words: str) -> list[dict[str, object]]:
        told: list[dict[str, object]] = json.loads(self.gnomon(where, *words, "--format", "json").stdout)
        return told

    def feed(self, where: str, rules: str) -> None:
        done = subprocess.run(
            self.on(where, "nft", "-f", "-"), input=rules, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "XDG_STATE_HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder / "none"),
            "GNOMON_GATEWAY_ADDRESS": "0.0.0.0", "GNOMON_METRICS_PORT": "0", "GNOMON_SCAN_TIMEOUT": "0.5",
            "GNOMON_SEAL_INTERVAL": "0", "GNOMON_TOKEN_PORT": "0",
        }  # fmt: skip


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nft") is None:
        pytest.skip("network namespaces need root, ip and nft")
    made = Net(tmp_path, f"gs{os.getpid()}")
    try:
        made.lay()
        yield made
    finally:
        made.close()


def _found(net: Net) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        net.gnomon(CALLER, "scan", f"{MODEL}:8000")
        if rows := net.rows(CALLER, "endpoints"):
            return rows[0]
    raise AssertionError("the model was not found")


def test_direct_path_is_shown_open_then_shut_then_open_again(net: Net) -> None:
    server = net.start(MODEL, sys.executable, "-c", SERVER)
    found = _found(net)
    assert found["routing"] == "direct"
    net.start(GATEWAY, *GNOMON, "serve", "--no-schedules", "--no-clusters")
    adopted = net.gnomon(GATEWAY, "adopt", str(found["id"]), "--name", "iris", "--wait", "30")
    assert adopted.returncode == 0, adopted.stderr

    bypassed = net.gnomon(CALLER, "seal", "iris", "--format", "json")
    assert bypassed.returncode == 1, bypassed.stderr
    assert [(row["did"], row["verdict"], row["source"]) for row in json.loads(bypassed.stdout)] == [
        ("open", "bypass", CALLER)
    ]
    at_home = net.gnomon(GATEWAY, "seal", "iris")
    assert at_home.returncode == 3
    assert "try from another machine" in at_home.stderr

    rules = net.gnomon(CALLER, "seal", "iris", "--rules", "nftables").stdout
    assert GATEWAY in rules
    net.feed(MODEL, rules)
    sealed = net.gnomon(CALLER, "seal", "iris")
    assert sealed.returncode == 0, sealed.stderr
    one = net.rows(CALLER, "endpoints", "routing:sealed")[0]
    assert one["id"] == found["id"]

    # A scan is meant to miss it: that makes it neither stale nor gone.
    assert net.gnomon(CALLER, "scan", f"{MODEL}:8000").returncode == 0
    assert net.rows(CALLER, "endpoints")[0]["presence"] == "seen"

    server.terminate()
    server.wait(timeout=30)
    dead = net.gnomon(CALLER, "seal", "iris")
    assert dead.returncode == 3
    assert "what is shut and what is dead look alike" in dead.stderr
    assert net.rows(CALLER, "endpoints")[0]["routing"] == "sealed"

    net.start(MODEL, sys.executable, "-c", SERVER)
    net.feed(MODEL, "flush ruleset\n")
    deadline = time.monotonic() + 60
    while (again := net.gnomon(CALLER, "seal", "iris")).returncode != 1:
        assert time.monotonic() < deadline, again.stderr
    assert net.rows(CALLER, "endpoints")[0]["routing"] == "fronted"
    actions = [change["action"] for change in json.loads(
        net.gnomon(CALLER, "endpoint", str(found["id"]), "--format", "json").stdout)["changes"]]  # fmt: skip
    assert actions[:2] == ["unseal", "seal"]
