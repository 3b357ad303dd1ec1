"""A rollout's ladder: what follows what, under every verdict, and how it is read back from the route."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import RouteSpec
from router.gates import Check, Decision, Gate, Verdict
from router.rollout import Rollout, Stage, Status, ladder, next_step, position_of, shape

SPEC = RouteSpec.model_validate(
    {
        "name": "churn",
        "hosts": ["churn.localhost"],
        "backends": [
            {"name": "origin", "url": "http://127.0.0.1:5000", "weight": 100},
            {"name": "replacement", "url": "http://127.0.0.1:5001"},
            {"name": "bystander", "url": "http://127.0.0.1:5002"},
        ],
    }
)
STEPS = ladder(Gate())


def rollout(**changes: Any) -> Rollout:
    fields = {"route": "churn", "incumbent": "origin", "candidate": "replacement", "steps": STEPS}
    return Rollout.model_validate(fields | changes)


def verdict(decision: Decision) -> Verdict:
    return Verdict(decision, (Check("agreement", decision, "the numbers"),))


def test_the_ladder_moves_no_live_request_without_a_gate() -> None:
    assert [step.words for step in STEPS] == [
        "front", "shadow 1%", "shadow 10%", "shadow 50%", "split 5%", "split 25%", "split 50%", "split 100%", "done",
    ]  # fmt: skip
    assert all(step.gate for step in STEPS if step.stage is Stage.SPLIT)


@pytest.mark.parametrize(
    "percents",
    [
        {"shadow": ()},
        {"shadow": (10, 5)},
        {"shadow": (0, 5)},
        {"split": (5, 50)},
        {"split": ()},
        {"split": (5, 5, 100)},
        {"split": (50, 200)},
    ],
)
def test_a_ladder_that_does_not_climb_is_refused(percents: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"rollout|steps"):
        ladder(Gate(), **percents)


@pytest.mark.parametrize(("position", "status", "decision"), product(range(len(STEPS)), Status, Decision))
def test_what_follows(position: int, status: Status, decision: Decision) -> None:
    before = rollout(position=position, status=status)
    after, moved = next_step(before, verdict(decision))
    if status is not Status.RUNNING or position == len(STEPS) - 1:
        assert (after, moved) == (before, False)
    elif decision is Decision.ROLL_BACK:
        assert (after.position, after.status, moved) == (0, Status.ROLLED_BACK, position > 0)
        assert "the numbers" in after.why
    elif decision is Decision.HOLD and STEPS[position + 1].gate:
        assert (after.position, after.status, moved) == (position, Status.RUNNING, False)
    else:
        ended = STEPS[position + 1].stage is Stage.DONE
        assert (after.position, moved) == (position + 1, True)
        assert after.status is (Status.DONE if ended else Status.RUNNING)


def test_the_whole_climb_moves_live_requests_one_way_to_the_replacement() -> None:
    current, seen = rollout(), [shape(SPEC, rollout())]
    while current.following:
        current = next_step(current, verdict(Decision.ADVANCE)).rollout
        seen.append(shape(seen[-1], current))
    weights = [spec.backend("replacement").weight for spec in seen]
    assert weights == [0, 0, 0, 0, 5, 25, 50, 100, 100]
    assert [spec.shadow.percent if spec.shadow else None for spec in seen] == [
        None, 1, 10, 50, 50, 50, 50, None, None,
    ]  # fmt: skip
    assert current.status is Status.DONE


@given(st.integers(0, len(STEPS) - 1), st.integers(0, len(STEPS) - 1))
def test_the_position_is_read_back_from_the_route_whatever_it_was_before(before: int, position: int) -> None:
    spec = shape(shape(SPEC, rollout(position=before)), rollout(position=position))
    # The last split and the end are one state of the route: nothing is left to do between them.
    expected = len(STEPS) - 1 if STEPS[position].percent == 100 else position
    assert position_of(spec, rollout()) == expected


def test_a_route_that_somebody_else_moved_is_nowhere_on_the_ladder() -> None:
    origin, replacement, bystander = shape(SPEC, rollout()).backends
    other = (
        origin.model_copy(update={"weight": 93}),
        replacement.model_copy(update={"weight": 7}),
        bystander,
    )
    assert position_of(SPEC.model_copy(update={"backends": other}), rollout()) is None


def test_the_shadows_own_limits_are_kept() -> None:
    shadowed = shape(SPEC, rollout(position=1))
    assert shadowed.shadow is not None
    limited = shadowed.model_copy(update={"shadow": shadowed.shadow.model_copy(update={"max_body_bytes": 77})})
    after = shape(limited, rollout(position=2)).shadow
    assert after is not None
    assert (after.percent, after.max_body_bytes) == (10, 77)


def test_a_route_without_the_candidate_cannot_be_shaped() -> None:
    with pytest.raises(KeyError):
        shape(SPEC, rollout(candidate="nobody"))
