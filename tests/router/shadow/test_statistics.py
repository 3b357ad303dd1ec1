"""The bounds against numerical integration, against each other, and against chance itself."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shadow.statistics import log_e_value, lower_bound, more_needed, rejects_at_most, upper_bound

COUNTS = st.integers(0, 3000)


def integrated(successes: int, failures: int, rate: float) -> float:
    """The mixture by the midpoint rule, in the angle that makes Beta(1/2, 1/2) uniform."""
    steps = 40_000
    start = math.asin(math.sqrt(rate))
    width = (math.pi / 2 - start) / steps
    total = 0.0
    for step in range(steps):
        q = math.sin(start + (step + 0.5) * width) ** 2
        total += math.exp(successes * (math.log(q) - math.log(rate)) + failures * (math.log1p(-q) - math.log1p(-rate)))
    return math.log(total / steps)


@pytest.mark.parametrize(
    ("successes", "failures", "rate"),
    [(0, 0, 0.5), (10, 0, 0.9), (297, 3, 0.985), (5, 95, 0.02), (50, 50, 0.5), (0, 20, 0.3), (990, 10, 0.999)],
)
def test_the_evidence_is_the_integral_that_it_stands_for(successes: int, failures: int, rate: float) -> None:
    expected = integrated(successes, failures, rate)
    assert log_e_value(successes, failures, rate) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seen", [(0, 0), (7, 3), (400, 2)])
def test_one_more_observation_changes_nothing_on_average(seen: tuple[int, int], rate: float) -> None:
    """The martingale property itself: under the boundary rate the expected evidence stays as it is."""
    successes, failures = seen
    now = log_e_value(successes, failures, rate)
    up = math.exp(log_e_value(successes + 1, failures, rate) - now)
    down = math.exp(log_e_value(successes, failures + 1, rate) - now)
    assert rate * up + (1 - rate) * down == pytest.approx(1, rel=1e-8)
    lower = rate * 0.9
    assert lower * up + (1 - lower) * down <= 1


@given(COUNTS, COUNTS, st.floats(0.01, 0.3))
def test_the_bounds_enclose_the_share_and_mirror_each_other(successes: int, failures: int, alpha: float) -> None:
    low, high = lower_bound(successes, failures, alpha), upper_bound(successes, failures, alpha)
    assert 0 <= low <= high <= 1
    if successes + failures:
        assert low <= successes / (successes + failures) <= high
    assert high == 1 - lower_bound(failures, successes, alpha)


@given(st.integers(1, 2000), st.integers(0, 200), st.floats(0.5, 0.995))
def test_the_bound_and_the_test_say_the_same(successes: int, failures: int, rate: float) -> None:
    low = lower_bound(successes, failures, 0.05)
    if abs(low - rate) > 1e-6:
        assert rejects_at_most(successes, failures, rate, 0.05) is (low > rate)


@given(st.integers(1, 10**7), st.integers(0, 10**7), st.sampled_from([0.3, 0.05, 0.005, 1e-6, 1e-12]))
def test_a_bound_is_where_the_evidence_is_just_enough(successes: int, failures: int, alpha: float) -> None:
    low, needed = lower_bound(successes, failures, alpha), math.log(1 / alpha)
    share = min(successes / (successes + failures), 1 - 1e-12)
    if low > 1e-12:
        assert log_e_value(successes, failures, low) >= needed
    assert log_e_value(successes, failures, min(low + 2e-12, share)) < needed


@given(st.integers(0, 500), st.integers(0, 50), st.floats(0.5, 0.99))
def test_what_is_needed_is_enough_and_not_too_much(successes: int, failures: int, rate: float) -> None:
    more = more_needed(successes, failures, rate, 0.05)
    assert more is not None
    assert rejects_at_most(successes + more, failures, rate, 0.05)
    assert more == 0 or not rejects_at_most(successes + more - 1, failures, rate, 0.05)


def test_rates_at_the_ends() -> None:
    assert not rejects_at_most(1000, 0, 1.0, 0.05)
    assert rejects_at_most(1, 1000, 0.0, 0.05)
    assert not rejects_at_most(0, 1000, 0.0, 0.05)
    assert more_needed(5, 0, 1.0, 0.05) is None
    assert lower_bound(0, 10) == 0.0


def test_millions_are_no_trouble() -> None:
    low, high = lower_bound(9_950_000, 50_000), upper_bound(9_950_000, 50_000)
    assert 0.9948 < low < 0.995 < high < 0.9952


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.985])
def test_looking_after_every_observation_errs_no_more_than_allowed(rate: float) -> None:
    chance, wrong, rounds = random.Random(11), 0, 120
    for _ in range(rounds):
        successes = failures = 0
        for _ in range(300):
            if chance.random() < rate:
                successes += 1
            else:
                failures += 1
            if failures == 0 and rate > 0.9 and successes < 100:
                continue
            if rejects_at_most(successes, failures, rate, 0.05):
                wrong += 1
                break
    # 5% of 120 is 6; 13 is three standard deviations above.
    assert wrong <= 13
