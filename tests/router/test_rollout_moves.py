"""What a person asks of a rollout, in every state that it can be in."""

from itertools import product

import pytest
from making import NOW, route

from inventory.model import Gate, Rollout, Shadow, Stage, Status
from router import rollout_moves
from router.errors import RouteError
from router.rollout import ladder, shape
from router.rollout_file import RolloutPlan, default_plan

SPEC = route("iris")
LADDER = ladder(Gate(), shadow=(10,), split=(50, 100))
STEPS = tuple(step.model_copy(update={"approval": step.percent == 50}) for step in LADDER)


def rollout(position: int = 1, status: Status = Status.RUNNING) -> Rollout:
    return Rollout(
        id="r", route="iris", incumbent="origin", candidate="replacement", steps=STEPS, position=position,
        status=status, revision=3, since=NOW,
    )  # fmt: skip


def test_a_rollout_begins_with_the_incumbent_alone() -> None:
    shadowed = SPEC.model_copy(update={"shadow": Shadow(backend="replacement", percent=50)})
    begun, spec = rollout_moves.start(shadowed, default_plan(), rollout_id="r", now=NOW)
    assert (begun.incumbent, begun.candidate, begun.position) == ("origin", "replacement", 0)
    assert (spec.shadow, [backend.weight for backend in spec.backends]) == (None, [100, 0])


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"candidate": "nobody"}, "has no backend 'nobody'"),
        ({"candidate": "origin"}, "name another backend as the candidate"),
        ({"incumbent": "nobody"}, "has no backend 'nobody'"),
    ],
)
def test_a_rollout_needs_two_backends_of_the_route(plan: dict[str, str], words: str) -> None:
    with pytest.raises(RouteError, match=words):
        rollout_moves.start(SPEC, RolloutPlan(steps=STEPS, **plan), rollout_id="r", now=NOW)
    alone = SPEC.model_copy(update={"backends": SPEC.backends[:1]})
    with pytest.raises(RouteError, match="there are: none"):
        rollout_moves.start(alone, RolloutPlan(steps=STEPS), rollout_id="r", now=NOW)


@pytest.mark.parametrize(("action", "status"), product(["pause", "resume", "approve", "abort", "promote"], Status))
def test_what_may_be_asked_when(action: str, status: Status) -> None:
    before = rollout(status=status)
    at = shape(SPEC, before)
    may = {
        "pause": {Status.RUNNING},
        "resume": {Status.PAUSED},
        "approve": {Status.RUNNING, Status.PAUSED},
        "abort": {Status.RUNNING, Status.PAUSED},
        "promote": {Status.RUNNING, Status.PAUSED},
    }[action]

    def ask() -> Rollout:
        if action == "pause":
            return rollout_moves.pause(before, "why")
        if action == "resume":
            return rollout_moves.resume(before, at, 3, "why")[0]
        if action == "approve":
            return rollout_moves.approve(before, "why")
        edit = rollout_moves.abort if action == "abort" else rollout_moves.promote
        return edit(before, at, 3, "why", NOW)[0]

    if status not in may:
        with pytest.raises(RouteError):
            ask()
        return
    after = ask()
    expected = {"pause": Status.PAUSED, "resume": Status.RUNNING, "approve": status, "abort": Status.ABORTED}
    assert after.status is expected.get(action, Status.DONE)
    assert after.position == {"abort": 0, "promote": len(STEPS) - 1}.get(action, 1)
    assert (after.approved == 2) == (action == "approve")


def test_resuming_puts_the_route_back_where_somebody_took_it_off() -> None:
    paused = rollout(status=Status.PAUSED)
    assert rollout_moves.resume(paused, shape(SPEC, paused), 3, "why")[1] is None
    after, spec = rollout_moves.resume(paused, SPEC, 9, "why")
    assert (after.revision, spec) == (9, shape(SPEC, paused))


def test_the_ends_of_a_rollout_are_one_backend_alone() -> None:
    _, back = rollout_moves.abort(rollout(2), shape(SPEC, rollout(2)), 3, "no", NOW)
    _, taken = rollout_moves.promote(rollout(2), shape(SPEC, rollout(2)), 3, "yes", NOW)
    assert [one.weight for one in back.backends] == [100, 0]
    assert [one.weight for one in taken.backends] == [0, 100]
    assert back.shadow is taken.shadow is None


def test_only_a_step_that_waits_for_a_person_is_approved() -> None:
    assert STEPS[3].stage is Stage.SPLIT
    with pytest.raises(RouteError, match="waits for no person"):
        rollout_moves.approve(rollout(2), "why")


def test_without_a_rollout_the_other_backend_is_promoted() -> None:
    assert [one.weight for one in rollout_moves.promoted(SPEC, None).backends] == [0, 100]
    with pytest.raises(RouteError, match="no backend"):
        rollout_moves.promoted(SPEC, "nobody")
