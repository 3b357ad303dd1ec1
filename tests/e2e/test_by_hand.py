"""The main job by hand: the commands of the README, as processes of their own, on real servers and a real Envoy."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from inventory.model import Scan
from inventory.store import open_store
from tui.demo.process import Program, Servers, free_port

pytestmark = pytest.mark.e2e

SUBNET = "127.62.3"
GNOMON = (sys.executable, "-m", "tui.cli")
PAYMENT = json.dumps({"amount": 12.5, "hour": 3, "distance_km": 4.0, "account_days": 90})


def server(name: str, last: int, port: int, path: str = "/") -> Program:
    return Program(name, (sys.executable, "-m", f"tui.demo.servers.{name}", f"{SUBNET}.{last}", str(port)),
                   f"{SUBNET}.{last}", port, path)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> dict[str, str]:
    """An environment of this test's own."""
    settings = {
        "GNOMON_DATABASE": f"sqlite:///{tmp_path}/inventory.db",
        "GNOMON_STATE_FOLDER": str(tmp_path / "state"),
        "GNOMON_GATEWAY_PORT": str(free_port("127.0.0.1", 18780)),
        "GNOMON_ACTOR": "ana",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    return os.environ | settings


@pytest.fixture
def run(place: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def command(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*GNOMON, *arguments], env=place, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return done

    return command


@pytest.fixture
def models(tmp_path: Path) -> Iterator[None]:
    """A Flask model and the same model on FastAPI."""
    programs = [server("flask_model", 11, 5000), server("fastapi_model", 12, 8000, "/healthz")]
    folder = tmp_path / "servers"
    folder.mkdir()
    with Servers(folder) as servers:
        for program in programs:
            servers.start(program)
        asyncio.run(servers.ready(programs, 60))
        yield


@pytest.fixture
def serve(place: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `gnomon serve`; whatever of it still runs at the end is stopped."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "serve.log").open("ab") as log:
            started.append(subprocess.Popen([*GNOMON, "serve"], env=place, stdout=log, stderr=log))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def predict(place: dict[str, str], host: str) -> tuple[int, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", int(place["GNOMON_GATEWAY_PORT"]), timeout=10)
    connection.request("POST", "/predict", PAYMENT, {"Host": host, "Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers.get("X-Served-By")


def until(look: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_find_adopt_shadow_move(run, serve, models, place):
    scanned = json.loads(run("scan", f"{SUBNET}.0/24", "--rate", "100000", "--format", "json").stdout)
    assert scanned["scan"]["status"] == "complete"
    account = scanned["scan"]["account"]
    assert account["planned"] == account["probed"] + account["excluded"] + account["forbidden"] + account["unprobed"]
    by_address = {one["address"]: one for one in scanned["endpoints"]}
    flask, fastapi = by_address[f"{SUBNET}.11"], by_address[f"{SUBNET}.12"]
    assert (flask["product"], flask["is_model_endpoint"], flask["posture"]) == ("flask", True, "open")
    assert {"method": "POST", "path": "/predict"} in flask["inference_routes"]
    assert (fastapi["product"], fastapi["is_model_endpoint"]) == ("fastapi", True)
    assert json.loads(run("endpoints", "model:yes", "--format", "json").stdout) == json.loads(
        run("endpoints", "kind:model-endpoint", "--format", "json").stdout
    )
    asked = json.loads(run("endpoint", flask["id"], "--format", "json").stdout)["asked"]
    assert {one["method"] for one in asked} <= {"GET", "HEAD", "OPTIONS"}

    early = run("adopt", flask["id"], "--name", "payments", "--to", fastapi["id"], "--wait", "0", code=3)
    assert "gnomon serve" in early.stderr
    daemon = serve()
    until(
        lambda: json.loads(run("routes", "--format", "json").stdout)[0]["gateway"].startswith("in force"), 30, "ready"
    )
    assert predict(place, "payments.localhost")[0] == 200
    assert predict(place, "nobody.localhost")[0] == 404

    run("shadow", "payments", "--to", "replacement", "--percent", "100")
    assert [predict(place, "payments.localhost")[0] for _ in range(30)] == [200] * 30
    until(lambda: json.loads(run("routes", "--format", "json").stdout)[0]["pairs"] >= 30, 20, "pairs were compared")
    run("shift", "payments", "origin=0", "replacement=100")
    assert {predict(place, "payments.localhost") for _ in range(10)} == {(200, "fastapi")}
    run("rollback", "payments")
    assert {predict(place, "payments.localhost")[1] for _ in range(10)} != {"fastapi"}
    routing = {one["address"]: one["routing"] for one in json.loads(run("endpoints", "--format", "json").stdout)}
    assert routing == {f"{SUBNET}.11": "shadowed", f"{SUBNET}.12": "shadowed"}
    assert run("plan").stdout == ""

    daemon.kill()
    daemon.wait(10)
    assert predict(place, "payments.localhost")[0] == 200, "the gateway goes on when gnomon is killed"
    again = serve()
    run("shift", "payments", "origin=100", "replacement=0", "--wait", "30")
    again.send_signal(signal.SIGINT)
    assert again.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        predict(place, "payments.localhost")


def test_schedules_go_on_after_a_kill(run, serve, place):
    """A scope is scanned again and again, never twice at once, also when the daemon is killed and started anew."""
    run("scope", "add", "lab", f"{SUBNET}.11", "--ports", "5000", "--rate", "1000")
    run("schedule", "add", "often", "--scope", "lab", "--every", "1s")
    first = serve()
    until(lambda: len(_complete(place)) >= 2, 30, "two scheduled scans")
    first.kill()
    first.wait(10)
    done = len(_complete(place))
    serve()
    until(lambda: len(_complete(place)) >= done + 2, 60, "two more after the restart")
    spans = sorted((scan.started_at, scan.ended_at) for scan in _complete(place))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_ctrl_c_keeps_what_was_found(place, run):
    """A scan into silence, slow enough to be interrupted."""
    process = subprocess.Popen(
        [*GNOMON, "scan", f"{SUBNET}.0/24", "--ports", "1-60000", "--rate", "1000", "--format", "json"],
        env=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: _running(place), 20, "the scan began")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 3, err
    result = json.loads(out)["scan"]
    assert (result["status"], "stopped" in result["reason"]) == ("incomplete", True)
    assert result["account"]["unprobed"] > 0


def _scans(place: dict[str, str], status: str) -> list[Scan]:
    with open_store(place["GNOMON_DATABASE"]) as store:
        return [scan for scan in store.scans.list() if scan.status.value == status]


def _running(place: dict[str, str]) -> bool:
    return bool(_scans(place, "running"))


def _complete(place: dict[str, str]) -> list[Scan]:
    return _scans(place, "complete")
