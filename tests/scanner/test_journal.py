from hypothesis import given
from hypothesis import strategies as st

from scanner.journal import COST, SAVE_EVERY, WORTH_SAVING, save_due

SHARES = st.floats(0, 1)


@given(st.floats(0, 10), SHARES)
def test_a_scan_is_saved_every_second_however_little_happened(took: float, moved: float) -> None:
    assert save_due(SAVE_EVERY, took, moved)


@given(st.floats(0, SAVE_EVERY, exclude_max=True), st.floats(0, 1), SHARES)
def test_before_that_it_is_saved_for_progress_alone_and_at_little_cost(
    elapsed: float, took: float, moved: float
) -> None:
    if save_due(elapsed, took, moved):
        assert moved >= WORTH_SAVING
        assert took <= elapsed * COST * (1 + 1e-9)


def test_a_short_scan_is_saved_ten_times_a_second_where_the_store_is_quick() -> None:
    # A tenth of a second of a scan of ten seconds, and a store that takes three milliseconds or thirty.
    assert save_due(elapsed=0.1, took=0.003, moved=0.01)
    assert not save_due(elapsed=0.1, took=0.03, moved=0.01)
