"""A trained classifier is replaced by a retrained one: a good one takes over, one with a defect in a class does not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from models import Classifier, questions

from inventory.model import Comparison, Gate, RouteSpec, Rule, Status, utc_now
from router import rollout_moves
from router.controller import Beside
from router.rollout import ladder
from router.rollout_file import RolloutPlan
from router.rollouts import Rollouts
from router.shadow.monitor import Monitor
from tui.disagreements import lines_of

pytestmark = pytest.mark.e2e

HOST = "iris.localhost"
PATH = "$.probabilities"
GATE = Gate(agreement=0.95, new_errors=0.05, latency_ratio=50, latency_slack_ms=2000)
PLANS = {
    # The defect has to be caught before 5 %; the good one climbs in few and large steps, which take less time.
    True: RolloutPlan(steps=ladder(GATE, shadow=(10, 50), split=(5, 100))),
    False: RolloutPlan(steps=ladder(GATE, shadow=(50,), split=(50, 100))),
}
RULES = Comparison(ignore=("$.from",), rules=(Rule(path=PATH, distance=0.2),))


async def monitor(here: Beside, stop: asyncio.Event) -> None:
    await Monitor(here.store, here.capture).run(stop)


async def rollouts(here: Beside, stop: asyncio.Event) -> None:
    await Rollouts(here.store, here.gateway).run(stop)


@pytest.fixture(scope="module")
def incumbent() -> Classifier:
    return Classifier(seed=1)


@pytest.mark.parametrize("defect", [False, True])
async def test_a_defect_in_one_class_is_caught_before_live_requests_moved(
    defect: bool,
    incumbent: Classifier,
    run_controller: Any,
    backends: Any,
    load: Any,
    until: Callable[..., Awaitable[Any]],
) -> None:
    candidate = Classifier(seed=2, mislabelled=0.7 if defect else 0.0)
    assert incumbent.accuracy(seed=3) > 0.95
    assert (candidate.accuracy(seed=3) > 0.95) is not defect
    old, new = await backends("origin", model=incumbent), await backends("replacement", model=candidate)
    spec = RouteSpec.model_validate(
        {
            "name": "iris",
            "hosts": (HOST,),
            "backends": [{"name": one.name, "url": one.url, "weight": 100 * (one is old)} for one in (old, new)],
            "comparison": RULES,
        }
    )
    async with run_controller(companions=[monitor, rollouts]) as rig:
        await rig.put(spec)
        callers = load(rig.settings, HOST, bodies=questions(seed=4))
        rollout, shaped = rollout_moves.start(spec, PLANS[defect], rollout_id="r", now=utc_now())
        rig.store.rollouts.begin(rollout, shaped, who="ana", why="retrained")
        await until(lambda: not rig.store.rollouts.get("iris").active, 60)
        await callers.stop()
        ended = rig.store.rollouts.get("iris")
        (evidence,) = [
            one for one in rig.store.shadow.of("iris") if (one.primary, one.shadow) == ("origin", "replacement")
        ]
    assert callers.failed == []
    if not defect:
        assert ended.status is Status.DONE
        assert callers.by["replacement"] > 0
        return
    assert ended.status is Status.ROLLED_BACK
    assert callers.by.get("replacement", 0) == 0
    assert "pairs agree" in ended.why
    said = "\n".join(lines_of(evidence))
    assert "$.species  differs in" in said
    most, _ = next(iter(evidence.swaps["$.species"].items()))
    assert most == '"virginica" -> "versicolor"'
    assert f"x {most}" in said
