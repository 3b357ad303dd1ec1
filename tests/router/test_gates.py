"""The verdict over a cross product of what evidence can say."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Gate, ShadowEvidence
from router.gates import Decision, decide, pairs_needed
from router.shadow.sketch import LatencySketch

NOW = datetime(2026, 5, 4, tzinfo=UTC)
GATE = Gate()
ADVANCE, HOLD, ROLL_BACK = Decision.ADVANCE, Decision.HOLD, Decision.ROLL_BACK


def latency(milliseconds: float, count: int) -> dict[int, int]:
    sketch = LatencySketch()
    for _ in range(count):
        sketch.add(int(milliseconds * 1000))
    return sketch.buckets


def evidence(pairs: int = 1000, differed: int = 0, **changes: Any) -> ShadowEvidence:
    fields = {
        "route": "churn", "primary": "origin", "shadow": "replacement", "updated_at": NOW,
        "pairs": pairs, "agreed": pairs - differed - changes.get("incomparable", 0),
        "primary_latency": latency(20, pairs), "shadow_latency": latency(20, pairs),
    }  # fmt: skip
    return ShadowEvidence.model_validate(fields | changes)


AGREEMENT = {0: ADVANCE, 10: HOLD, 100: ROLL_BACK}
ERRORS = {0: ADVANCE, 10: HOLD, 100: ROLL_BACK}
LATENCY = {20.0: ADVANCE, 34.0: ADVANCE, 35.3: HOLD, 38.0: ROLL_BACK, 400.0: ROLL_BACK}
LOST = {0: ADVANCE, 50: ADVANCE, 60: HOLD}
UNCOMPARED = {0: ADVANCE, 100: ADVANCE, 300: HOLD}


@pytest.mark.parametrize(("differed", "errors", "slow", "lost"), product(AGREEMENT, ERRORS, LATENCY, LOST))
def test_the_worst_check_decides(differed: int, errors: int, slow: float, lost: int) -> None:
    verdict = decide(
        evidence(differed=differed, new_errors=errors, shadow_latency=latency(slow, 1000), lost=lost), GATE
    )
    each = {AGREEMENT[differed], ERRORS[errors], LATENCY[slow], LOST[lost]}
    expected = next(decision for decision in (ROLL_BACK, HOLD, ADVANCE) if decision in each)
    assert verdict.decision is expected
    assert verdict.sentence.startswith(f"{expected.value}: ")


@pytest.mark.parametrize("incomparable", UNCOMPARED)
def test_pairs_that_could_not_be_compared_are_no_agreement(incomparable: int) -> None:
    verdict = decide(evidence(incomparable=incomparable), GATE)
    assert verdict.decision is UNCOMPARED[incomparable]
    nothing = decide(evidence(pairs=50, incomparable=50), GATE)
    assert nothing.decision is HOLD


@pytest.mark.parametrize("missing", [None, evidence(pairs=0)])
def test_without_evidence_it_holds(missing: ShadowEvidence | None) -> None:
    verdict = decide(missing, GATE)
    assert verdict.decision is HOLD
    assert "no pair" in verdict.sentence


def test_a_shadow_that_is_dead_from_the_start_is_rolled_back_long_before_the_minimum() -> None:
    verdicts = [decide(evidence(pairs=n, differed=n, new_errors=n), GATE).decision for n in range(1, 10)]
    assert verdicts[0] is HOLD
    assert verdicts[-1] is ROLL_BACK


def test_the_words_hold_the_numbers() -> None:
    said = decide(evidence(pairs=200, differed=1), GATE).sentence
    assert "199 of 200 pairs agree (99.50%)" in said
    assert "99.00%" in said
    needed = int(said.split(": ")[2].split(" more that agree")[0])
    enough = evidence(pairs=200 + needed, differed=1)
    short = evidence(pairs=200 + needed - 1, differed=1)
    by_name = [{check.name: check.decision for check in decide(each, GATE).checks} for each in (enough, short)]
    assert [names["agreement"] for names in by_name] == [ADVANCE, HOLD]


def test_a_slower_tail_is_only_rolled_back_where_it_is_certain() -> None:
    few = LatencySketch(latency(20, 97))
    for _ in range(3):
        few.add(900_000)
    measured = evidence(pairs=100, shadow_latency=few.buckets)
    tail = next(check for check in decide(measured, GATE).checks if check.name == "p99")
    assert tail.decision is HOLD
    many = LatencySketch(latency(20, 9000))
    for _ in range(1000):
        many.add(900_000)
    proven = evidence(pairs=10_000, shadow_latency=many.buckets, primary_latency=latency(20, 10_000))
    assert decide(proven, GATE).decision is ROLL_BACK


def test_slack_forgives_what_nobody_notices() -> None:
    fast = evidence(primary_latency=latency(0.2, 1000), shadow_latency=latency(2, 1000))
    assert decide(fast, GATE).decision is ADVANCE
    assert decide(fast, Gate(latency_slack_ms=0)).decision is ROLL_BACK


@given(st.floats(0.5, 0.995), st.floats(0.005, 0.5), st.integers(1, 300))
def test_the_pairs_that_a_gate_needs_are_just_enough(agreement: float, errors: float, minimum: int) -> None:
    gate = Gate(agreement=agreement, new_errors=errors, minimum_pairs=minimum)
    needed = pairs_needed(gate)
    assert decide(evidence(pairs=needed), gate).decision is ADVANCE
    if needed > 1:
        assert decide(evidence(pairs=needed - 1), gate).decision is HOLD


@given(st.integers(1, 2000), st.integers(0, 2000), st.integers(0, 2000))
def test_one_more_disagreement_never_helps(pairs: int, differed: int, errors: int) -> None:
    order = [ROLL_BACK, HOLD, ADVANCE]
    differed, errors = min(differed, pairs - 1), min(errors, pairs)
    better = decide(evidence(pairs=pairs, differed=differed, new_errors=errors), GATE).decision
    worse = decide(evidence(pairs=pairs, differed=differed + 1, new_errors=errors), GATE).decision
    assert order.index(worse) <= order.index(better)
