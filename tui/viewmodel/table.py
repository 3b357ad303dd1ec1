"""What a table shows: keys in order; rows become cells only when they come into view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tui.viewmodel.columns import Column
from tui.viewmodel.text import Line

T = TypeVar("T")

Cell = Line | Callable[[int], Line]
"""A cell: a line, or what makes one for the width of its column."""


@dataclass(frozen=True)
class Table(Generic[T]):
    """Unique keys in order, the columns, and how one row becomes cells. ``empty`` is said where there are no rows.

    ``row_of`` gives None for a row that is not read yet. Making a table costs nothing, whatever its length.
    """

    columns: tuple[Column, ...]
    keys: Sequence[str]
    row_of: Callable[[str], T | None]
    cells_of: Callable[[T], tuple[Cell, ...]]
    empty: tuple[str, ...] = ("Nothing here.",)
    sorted_by: str | None = None
    descending: bool = False

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        """The key of the row at that place."""
        return self.keys[index]

    def cells(self, index: int) -> tuple[Cell, ...] | None:
        """The cells of the row at that place, one for each column; None where it is not read yet."""
        row = self.row_of(self.keys[index])
        return None if row is None else self.cells_of(row)

    def find(self, key: str | None, near: int = 0) -> int | None:
        """The place of the row with that key, looked for at ``near`` first; None where there is none."""
        if key is None:
            return None
        if near < len(self.keys) and self.keys[near] == key:
            return near
        try:
            return self.keys.index(key)
        except ValueError:
            return None


def of_rows(
    columns: tuple[Column, ...],
    rows: Sequence[T],
    key_of: Callable[[T], str],
    cells_of: Callable[[T], tuple[Cell, ...]],
    **more: Any,
) -> Table[T]:
    """A table of rows that are all there."""
    by_key = {key_of(row): row for row in rows}
    return Table(columns, list(by_key), by_key.get, cells_of, **more)
