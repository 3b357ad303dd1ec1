"""What a table shows: rows with a key each, whose cells are made only when they come into view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tui.viewmodel.columns import Column
from tui.viewmodel.text import Line

T = TypeVar("T")

Cell = Line | Callable[[int], Line]
"""A cell: a line, or what makes one for the width of its column."""


@dataclass(frozen=True)
class Table(Generic[T]):
    """Rows, the columns, and how one row becomes cells. ``empty`` is said where there are no rows.

    Keys are unique. Making a table costs a pass over the keys; cells are made for rows in view only.
    """

    columns: tuple[Column, ...]
    rows: Sequence[T]
    key_of: Callable[[T], str]
    cells_of: Callable[[T], tuple[Cell, ...]]
    empty: tuple[str, ...] = ("Nothing here.",)
    sorted_by: str | None = None
    descending: bool = False
    _index: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> str:
        """The key of the row at that place."""
        return self.key_of(self.rows[index])

    def cells(self, index: int) -> tuple[Cell, ...]:
        """The cells of the row at that place, one for each column."""
        return self.cells_of(self.rows[index])

    def find(self, key: str | None) -> int | None:
        """The place of the row with that key; None where there is none."""
        if key is None:
            return None
        if not self._index:
            self._index.update((self.key_of(row), i) for i, row in enumerate(self.rows))
        return self._index.get(key)
