import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shadow.sketch import ACCURACY, MAX_BUCKETS, LatencySketch


def of(values: list[int]) -> LatencySketch:
    sketch = LatencySketch()
    for value in values:
        sketch.add(value)
    return sketch


DURATIONS = st.lists(st.integers(1, 10**7), min_size=1, max_size=200)


@given(DURATIONS, st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_a_quantile_is_within_the_accuracy(values: list[int], level: float) -> None:
    exact = sorted(values)[math.floor(level * (len(values) - 1))] / 1000
    found = of(values).quantile(level)
    assert found == pytest.approx(exact, rel=ACCURACY * 1.01)


@given(DURATIONS, DURATIONS)
def test_merging_is_counting_both(one: list[int], other: list[int]) -> None:
    merged = of(one)
    merged.merge(of(other))
    assert merged.buckets == of(one + other).buckets
    assert merged.count == len(one) + len(other)


def test_its_size_is_bounded_and_the_tail_keeps_its_accuracy() -> None:
    values = [int(1.021**step) + 1 for step in range(900)]
    sketch = of(values)
    assert len(sketch.buckets) <= MAX_BUCKETS
    assert sketch.count == 900
    assert sketch.quantile(0.99) == pytest.approx(sorted(values)[890] / 1000, rel=0.02)


def test_nothing_counted_has_no_quantile_and_no_bounds() -> None:
    assert LatencySketch().quantile(0.5) is None
    assert LatencySketch().quantile_bounds(0.5, 0.05) == (0.0, math.inf)


def test_zero_counts_as_the_least() -> None:
    assert of([0]).quantile(0.5) == 0.001


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_bounds_hold_the_true_quantile_at_every_look(level: float) -> None:
    chance, missed, rounds = random.Random(3), 0, 40
    true = -math.log(1 - level) * 10
    for _ in range(rounds):
        sketch = LatencySketch()
        for at in range(1, 301):
            sketch.add(int(chance.expovariate(1) * 10_000))
            if at % 50 == 0:
                low, high = sketch.quantile_bounds(level, 0.05)
                if not low <= true <= high:
                    missed += 1
                    break
        assert high < math.inf
        assert low > 0
    # 10% of 40 is 4; 9 is three standard deviations above.
    assert missed <= 9
