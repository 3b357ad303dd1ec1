from hypothesis import given
from hypothesis import strategies as st

from tui.viewmodel import endpoints, routes, scans
from tui.viewmodel.columns import GAP, Column, place

COLUMNS = st.lists(
    st.builds(
        lambda least, more, drop, grow: Column("c", "C", least, least + more, drop, grow),
        st.integers(1, 20), st.integers(0, 20), st.integers(0, 5), st.booleans(),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@given(COLUMNS, st.integers(1, 200))
def test_placed_columns_neither_overlap_nor_overflow(columns: list[Column], width: int) -> None:
    placed = place(columns, width)
    edge = -GAP
    for each in placed:
        assert each.start == edge + GAP
        assert each.width >= 1
        edge = each.start + each.width
    assert edge <= width


@given(COLUMNS, st.integers(1, 200))
def test_a_wider_table_never_shows_fewer_columns(columns: list[Column], width: int) -> None:
    assert len(place(columns, width)) <= len(place(columns, width + 1))


@given(COLUMNS, st.integers(1, 200))
def test_what_is_dropped_is_never_more_important_than_what_stays(columns: list[Column], width: int) -> None:
    kept = {each.place for each in place(columns, width)}
    dropped = [columns[i].drop for i in range(len(columns)) if i not in kept]
    if dropped and kept:
        assert min(dropped) >= max(columns[i].drop for i in kept)


def test_the_columns_of_every_table_fit_into_eighty_cells() -> None:
    for table in (endpoints.COLUMNS, routes.COLUMNS, scans.COLUMNS):
        assert len(place(table, 77)) >= 4


def test_a_growing_column_takes_what_is_left() -> None:
    placed = place((Column("a", "A", 2, 4), Column("b", "B", 2, 4, grow=True)), 40)
    assert [each.width for each in placed] == [4, 34]
