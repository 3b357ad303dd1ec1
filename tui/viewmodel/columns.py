"""Columns of a table and how they share a width: pure arithmetic, the same for every table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tui.viewmodel.text import Align

GAP = 2
"""Cells between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, its widths in cells.

    It gets at least ``least`` and wants up to ``most``; what is left over goes to the columns that
    ``grow``. Where the width doesn't suffice, columns with the highest ``drop`` go first; 0 stays to
    the end.
    """

    id: str
    title: str
    least: int
    most: int
    drop: int = 0
    grow: bool = False
    align: Align = "left"


class Placed(NamedTuple):
    """A column that is shown: its place in the row's cells, its first cell on screen and its width."""

    place: int
    column: Column
    start: int
    width: int


def place(columns: Sequence[Column], width: int) -> tuple[Placed, ...]:
    """The columns that fit into ``width`` cells, and where. The placed columns never overlap nor overflow."""
    kept = list(range(len(columns)))
    while kept and _least(columns, kept) > width:
        worst = max(kept, key=lambda i: (columns[i].drop, i))
        if columns[worst].drop == 0 and len(kept) == 1:
            break
        kept.remove(worst)
    if not kept or width <= 0:
        return ()
    widths = _widths(columns, kept, width)
    placed: list[Placed] = []
    start = 0
    for i in kept:
        placed.append(Placed(i, columns[i], start, widths[i]))
        start += widths[i] + GAP
    return tuple(placed)


def _least(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(columns[i].least for i in kept) + GAP * (len(kept) - 1)


def _widths(columns: Sequence[Column], kept: Sequence[int], width: int) -> dict[int, int]:
    spare = width - _least(columns, kept)
    widths = {i: columns[i].least for i in kept}
    if spare < 0:
        return {kept[0]: width}
    # The column that is hardest to drop is the first to get what it wants.
    for i in sorted(kept, key=lambda i: (columns[i].drop, i)):
        extra = min(columns[i].most - columns[i].least, spare)
        widths[i] += extra
        spare -= extra
    growing = [i for i in kept if columns[i].grow]
    for n, i in enumerate(growing):
        share = spare // (len(growing) - n)
        widths[i] += share
        spare -= share
    return widths
