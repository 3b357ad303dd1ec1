"""``gnomon demo`` as people run it: real servers, a real scan, a real Envoy, real requests, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from processes import naming, still_running

from inventory.model import Governance, Kind, Posture, Routing, ScanStatus
from inventory.settings import Settings
from inventory.store import open_store
from tui.demo import cast, stage, story
from tui.demo.process import DemoError
from tui.demo.traffic import Callers, learn
from tui.wiring import gateway_service

pytestmark = pytest.mark.e2e

FOUND = {
    "flask-model": (Kind.MODEL_ENDPOINT, "flask", "POST /predict"),
    "fastapi-model": (Kind.MODEL_ENDPOINT, "fastapi", "POST /predict"),
    "fastapi-quiet": (Kind.MODEL_ENDPOINT, "fastapi", "POST /score"),
    "jupyter": (Kind.NOTEBOOK, "jupyter-server", ""),
    "streamlit": (Kind.ML_UI, "streamlit", ""),
    "flask-shop": (Kind.ORDINARY_WEB, "flask", ""),
    "status-page": (Kind.ORDINARY_WEB, "python-http-server", ""),
}
Demo = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """An empty folder with a short name, as that of a Unix socket must be."""
    with tempfile.TemporaryDirectory(prefix="gt-") as folder:
        yield Path(folder)


# A shell that runs the suite in the background has all that it starts ignore Ctrl-C.
MAIN = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tui.cli import main; main()"


@pytest.fixture
def demo(tmp_path: Path, temporary: Path) -> Iterator[Demo]:
    """Start the demonstration. All its processes carry the test's folder in their environment."""
    own = {"TMPDIR": str(temporary), "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "USER": "tester"}
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "demo", *arguments],
            env={**os.environ, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()
    assert still_running(naming(str(temporary)), 10.0) == []


def test_the_whole_story(demo, temporary):
    process = demo("--keep")
    printed, narrated = process.communicate(timeout=120)
    assert process.returncode == 0, narrated
    assert naming(str(temporary)) == [], "every process has ended with it"

    failed, requests = re.search(r"failed requests: (\d+) of (\d+), as counted by the callers", printed).groups()
    assert int(failed) == 0
    assert int(requests) > len(story.STEPS) * story.REQUESTS_PER_STEP
    shares = re.findall(r"weight (\d+) %: the replacement served (\d+) of (\d+) requests .* (\d+) failed", printed)
    assert [int(weight) for weight, *_ in shares] == list(story.STEPS)
    for weight, served, of, failed in (map(int, share) for share in shares):
        # Six standard deviations of the binomial distribution, and the few requests under way when it changed.
        spread = 6 * (of * weight * (100 - weight)) ** 0.5 / 100 + 5
        assert abs(served - of * weight / 100) <= spread
        assert failed == 0

    (folder,) = temporary.glob("gnomon-demo-*")
    with open_store(f"sqlite:///{folder / 'inventory.db'}") as store:
        _check_inventory(store)
        _check_route(store)
        for gap in ("jupyter", "streamlit", "fastapi-quiet"):
            assert _by_name(store)[gap].url in printed.partition("STILL UNGOVERNED")[2]


def _by_name(store):
    endpoints = {(one.address, one.port): one for one in store.endpoints.list()}
    subnet = next(iter(endpoints))[0].rpartition(".")[0]
    return {one.name: endpoints.pop((one.address, one.port)) for one in cast.programs(subnet, Path())} | endpoints


def _check_inventory(store):
    found = _by_name(store)
    assert {
        name: (one.kind, one.product, ", ".join(f"{route.method} {route.path}" for route in one.inference_routes))
        for name, one in found.items()
    } == FOUND
    assert found["jupyter"].posture is Posture.OPEN
    scans = store.scans.list()
    assert [scan.status for scan in scans] == [ScanStatus.COMPLETE] * 2
    for scan in scans:
        assert scan.account.answered == len(FOUND)
        assert scan.account.probed == scan.account.planned == 256 * len(scan.ports)
    asked = [request for one in found.values() for request in one.asked]
    assert {request.method for request in asked} <= {"GET", "HEAD", "OPTIONS"}


def _check_route(store):
    found = _by_name(store)
    original = found["flask-model"]
    assert original.routing is Routing.ENFORCED
    assert original.governance is found["fastapi-model"].governance is Governance.MANAGED
    assert found["jupyter"].routing is Routing.DIRECT
    history = store.routes.history(story.ROUTE)
    weights = [revision.spec.backend("replacement").weight for revision in reversed(history)]
    assert weights == [0, 0, 0, *story.STEPS]
    assert history[0].spec.shadow is None
    (evidence,) = [
        one for one in store.shadow.of(story.ROUTE) if (one.primary, one.shadow) == ("origin", "replacement")
    ]
    assert evidence.agreed == evidence.compared >= 150, evidence.disagreements
    assert evidence.lower_bound > story.GATE.agreement
    recorded = store.changes.list(subject=f"route:{story.ROUTE}")
    assert len(recorded) == len(history)
    assert all(change.who == story.WHO and change.why for change in recorded)


@pytest.mark.parametrize(
    ("moment", "processes", "number"),
    [
        ("starting", 1, signal.SIGKILL),
        ("starting", 1, signal.SIGINT),
        ("adopted", len(FOUND) + 3, signal.SIGTERM),
        ("50 % of the live requests", len(FOUND) + 3, signal.SIGKILL),
    ],
)
def test_nothing_is_left_when_it_is_ended_in_the_middle(demo, temporary, moment, processes, number):
    """Once adopted, there are the servers, their warden, Envoy, and the demonstration itself."""
    process = demo()
    narrated = []
    while not narrated or not narrated[-1].startswith(moment):
        narrated.append(process.stderr.readline())
        assert narrated[-1], "".join(narrated)
    everybody = naming(str(temporary))
    assert len(everybody) >= processes
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    assert still_running({*everybody, *naming(str(temporary))}, 10.0) == []
    assert list(temporary.iterdir()) == []


def test_a_port_in_use_is_one_clear_sentence(demo):
    with ExitStack() as stack:
        for subnet in cast.STAGES:
            other = stack.enter_context(socket.socket())
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((f"{subnet}.21", 8888))
            other.listen()
        process = demo()
        printed, narrated = process.communicate(timeout=30)
    assert process.returncode == 1
    assert printed == ""
    assert re.search(
        r"gnomon: the demonstration cannot start: port 8888 of 127\.61\.\d+\.21 is in use by another program: "
        r"stop it and try again\n$",
        narrated,
    )
    assert "Traceback" not in narrated


async def test_a_replacement_that_fails_callers_is_taken_back(temporary, monkeypatch):
    """The count of failures is not a decoration: with the replacement dead, a step fails and is undone."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    async with stage.set_up(Settings(), partial(gateway_service, detached=False)) as there:
        found = await story.find(there)
        spec = await story.adopt(there, found)
        original = there.program(cast.ORIGINAL)
        questions = await learn(original.address, original.port, story.PATH, story.PAYMENTS)
        gateway = (there.settings.gateway_address, there.settings.gateway_port, spec.hosts[0])
        os.kill(there.servers.pids[cast.REPLACEMENT], signal.SIGKILL)
        async with Callers(*gateway, story.PATH, questions) as callers:
            await callers.more(50, 30.0)
            assert callers.tally.failed == 0
            with pytest.raises(DemoError, match="requests failed at weight 50: all requests went back"):
                await story.move(there, spec, 50, callers)
            assert callers.tally.failures.keys() == {"status 503"}
            await callers.more(story.SETTLING_REQUESTS, 30.0)
            failed = callers.tally.failed
            await callers.more(50, 30.0)
            assert callers.tally.failed == failed
        latest = there.store.routes.get(story.ROUTE)
        assert latest.spec.backend("origin").weight == 100
    assert list(temporary.iterdir()) == []
