"""A rollout's ladder, and what follows from what is seen of it, under everything that can be seen."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.model import (
    Gate,
    Live,
    MaintenanceWindow,
    Revision,
    Rollout,
    RouteSpec,
    ShadowEvidence,
    Stage,
    Status,
    Watch,
)
from router.rollout import Sight, Turn, is_at, ladder, shape, steer
from router.shadow.sketch import LatencySketch

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
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
LAST = len(STEPS) - 1
SPLIT_5 = next(at for at, step in enumerate(STEPS) if step.words == "split 5%")


def rollout(**changes: Any) -> Rollout:
    fields = {
        "id": "r1", "route": "churn", "incumbent": "origin", "candidate": "replacement", "steps": STEPS,
        "revision": 7, "version": 1, "since": NOW - timedelta(hours=1),
    }  # fmt: skip
    return Rollout.model_validate(fields | changes)


def evidence(agreed: int, differed: int = 0, **changes: Any) -> ShadowEvidence:
    pairs = agreed + differed
    sketch = LatencySketch()
    sketch.add(20_000)
    latency = dict.fromkeys(sketch.buckets, pairs)
    fields = {
        "route": "churn", "primary": "origin", "shadow": "replacement", "updated_at": NOW, "pairs": pairs,
        "agreed": agreed, "primary_latency": latency, "shadow_latency": latency, "basis": "b",
    }  # fmt: skip
    return ShadowEvidence.model_validate(fields | changes)


def sight(of: Rollout, **changes: Any) -> Sight:
    spec = changes.pop("spec", shape(SPEC, of))
    fields: dict[str, Any] = {
        "revision": Revision(route="churn", number=of.revision, spec=spec, at=NOW, who="ana", why="because"),
        "served": of.revision, "refused": None, "pairs": None, "own": None,
        "incumbent": Live(), "candidate": Live(), "now": NOW,
    }  # fmt: skip
    return Sight(**(fields | changes))


GOOD, BAD, FEW = evidence(1000), evidence(500, 500), evidence(3)


def look(of: Rollout, seen: ShadowEvidence | None, watch: Watch | None = None, **changes: Any) -> Turn:
    """One look where all that is seen came since the step began."""
    watch = watch or Watch(rollout=of.id, position=of.position, since=NOW)
    live = Live(requests=1000) if of.step.stage is Stage.SPLIT else Live()
    return steer(of, watch, sight(of, pairs=seen, **({"candidate": live} | changes)))


def test_the_ladder_moves_no_live_request_without_a_proof() -> None:
    assert [step.words for step in STEPS] == [
        "front", "shadow 1%", "shadow 10%", "shadow 50%", "split 5%", "split 25%", "split 50%", "split 100%", "done",
    ]  # fmt: skip
    assert all(step.gate and step.gate.prove for step in STEPS if step.stage in {Stage.SPLIT, Stage.DONE})


@pytest.mark.parametrize(
    "percents",
    [
        {"shadow": ()},
        {"shadow": (10, 5)},
        {"shadow": (0, 5)},
        {"split": (5, 50)},
        {"split": ()},
        {"split": (5, 5, 100)},
    ],
)
def test_a_ladder_that_does_not_climb_is_refused(percents: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"rollout|steps|split"):
        ladder(Gate(), **percents)


@pytest.mark.parametrize(
    ("position", "status", "seen"), product(range(len(STEPS)), Status, ["good", "bad", "few", "none"])
)
def test_what_follows(position: int, status: Status, seen: str) -> None:
    before = rollout(position=position, status=status)
    pairs = {"good": GOOD, "bad": BAD, "few": FEW, "none": None}[seen]
    failures = {"good": 0, "bad": 500, "few": 0, "none": 0}[seen]
    requests = {"good": 1000, "bad": 1000, "few": 3, "none": 0}[seen]
    turn = look(before, pairs, candidate=Live(requests=requests, failures=failures))
    if not before.active:
        assert turn == Turn()
    elif seen == "bad" and position > 0:
        assert turn.after is not None
        assert (turn.after.position, turn.after.status) == (0, Status.ROLLED_BACK)
        assert turn.spec == shape(SPEC, rollout())
        assert before.step.words in turn.after.why
    elif status is Status.RUNNING and position < LAST and (seen == "good" or STEPS[position + 1].gate is None):
        assert turn.after is not None
        assert turn.after.position == position + 1
        assert turn.spec == shape(SPEC, turn.after)
        assert turn.after.status is (Status.DONE if position + 1 == LAST else Status.RUNNING)
    else:
        assert turn.after is None
        assert turn.watch is not None
        assert turn.watch.verdict


def test_a_split_asks_for_pairs_and_for_live_answers() -> None:
    at = rollout(position=SPLIT_5)
    assert look(at, GOOD, candidate=Live(requests=1000)).after is not None
    assert look(at, None, candidate=Live(requests=1000)).after is None
    assert look(at, GOOD, candidate=Live()).after is None


def test_failures_that_both_have_excuse_the_candidate_and_its_own_do_not() -> None:
    at = rollout(position=SPLIT_5)
    failing = {"candidate": Live(requests=1000, failures=200)}
    shared = look(at, GOOD, **failing, incumbent=Live(requests=19_000, failures=3900))
    alone = look(at, GOOD, **failing, incumbent=Live(requests=19_000, failures=19))
    assert shared.after is None or shared.after.status is Status.RUNNING
    assert alone.after is not None
    assert alone.after.status is Status.ROLLED_BACK
    assert "200 of 1000 live answers of the candidate failed" in alone.after.why


def test_a_candidate_with_all_requests_is_measured_by_how_the_incumbent_was() -> None:
    at = rollout(position=LAST - 1, usual=Live(requests=5000, failures=500))
    failing = {"candidate": Live(requests=2000, failures=200)}
    assert look(at, None, **failing).after is None
    without = look(at.model_copy(update={"usual": Live()}), None, **failing).after
    assert without is not None
    assert without.status is Status.ROLLED_BACK


def test_a_slow_live_candidate_is_taken_back_though_its_copies_were_fast() -> None:
    slow = LatencySketch()
    for _ in range(500):
        slow.add(400_000)
    own = evidence(500, primary="replacement", primary_latency=slow.buckets)
    turn = look(rollout(position=SPLIT_5), GOOD, own=own)
    assert turn.after is not None
    assert turn.after.status is Status.ROLLED_BACK
    assert "the candidate's live p50 is" in turn.after.why


def test_the_whole_climb_moves_live_requests_one_way_to_the_replacement() -> None:
    current, seen, spec = rollout(), [SPEC], SPEC
    while current.active:
        turn = look(current, GOOD)
        assert turn.after is not None
        assert turn.spec is not None
        current, spec = turn.after.model_copy(update={"revision": current.revision}), turn.spec
        seen.append(spec)
    assert [one.backend("replacement").weight for one in seen] == [0, 0, 0, 0, 5, 25, 50, 100, 100]
    assert [one.shadow.percent if one.shadow else None for one in seen] == [
        None, 1, 10, 50, 50, 50, 50, None, None,
    ]  # fmt: skip
    assert current.status is Status.DONE


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"windows": (MaintenanceWindow(cron="0 11 * * *", minutes=61),)}, ""),
        ({"windows": (MaintenanceWindow(cron="0 11 * * *", minutes=60),)}, "its window is closed"),
        ({"starts_at": NOW + timedelta(minutes=1)}, "it starts at 2026-05-04 12:01 UTC"),
        ({"starts_at": NOW}, ""),
        ({"since": NOW - timedelta(seconds=200)}, "lasts 100 s more"),
        ({"status": Status.PAUSED}, "paused"),
        ({"approved": SPLIT_5}, "split 25% waits for a person"),
        ({"approved": SPLIT_5 + 1}, ""),
    ],
)
def test_what_holds_a_step_that_has_passed_holds_no_rollback(changes: dict[str, Any], words: str) -> None:
    steps = list(STEPS)
    steps[SPLIT_5 + 1] = steps[SPLIT_5 + 1].model_copy(update={"after_seconds": 300.0, "approval": True})
    at = rollout(position=SPLIT_5, steps=tuple(steps), **({"approved": SPLIT_5 + 1} | changes))
    turn = look(at, GOOD)
    if words:
        assert turn.after is None
        assert turn.watch is not None
        assert words in turn.watch.verdict
    else:
        assert turn.after is not None
        assert turn.after.approved is None
    back = look(at, BAD).after
    assert back is not None
    assert back.status is Status.ROLLED_BACK


def climb(pairs: list[tuple[int, int]], gate: Gate) -> tuple[int, int] | None:
    """Looks at evidence that grows by (agreed, differed); after which of them the rollout goes back, and its pairs."""
    steps = list(ladder(gate))
    # A person has yet to approve, so that the step lasts.
    steps[SPLIT_5] = steps[SPLIT_5].model_copy(update={"approval": True})
    at, watch, agreed, differed = rollout(position=SPLIT_5 - 1, steps=tuple(steps)), None, 0, 0
    watch = steer(at, None, sight(at, pairs=evidence(0))).watch
    for number, (good, bad) in enumerate(pairs):
        agreed, differed = agreed + good, differed + bad
        turn = steer(at, watch, sight(at, pairs=evidence(agreed, differed)))
        if turn.after is not None:
            assert turn.after.status is Status.ROLLED_BACK
            return number, differed
        watch = turn.watch
    return None


def test_a_break_that_comes_late_is_not_diluted_by_the_good_past() -> None:
    good = [(500, 0)] * 40
    breaking = [(90, 10)] * 40
    found = climb(good + breaking, Gate())
    assert found is not None
    assert found[0] - 40 < 8
    late = climb(good + breaking, Gate(window_pairs=10_000_000))
    assert late is not None
    assert late[0] - 40 > 20


def test_a_good_candidate_is_watched_for_long_without_being_taken_back() -> None:
    assert climb([(398, 2)] * 100, Gate()) is None


def test_a_step_counts_only_what_came_since_it_began() -> None:
    at = rollout(position=SPLIT_5 - 1)
    begun = steer(at, None, sight(at, pairs=BAD))
    assert begun.after is None
    watch = begun.watch
    assert watch is not None
    after = steer(at, watch, sight(at, pairs=evidence(BAD.agreed + 1000, 500))).after
    assert after is not None
    assert after.position == SPLIT_5


def test_counting_that_began_anew_counts_whole() -> None:
    at = rollout(position=SPLIT_5 - 1)
    watch = steer(at, None, sight(at, pairs=GOOD)).watch
    after = steer(at, watch, sight(at, pairs=evidence(800, basis="other rules"))).after
    assert after is not None
    assert after.position == SPLIT_5


def test_a_route_that_somebody_else_moved_pauses_the_rollout_and_says_so() -> None:
    at = rollout(position=SPLIT_5)
    moved = Revision(route="churn", number=8, spec=SPEC, at=NOW, who="bo", why="panic")
    turn = look(at, GOOD, revision=moved)
    assert turn.after is not None
    assert (turn.after.status, turn.after.position, turn.spec) == (Status.PAUSED, SPLIT_5, None)
    assert "revision 8 by bo" in turn.after.why
    assert look(turn.after, GOOD, revision=moved) == Turn()


def test_an_edit_that_leaves_the_step_as_it_is_goes_with_the_rollout() -> None:
    at = rollout(position=SPLIT_5)
    edited = shape(SPEC, at).model_copy(update={"timeout_seconds": 5.0})
    revision = Revision(route="churn", number=8, spec=edited, at=NOW, who="bo", why="less patience")
    turn = look(at, GOOD, revision=revision)
    assert turn.after is not None
    assert (turn.after.status, turn.after.revision, turn.spec) == (Status.RUNNING, 8, None)


def test_a_refused_step_pauses_and_a_removed_route_ends() -> None:
    at = rollout(position=2)
    refused = look(at, GOOD, refused="no such field").after
    assert refused is not None
    assert (refused.status, "no such field" in refused.why) == (Status.PAUSED, True)
    gone = Revision(route="churn", number=8, spec=None, at=NOW, who="bo", why="off")
    ended = look(at, GOOD, revision=gone).after
    assert ended is not None
    assert ended.status is Status.ABORTED


def test_nothing_is_watched_before_the_gateway_has_the_step() -> None:
    assert look(rollout(position=2), BAD, served=6) == Turn()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), st.sampled_from(["live", "lost", "stale"]))))
def test_kills_at_any_moment_never_skip_a_step_nor_repeat_one(looks: list[tuple[int, int, str]]) -> None:
    """Between two looks the process may die: with the watch of this step lost, or with one of an earlier step left."""
    current, watch, spec = rollout(), None, SPEC
    kept: Watch | None = None
    agreed = differed = 0
    seen = [0]
    for good, bad, happens in looks:
        agreed, differed = agreed + good, differed + bad
        watch = {"live": watch, "lost": None, "stale": kept}[happens]
        live = Live(requests=good) if current.step.stage is Stage.SPLIT else Live()
        turn = steer(current, watch, sight(current, spec=spec, pairs=evidence(agreed, differed), candidate=live))
        kept, watch = watch or kept, turn.watch
        if turn.after is not None:
            assert turn.spec is not None
            assert turn.spec == shape(SPEC, turn.after)
            current, spec = turn.after, turn.spec
            seen.append(current.position)
        assert is_at(spec, current)
    jumps = [(one, other) for one, other in pairwise(seen) if other != one + 1]
    assert jumps in ([], [(seen[-2], 0)] if len(seen) > 1 else [])


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
