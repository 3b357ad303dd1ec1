"""A table that draws only the rows in view, and whose cursor belongs to a row rather than to a place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, ClassVar

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from typing_extensions import override

from tui.keymap import bindings
from tui.viewmodel.columns import Placed, place
from tui.viewmodel.table import Table
from tui.viewmodel.text import Line, Run, Tone, fit, line
from tui.widgets.scrolled import Scrolled
from tui.widgets.toned import TONES, Toned

HEADER = 1
GUTTER = 2
UNREAD = line(Run("…", Tone.FAINT))
"""What stands in a row that is on its way from the database."""
AGE_SECONDS = 5.0
"""Rows are drawn anew after so long, for the ages in them."""
MANY_STRIPS = 2000


class RowTable(Scrolled, Toned, can_focus=True):
    """Shows a ``Table``. Cursor, scroll and marks survive ``show``: they follow the keys of rows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = TONES | {"table--header", "table--cursor", "table--hover", "table--marked"}
    DEFAULT_CSS = """
    RowTable { overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    RowTable > .table--header { background: $panel; color: $muted; }
    RowTable > .table--cursor { background: $cursor-blurred; }
    RowTable:focus > .table--cursor { background: $cursor; text-style: bold; }
    RowTable > .table--hover { background: $surface; }
    RowTable > .table--marked { background: $marked; }
    """
    BINDINGS: ClassVar[list[Any]] = bindings("table")

    hovered: reactive[int | None] = reactive(None)

    @dataclass
    class Moved(Message):
        """The cursor is on another row now, or on none."""

        table: "RowTable"
        key: str | None

    @dataclass
    class Looked(Message):
        """Other rows came into view."""

        table: "RowTable"

    @dataclass
    class Opened(Message):
        """A row was chosen, by key or by mouse."""

        table: "RowTable"
        key: str

    @dataclass
    class Sorted(Message):
        """The title of a column was clicked."""

        table: "RowTable"
        column: str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._table: Table[Any] = Table((), (), row_of=lambda _: None, cells_of=lambda _: ())
        self._told: tuple[int, int] = (0, 0)
        self._strips: dict[str, dict[tuple[bool, bool, bool], tuple[object, Strip]]] = {}
        self._strips_until = 0.0
        self._frame: object = None
        self._lines: list[tuple[str, bool, bool]] = []
        self._cursor = 0
        self._key: str | None = None
        self._placed: tuple[Placed, ...] = ()
        self._marked: Collection[str] = frozenset()

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor."""
        return self._key

    @property
    def keys_shown(self) -> Sequence[str]:
        """The keys of all rows, in order."""
        return self._table.keys

    @property
    def place(self) -> int:
        """The place of the row under the cursor."""
        return self._cursor

    @property
    def view(self) -> range:
        """The places of the rows in view."""
        top = round(self.scroll_y)
        return range(top, min(top + self.page, len(self._table)))

    @property
    def page(self) -> int:
        """How many rows fit into view."""
        return max(self.scrollable_content_region.height - HEADER, 1)

    def show(self, table: Table[Any], marked: Collection[str] = frozenset()) -> None:
        """Show other rows. The row under the cursor stays under it, at the same height on the screen."""
        found = table.find(self._key, self._cursor)
        place_before, scroll_before = self._cursor, round(self.scroll_y)
        self._table, self._marked = table, marked
        self._cursor = found if found is not None else max(min(place_before, len(table) - 1), 0)
        self.reach(len(table) + HEADER)
        self._place()
        target = scroll_before + (self._cursor - place_before if found is not None else 0)
        self.set_scroll(None, max(min(target, len(table) - self.page), 0))
        self._settle()
        self._look()
        self._refresh_if_changed()

    def _refresh_if_changed(self) -> None:
        """Draw again what is another row than was drawn there, and all where rows are old enough for their ages."""
        table, view = self._table, self.view
        frame = (self._placed, view.start, view.stop, table.empty, table.sorted_by, table.descending, len(table) == 0)
        if monotonic() >= self._strips_until:
            self._strips.clear()
            self._strips_until = monotonic() + AGE_SECONDS
            self._frame = None
        lines = [(key := table.key(row), row == self._cursor, key in self._marked) for row in view]
        if frame != self._frame:
            self.refresh()
        else:
            for row, now, before in zip(view, lines, self._lines, strict=True):
                if now != before or self._stale(now[0]):
                    self._refresh_row(row)
        self._frame, self._lines = frame, lines

    def _stale(self, key: str) -> bool:
        """Whether a row is another one than was drawn."""
        row = self._table.row_of(key)
        drawn = self._strips.get(key)
        return not drawn or any(of is not row for of, _ in drawn.values())

    def refresh_rows(self, keys: Collection[str]) -> None:
        """Draw the rows of those keys again, where they are in view."""
        for row in self.view:
            if self._table.key(row) in keys:
                self._refresh_row(row)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell which rows are in view now."""
        super().watch_scroll_y(old_value, new_value)
        self._look()

    def _look(self) -> None:
        seen = (self.view.start, self.view.stop)
        if seen != self._told:
            self._told = seen
            self.post_message(self.Looked(self))

    def mark(self, marked: Collection[str]) -> None:
        """Show other rows as marked."""
        self._marked = marked
        self.refresh()

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, as near as there is one, and bring it into view."""
        if not len(self._table):
            return
        before = self._cursor
        self._cursor = max(0, min(row, len(self._table) - 1))
        top, page = round(self.scroll_y), self.page
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + page:
            self.scroll_to(y=self._cursor - page + 1, animate=False, immediate=True)
        self._refresh_row(before)
        self._refresh_row(self._cursor)
        self._settle()

    def move_to_key(self, key: str) -> bool:
        """Put the cursor on the row with that key. False where there is none."""
        row = self._table.find(key, self._cursor)
        if row is not None:
            self.move_to(row)
        return row is not None

    def step(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.move_to(self._cursor + rows)

    def _do_cursor_down(self) -> None:
        self.step(1)

    def _do_cursor_up(self) -> None:
        self.step(-1)

    def _do_cursor_page_down(self) -> None:
        self.step(self.page)

    def _do_cursor_page_up(self) -> None:
        self.step(-self.page)

    def _do_cursor_top(self) -> None:
        self.move_to(0)

    def _do_cursor_bottom(self) -> None:
        self.move_to(len(self._table) - 1)

    def _do_row_open(self) -> None:
        if self._key is not None:
            self.post_message(self.Opened(self, self._key))

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self._place()
        self.reach(len(self._table) + HEADER)
        self.move_to(self._cursor)
        self._look()

    def on_click(self, event: events.Click) -> None:
        """Carry out what was clicked."""
        if event.y < HEADER:
            if column := self._column_at(event.x):
                self.post_message(self.Sorted(self, column))
            return
        row = self._row_at(event.y)
        if row is None:
            return
        again = row == self._cursor and event.chain > 1
        self.move_to(row)
        if again:
            self._do_row_open()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow the pointer."""
        self.hovered = self._row_at(event.y)

    def on_leave(self) -> None:
        """Forget the pointer."""
        self.hovered = None

    def watch_hovered(self, before: int | None, after: int | None) -> None:
        """Redraw the row that lost the pointer and the one that has it."""
        for row in (before, after):
            if row is not None:
                self._refresh_row(row)

    @override
    def render_line(self, y: int) -> Strip:
        """One line of the view: the titles, a row, or what is said where there are no rows."""
        width = self.size.width
        if y < HEADER:
            header = self.get_component_rich_style("table--header")
            return self.strip_of(self._titles(), width, header)
        row = y - HEADER + round(self.scroll_y)
        if row < len(self._table):
            return self._row(row, width)
        if not len(self._table):
            return self._said(y - HEADER, width)
        return Strip.blank(width, self.rich_style)

    def _row(self, row: int, width: int) -> Strip:
        key = self._table.key(row)
        on_it, marked, hovered = row == self._cursor, key in self._marked, row == self.hovered
        of = self._table.row_of(key)
        if len(self._strips) > MANY_STRIPS:
            self._strips.clear()
        its = self._strips.setdefault(key, {})
        known = its.get((on_it, marked, hovered))
        if known is None or known[0] is not of or known[1].cell_length != width:
            drawn = self._draw_row(row, width, on_it=on_it, marked=marked, hovered=hovered)
            known = its[on_it, marked, hovered] = of, drawn
        return known[1]

    def _draw_row(self, row: int, width: int, *, on_it: bool, marked: bool, hovered: bool) -> Strip:
        # Of two tables on a screen the one that keys go to is told without colours too.
        cursor = " " if not on_it else "▌" if self.has_focus else "▏"
        gutter = line(Run(cursor, Tone.ACCENT), Run("▪" if marked else " ", Tone.ACCENT))
        cells = self._table.cells(row)
        runs: list[Run] = list(gutter)
        for n, placed in enumerate(self._placed):
            runs.extend((Run("  "),) if n else ())
            cell = UNREAD if cells is None else cells[placed.place]
            drawn = cell(placed.width) if callable(cell) else cell
            runs.extend(fit(drawn, placed.width, placed.column.align))
        over = self._row_style(on_it=on_it, marked=marked, hovered=hovered)
        return self.strip_of(tuple(runs), width, over)

    def _row_style(self, *, on_it: bool, marked: bool, hovered: bool) -> Style | None:
        name = "table--cursor" if on_it else "table--marked" if marked else "table--hover" if hovered else None
        return self.get_component_rich_style(name) if name else None

    def _titles(self) -> Line:
        runs: list[Run] = [Run(" " * GUTTER)]
        for n, placed in enumerate(self._placed):
            column = placed.column
            here = column.id == self._table.sorted_by
            arrow = ("▼" if self._table.descending else "▲") if here else ""
            title = line(Run(column.title + arrow, Tone.ACCENT if here else Tone.MUTED))
            runs.extend((Run("  "),) if n else ())
            runs.extend(fit(title, placed.width, column.align))
        return tuple(runs)

    def _said(self, y: int, width: int) -> Strip:
        text = self._table.empty
        first = max((self.size.height - HEADER - len(text)) // 2 - 1, 0)
        if not first <= y < first + len(text):
            return Strip.blank(width, self.rich_style)
        said = text[y - first]
        runs = line(" " * max((width - len(said)) // 2, 0), Run(said, Tone.PLAIN if y == first else Tone.MUTED))
        return self.strip_of(runs, width)

    def _place(self) -> None:
        placed = place(self._table.columns, self.scrollable_content_region.width - GUTTER)
        if placed != self._placed:
            self._placed = placed
            self._strips.clear()
            self.refresh()

    @override
    def notify_style_update(self) -> None:
        self._strips = {}
        super().notify_style_update()

    def _settle(self) -> None:
        key = self._table.key(self._cursor) if len(self._table) else None
        if key != self._key:
            self._key = key
            self.post_message(self.Moved(self, key))

    def _refresh_row(self, row: int) -> None:
        y = row - round(self.scroll_y) + HEADER
        if HEADER <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _row_at(self, y: int) -> int | None:
        row = y - HEADER + round(self.scroll_y)
        return row if y >= HEADER and row < len(self._table) else None

    def _column_at(self, x: int) -> str | None:
        at = x - GUTTER
        return next((p.column.id for p in self._placed if p.start <= at < p.start + p.width), None)
