"""Manners that go from one process to another, and on with another way of probing."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from scanner.manners import Manners

FATES = st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1)), max_size=40)
STEP = 0.25
"""Seconds between two words about what became of probes."""


@given(FATES, FATES)
def test_what_was_learnt_of_a_link_holds_in_another_process(
    before: list[tuple[int, float]], after: list[tuple[int, float]]
) -> None:
    here = Manners.at(10_000, per_host=50, per_subnet=500)
    _watch(here, before, 0)
    there = pickle.loads(pickle.dumps(here))
    assert there.pacer.rate == here.pacer.rate
    for one in (here, there):
        _watch(one, after, len(before))
    assert there.pacer.rate == here.pacer.rate
    assert there.back_off == here.back_off
    assert (there.meter.loss, there.meter.recent) == (here.meter.loss, here.meter.recent)


def _watch(manners: Manners, fates: list[tuple[int, float]], first: int) -> None:
    for number, (asked, share) in enumerate(fates, first):
        manners.watch(asked, int(asked * share), number * STEP, manners.pacer.rate)
