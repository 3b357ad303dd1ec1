import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from inventory.model import Loss

counts = st.integers(0, 5000)


@given(counts, counts)
def test_the_bounds_hold_the_share_and_narrow_with_more_probes(unanswered: int, answered: int) -> None:
    loss = Loss(asked=unanswered + answered, unanswered=unanswered)
    low, high = loss.bounds
    if loss.rate is None:
        assert (low, high) == (0.0, 1.0)
        return
    assert 0 <= low <= loss.rate + 1e-12
    assert loss.rate <= high + 1e-12 <= 1 + 1e-9
    more = Loss(asked=4 * loss.asked, unanswered=4 * unanswered).bounds
    assert more[1] - more[0] <= high - low + 1e-12


@pytest.mark.parametrize(("asked", "unanswered", "share"), [(400, 20, 0.05), (4000, 0, 0.0), (100, 50, 0.5)])
def test_the_bounds_hold_the_true_share_nineteen_times_in_twenty(asked: int, unanswered: int, share: float) -> None:
    # The chance that a share of ``high`` gives no more than what was seen: an exact sum of the binomial.
    high = Loss(asked=asked, unanswered=unanswered).bounds[1]
    tail = sum(math.comb(asked, k) * high**k * (1 - high) ** (asked - k) for k in range(unanswered + 1))
    assert 0.01 < tail < 0.05
    assert high > share


def test_what_is_missed_is_the_mean_over_the_silent_doors() -> None:
    assert Loss(asked=10, silent=4, risk=0.5).missed == 0.125
    assert Loss(asked=10).missed == 0.0
    assert Loss(silent=9, risk=9).missed is None


@given(st.lists(st.tuples(counts, counts, counts, st.integers(0, 64)), min_size=1, max_size=4))
def test_parts_add_up_in_any_order(parts: list[tuple[int, int, int, int]]) -> None:
    losses = [Loss(asked=a + u, unanswered=u, silent=silent, risk=risk / 64) for u, a, silent, risk in parts]
    forth, back = losses[0], losses[-1]
    for one in losses[1:]:
        forth += one
    for one in losses[-2::-1]:
        back += one
    assert forth == back
    assert forth.asked == sum(one.asked for one in losses)
    assert forth.silent == sum(one.silent for one in losses)


def test_more_unanswered_than_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="no more probes"):
        Loss(asked=1, unanswered=2)


@pytest.mark.parametrize("stored", ['{"asked":1,"unanswered":2}', '{"asked":-1}', '{"risk":-0.5}', '{"found":1}'])
def test_what_cannot_be_is_refused_where_it_is_read(stored: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Loss).validate_json(stored)
