import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.model import Loss
from scanner.loss import ACCEPTED, ENOUGH, MOST_ATTEMPTS, TOLERATED, BackOff, Doubt, LossMeter
from scanner.manners import Manners


@pytest.mark.parametrize(
    ("asked", "unanswered", "lively", "attempts"),
    [
        (0, 0, False, 2),
        (10, 0, False, 2),
        (ENOUGH, 0, False, 1),
        (ENOUGH, 0, True, 2),
        (ENOUGH, 1, False, 2),
        (ENOUGH, 200, False, 3),
        (ENOUGH, 200, True, 3),
        (ENOUGH, 800, True, 5),
        (ENOUGH, 2000, True, 11),
        (1, 1, True, MOST_ATTEMPTS),
    ],
)
def test_silence_is_asked_again_as_often_as_the_loss_demands(asked, unanswered, lively, attempts):
    recent, doubt = Loss(asked=asked, unanswered=unanswered), Doubt()
    doubt.silence(recent)
    while doubt.remains(lively=lively):
        doubt.silence(recent)
    assert doubt.attempts == attempts


@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 6000)), min_size=MOST_ATTEMPTS), st.booleans())
def test_a_door_is_given_up_when_it_is_hardly_missed(moments, lively):
    doubt, proved = Doubt(), 1.0
    for answered, unanswered in moments:
        recent = Loss(asked=answered + unanswered, unanswered=unanswered)
        doubt.silence(recent)
        proved *= recent.bounds[1]
        if not doubt.remains(lively=lively):
            break
    assert doubt.risk == pytest.approx(proved)
    seen_all_along = all(unanswered for _, unanswered in moments)
    if doubt.attempts < MOST_ATTEMPTS and seen_all_along:
        assert doubt.risk <= ACCEPTED * (1 + 1e-6)


def test_probes_that_went_while_everything_got_lost_do_not_count_for_much():
    doubt = Doubt()
    for _ in range(4):
        doubt.silence(Loss(asked=1000, unanswered=900))
    assert doubt.remains(lively=False)
    doubt.silence(Loss(asked=ENOUGH, unanswered=0))
    assert not doubt.remains(lively=False)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 300)), max_size=60))
def test_the_meter_keeps_everything_and_looks_at_the_latest(records):
    meter = LossMeter(Loss(asked=7, unanswered=3))
    for answered, unanswered in records:
        meter.record(answered + unanswered, unanswered)
    assert meter.loss.asked == 7 + sum(a + u for a, u in records)
    assert meter.loss.unanswered == 3 + sum(u for _, u in records)
    if meter.loss.asked - 7 >= ENOUGH:
        assert ENOUGH <= meter.recent.asked < ENOUGH + 1200
    meter.silence(5, 0.5)
    meter.silence(1, 0.25)
    assert (meter.loss.silent, meter.loss.risk) == (6, 2.75)


def test_what_is_known_late_is_counted_nevertheless():
    meter = LossMeter()
    meter.record(10, 0)
    meter.record(0, 4)
    assert (meter.loss.asked, meter.loss.unanswered) == (10, 4)


def simulate(back_off, loss_at, seconds, chance):
    """A sender at the rate that it is told, watched at one probe in eight: the rate second by second."""
    now, rates = 0.0, []
    while now < seconds:
        now += 0.25
        asked = max(20, round(back_off.rate / 32))
        back_off.heed(asked, int(chance.binomial(asked, loss_at(back_off.rate))), now, back_off.rate)
        rates.append(back_off.rate)
    return rates


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_link_that_drops_what_is_too_fast_is_sent_what_it_carries(seed):
    carries = 12_000
    back_off = BackOff(100_000)
    rates = simulate(back_off, lambda rate: max(0.0, 1 - carries / rate), 60, np.random.default_rng(seed))
    later = rates[len(rates) // 2 :]
    assert max(later) <= 2 * carries
    assert sum(later) / len(later) >= carries / 3
    assert back_off.slowest < carries


@given(st.floats(0.05, 0.6), st.integers(0, 2**32))
@settings(max_examples=20)
def test_a_loss_that_slowing_down_does_not_cure_slows_nothing_for_long(share, seed):
    back_off = BackOff(10_000)
    rates = simulate(back_off, lambda _: share, 60, np.random.default_rng(seed))
    assert sum(rates) / len(rates) >= 0.8 * 10_000
    assert rates[-1] >= 5_000


def test_a_loss_that_is_tolerated_slows_nothing():
    rates = simulate(BackOff(10_000), lambda _: TOLERATED / 2, 30, np.random.default_rng(1))
    assert set(rates) == {10_000}


def test_a_rate_never_exceeds_its_limit_nor_stops():
    back_off = BackOff(30)
    rates = simulate(back_off, lambda rate: 0.9 if rate > 1 else 0.0, 60, np.random.default_rng(2))
    assert 0 < min(rates) <= max(rates) == 30
    with_rate = Manners.at(1000)
    with_rate.watch(100, 10, 1.0, 1000)
    assert with_rate.pacer.rate == 1000
    assert with_rate.meter.loss.unanswered == 10
