"""Rollouts that run, with a real Envoy, real backends and real callers: up, back, and through kills."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inventory.model import Gate, Rollout, RouteSpec, Stage, Status, Step, Transition, utc_now
from inventory.store import Store
from router import rollout_moves
from router.controller import Beside
from router.rollout import ladder
from router.rollout_file import RolloutPlan
from router.rollouts import Rollouts
from router.shadow.monitor import Monitor

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"
# Few pairs and live answers pass: the rates under test are far from what is asked for.
GATE = Gate(minimum_pairs=20, agreement=0.8, new_errors=0.2, latency_ratio=50, latency_slack_ms=2000)
PLAN = RolloutPlan(steps=ladder(GATE, shadow=(20, 50), split=(20, 100)))
BRIEF = RolloutPlan(steps=ladder(GATE, shadow=(50,), split=(100,)))
SHORT = RolloutPlan(
    steps=(
        Step(stage=Stage.FRONT),
        Step(stage=Stage.SHADOW, percent=100),
        Step(stage=Stage.SPLIT, percent=50, gate=GATE),
        Step(stage=Stage.SPLIT, percent=100, gate=GATE.model_copy(update={"minimum_pairs": 1_000_000})),
        Step(stage=Stage.DONE, gate=GATE),
    )
)


async def monitor(here: Beside, stop: asyncio.Event) -> None:
    await Monitor(here.store, here.capture).run(stop)


async def rollouts(here: Beside, stop: asyncio.Event) -> None:
    await Rollouts(here.store, here.gateway).run(stop)


BESIDE = [monitor, rollouts]


def spec_of(origin: Any, replacement: Any) -> RouteSpec:
    return RouteSpec.model_validate(
        {
            "name": "iris",
            "hosts": (HOST,),
            "backends": [
                {"name": "origin", "url": origin.url, "weight": 100},
                {"name": "replacement", "url": replacement.url},
            ],
            # The backends say their names, which is no disagreement.
            "comparison": {"ignore": ["$.from"]},
        }
    )


def start(store: Store, plan: RolloutPlan, spec: RouteSpec) -> Rollout:
    rollout, shaped = rollout_moves.start(spec, plan, rollout_id="r1", now=utc_now())
    return store.rollouts.begin(rollout, shaped, who="ana", why="a test")


def position(store: Store) -> int:
    found = store.rollouts.get("iris")
    return found.position if found else -1


def status(store: Store) -> Status | None:
    found = store.rollouts.get("iris")
    return found.status if found else None


def climbed(transitions: list[Transition]) -> list[str]:
    """The steps that were taken, in order."""
    return [one.after for one in reversed(transitions)]


async def test_a_good_replacement_takes_over_step_by_step_and_no_caller_fails(
    run_controller: Any, backends: Any, load: Any, until: Callable[..., Awaitable[Any]]
) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    spec = spec_of(origin, replacement)
    async with run_controller(companions=BESIDE) as rig:
        await rig.put(spec)
        callers = load(rig.settings, HOST)
        start(rig.store, PLAN, spec)
        await until(lambda: status(rig.store) is Status.DONE, 40)
        await callers.passed(20)
        await callers.stop()
        assert callers.failed == []
        past = rig.store.rollouts.transitions("iris")
        assert climbed(past) == [step.words for step in PLAN.steps]
        assert all(one.revision for one in past)
        assert "pairs agree" in past[1].why or "live answers" in past[1].why
        latest = rig.store.routes.get("iris")
        assert [backend.weight for backend in latest.spec.backends] == [0, 100]
        assert [one.number for one in rig.store.routes.history("iris")] == [*range(len(PLAN.steps) + 1, 0, -1)]


async def test_a_replacement_that_breaks_late_is_taken_back_within_a_second(
    run_controller: Any, backends: Any, load: Any, until: Callable[..., Awaitable[Any]]
) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    spec = spec_of(origin, replacement)
    async with run_controller(companions=BESIDE) as rig:
        await rig.put(spec)
        callers = load(rig.settings, HOST)
        start(rig.store, SHORT, spec)
        await until(lambda: position(rig.store) == 2)
        half = rig.store.routes.get("iris").number
        await until(lambda: rig.status().revisions["iris"] == half)
        await callers.passed(200)
        replacement.status = 503
        broken = time.monotonic()
        await until(lambda: status(rig.store) is Status.ROLLED_BACK)
        decided = time.monotonic() - broken
        latest = rig.store.routes.get("iris")
        await until(lambda: rig.status().revisions["iris"] == latest.number)
        await callers.stop()
        # The bar is a second; the machine that tests may be busy with others.
        assert decided < 5
        newest = rig.store.rollouts.transitions("iris")[0]
        assert "at split 50%: roll back" in newest.why
        assert (newest.who, newest.revision) == ("gnomon", latest.number)
        assert [backend.weight for backend in latest.spec.backends] == [100, 0]
        assert latest.spec.shadow is None
        assert (await rig.ask(HOST)).json["from"] == "origin"


async def test_a_shadow_that_answers_otherwise_never_gets_a_live_request(
    run_controller: Any, backends: Any, load: Any, until: Callable[..., Awaitable[Any]]
) -> None:
    origin, replacement = await backends("origin"), await backends("replacement", status=500)
    spec = spec_of(origin, replacement)
    async with run_controller(companions=BESIDE) as rig:
        await rig.put(spec)
        callers = load(rig.settings, HOST)
        start(rig.store, PLAN, spec)
        await until(lambda: status(rig.store) is Status.ROLLED_BACK, 30)
        await callers.stop()
        assert callers.failed == []
        assert set(callers.by) == {"origin"}


SERVE = """
import asyncio, sys
from pathlib import Path
from inventory.settings import Settings
from inventory.store import open_store
from tui.wiring import gateway_service

