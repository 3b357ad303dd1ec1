from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.pacing import TOLERANCE, Pacer


def send(rate: float, seconds: float, late: list[float], most: int = 64) -> list[float]:
    """The moments at which a sender that wakes up late sends, by a clock that is only a number."""
    pacer, now, sent, wakes = Pacer(rate), 0.0, [], 0
    while now < seconds:
        sent += [now] * pacer.permits(now, most)
        now += max(pacer.delay(now), 1e-6) + late[wakes % len(late)]
        wakes += 1
    return sent


def busiest_window(sent: list[float], width: float) -> int:
    return max(index - bisect_left(sent, moment - width + 1e-9) + 1 for index, moment in enumerate(sent))


rates = st.sampled_from([1, 7, 100, 1_000, 10_000])


@given(rates, st.lists(st.floats(0, TOLERANCE * 0.9), min_size=1, max_size=20))
def test_a_limit_is_held_to_one_percent_by_a_sender_that_wakes_a_little_late(rate: int, late: list[float]) -> None:
    seconds = max(1.0, 500 / rate)
    sent = send(rate, seconds, late, most=2000)
    assert len(sent) == pytest.approx(rate * seconds, rel=0.01, abs=2)


@given(rates, st.lists(st.floats(0, 0.5), min_size=1, max_size=20))
def test_no_delay_is_paid_back_in_a_burst(rate: int, late: list[float]) -> None:
    sent = send(rate, max(1.0, 200 / rate), late, most=2000)
    assert busiest_window(sent, 0.1) <= -(-rate * (0.1 + TOLERANCE) // 1) + 1e-9
    assert len(sent) <= rate * (sent[-1] + TOLERANCE) + 1.001


@pytest.mark.parametrize("rate", [100, 1_000, 10_000, 100_000])
def test_no_tenth_of_a_second_holds_more_than_a_tenth_too_many(rate: int) -> None:
    late = [0.0, 0.003, 0.3, 0.0, 0.009, 0.0]
    assert busiest_window(send(rate, 2.0, late, most=5000), 0.1) <= rate * 0.1 * 1.1


def test_what_was_not_sent_is_given_back() -> None:
    pacer = Pacer(100)
    assert pacer.permits(10.0, 1) == 1
    assert pacer.permits(10.0, 1) == 0
    pacer.give_back(1)
    assert pacer.permits(10.0, 1) == 1
    assert pacer.delay(10.0) == pytest.approx(0.01, abs=TOLERANCE)
    assert pacer.permits(99.0, 0) == 0


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pacer(0)
