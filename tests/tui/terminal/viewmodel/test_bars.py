import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tui.viewmodel.bars import Share, apportion, bar, spark, stacked, texture
from tui.viewmodel.text import Tone, plain, width_of


@given(st.floats(0, 1), st.integers(1, 80))
def test_a_bar_fills_its_width(fraction: float, width: int) -> None:
    assert width_of(bar(fraction, width)) == width


@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(2, 80))
def test_only_zero_looks_empty_and_only_one_looks_full(fraction: float, width: int) -> None:
    drawn = plain(bar(fraction, width))
    assert drawn[0] in "━╸"
    assert drawn[-1] in "─╸"


def test_the_ends_of_a_bar() -> None:
    assert plain(bar(0, 4)) == "────"
    assert plain(bar(1, 4)) == "━━━━"
    assert plain(bar(0.5, 4)) == "━━──"
    assert plain(bar(0.375, 4)) == "━╸──"


def test_what_has_no_denominator_is_dotted_not_empty() -> None:
    assert plain(bar(None, 4)) == "····"
    assert plain(stacked([], 4)) == "····"
    assert plain(stacked([Share(0, Tone.GOOD)], 4)) == "····"


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=6), st.integers(1, 120))
def test_shares_add_up_and_no_positive_one_vanishes(amounts: list[int], cells: int) -> None:
    assume(sum(amounts))
    given_cells = apportion(amounts, cells)
    assert sum(given_cells) == cells
    positive = [n for a, n in zip(amounts, given_cells, strict=True) if a]
    assert all(n == 0 for a, n in zip(amounts, given_cells, strict=True) if not a)
    if len(positive) <= cells:
        assert min(positive) >= 1


@given(st.lists(st.integers(1, 100), min_size=2, max_size=4), st.integers(20, 120))
def test_a_larger_share_is_never_drawn_shorter(amounts: list[int], cells: int) -> None:
    drawn = apportion(amounts, cells)
    pairs = [(a, b) for i, a in enumerate(amounts) for j, b in enumerate(amounts) if a > b and drawn[i] < drawn[j] - 1]
    assert not pairs


@pytest.mark.parametrize(("weights", "cells"), [((80, 20), [8, 2]), ((99, 1), [9, 1]), ((0, 100), [0, 10])])
def test_splits(weights: tuple[int, int], cells: list[int]) -> None:
    assert apportion(weights, 10) == cells


def test_neighbours_differ_without_colour() -> None:
    assert len({texture(i) for i in range(4)}) == 4
    drawn = plain(stacked([Share(1, Tone.GOOD, texture(0)), Share(1, Tone.GOOD, texture(1))], 4))
    assert drawn == "━━╍╍"


def test_a_spark_line_scales_to_its_own_largest() -> None:
    assert spark([0, 5, 10], 5) == "  ▁▅█"
    assert spark([0, 0], 2) == "▁▁"
    assert spark([1, 2, 3], 0) == ""
