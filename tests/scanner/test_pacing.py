from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.pacing import DEBT, STEP, WINDOW, Pacer


def send(rate: float, seconds: float, late: list[float], slow: list[float], most: int = 2000) -> list[float]:
    """The moments at which probes went: a sender wakes late and sends slowly, by a clock that is only a number."""
    pacer, now, sent, turns = Pacer(rate), 0.0, [], 0
    while now < seconds:
        if count := pacer.permits(now, most):
            now += slow[turns % len(slow)]
            sent += [now] * count
            pacer.went(count, now)
        now += max(pacer.delay(now), 1e-3) + late[turns % len(late)]
        turns += 1
    return sent


def busiest(sent: list[float]) -> int:
    """The most probes in any window, its end not included."""
    return max(bisect_left(sent, moment + WINDOW - 1e-9) - index for index, moment in enumerate(sent))


rates = st.sampled_from([100, 1_000, 10_000, 100_000])
moments = st.lists(st.floats(0, STEP / 10), min_size=1, max_size=20)
stalls = st.lists(st.floats(0, 0.5), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(rates, moments, moments)
def test_a_limit_is_held_to_one_percent_by_a_sender_that_is_a_little_late(
    rate: int, late: list[float], slow: list[float]
) -> None:
    sent = send(rate, 3.0, late, slow, most=5000)
    # Whatever is under way at the end is owed, and no more.
    assert len(sent) == pytest.approx(rate * 3.0, rel=0.01, abs=2)


@settings(deadline=None, max_examples=50)
@given(rates, stalls, stalls)
def test_no_tenth_of_a_second_holds_more_than_a_tenth_too_many_however_late_the_sender_is(
    rate: int, late: list[float], slow: list[float]
) -> None:
    sent = send(rate, 2.0, late, slow, most=5000)
    assert busiest(sent) <= rate * WINDOW * 1.1 + 1e-6
    assert len(sent) <= rate * (sent[-1] + DEBT) + 1.001


@settings(deadline=None, max_examples=50)
@given(st.sampled_from([1, 7, 15, 95]), stalls)
def test_a_low_limit_has_at_most_one_more_than_its_share(rate: int, late: list[float]) -> None:
    assert busiest(send(rate, 5.0, late, [0.0])) <= rate * WINDOW + 1


def test_a_short_delay_is_made_up_for_and_a_long_one_is_not() -> None:
    pauses = [0.0] * 10
    assert len(send(10_000, 4.0, [*pauses, 0.03, *([0.0] * 400)], [0.0005])) == pytest.approx(40_000, rel=0.01)
    assert len(send(1_000, 4.0, [3.0, *pauses], [0.0])) <= 2 * 1_000 * (DEBT + STEP)


def test_what_was_not_sent_is_given_back() -> None:
    pacer = Pacer(100)
    assert pacer.permits(10.0, 1) == 1
    pacer.went(0, 10.0, unsent=1)
    assert pacer.permits(10.0, 1) == 1
    pacer.went(1, 10.0)
    assert pacer.permits(10.0, 1) == 0
    assert pacer.delay(10.0) == pytest.approx(0.01)
    assert pacer.permits(99.0, 0) == 0


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pacer(0)