settings = Settings(database=sys.argv[1], state_folder=Path(sys.argv[2]), gateway_port=int(sys.argv[3]))
with open_store(settings.database, settings) as store:
    asyncio.run(gateway_service(store, settings, detached=True)(asyncio.Event()))
"""


async def test_killed_again_and_again_it_skips_no_step_and_repeats_none(
    store: Store, settings: Any, backends: Any, load: Any, until: Callable[..., Awaitable[Any]], tmp_path: Path
) -> None:
    origin, replacement = await backends("origin"), await backends("replacement")
    spec = spec_of(origin, replacement)
    store.routes.put(spec, who="ana", why="a test")
    start(store, BRIEF, spec)
    callers = None
    kills = 0
    child: asyncio.subprocess.Process | None = None
    try:
        while status(store) is not Status.DONE:
            assert kills < 20
            child = await serve(tmp_path, settings)
            if callers is None:
                await until(lambda: any("iris" in one.revisions for one in store.gateways.list()))
                callers = load(settings, HOST)
            # Each life takes a step or two and is then killed, at whatever it is doing.
            reached, calls = position(store), callers.asked
            await until(lambda at=reached: position(store) > at or status(store) is Status.DONE, 20)
            await until(lambda asked=callers, more=calls + 37 * kills % 100: asked.asked >= more)
            child.kill()
            await child.wait()
            kills += 1
    finally:
        if callers is not None:
            await callers.stop()
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()
        pid = settings.state_folder / "gateway" / "envoy.pid"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid.read_text().split()[0]), signal.SIGKILL)
    assert kills >= 2
    assert callers is not None
    assert callers.failed == []
    assert climbed(store.rollouts.transitions("iris")) == [step.words for step in BRIEF.steps]
    weights = [one.spec.backend("replacement").weight for one in reversed(store.routes.history("iris")) if one.spec]
    assert all(before <= after for before, after in pairwise(weights))


async def serve(tmp_path: Path, settings: Any) -> asyncio.subprocess.Process:
    arguments = f"sqlite:///{tmp_path}/inventory.db", str(settings.state_folder), str(settings.gateway_port)
    with (tmp_path / "serve.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", SERVE, *arguments, stdout=log, stderr=log, start_new_session=True
        )
