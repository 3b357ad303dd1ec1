"""A screen with a table and a pane beside it."""

from collections.abc import Iterable

from textual import on
from textual.widget import Widget
from typing_extensions import override

from tui.screens.base import Page
from tui.session import Session
from tui.viewmodel.text import Line
from tui.widgets.document import Document
from tui.widgets.table import RowTable

WITH_PANE = 120
"""From this width on, the pane is there unless it was hidden."""


class Listing(Page):
    """Keeps cursor and scroll; the pane shows the row under the cursor."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = RowTable(id="table")
        self.pane = Document(id="pane")
        self._pane_wanted: bool | None = None
        self._pane_key: str | None = None
        self._pane_waits = False

    @property
    def front(self) -> RowTable:
        """The table that the pane is about."""
        return self.table

    def fill(self, table: RowTable) -> None:
        """Put the rows into the table. A listing without rows of its own leaves it empty."""

    def pane_lines(self, key: str, width: int) -> list[Line]:
        """What the pane says of a row. Nothing by default."""
        del key, width
        return []

    def open_row(self, key: str) -> None:
        """Open the row's own screen. By default a row has none."""

    @override
    def body(self) -> Iterable[Widget]:
        yield self.table
        yield self.pane

    @override
    def performers(self) -> Iterable[Widget]:
        return (self.table,)

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.table.focus()
        self._show_pane()

    @override
    def draw(self) -> None:
        self.fill(self.table)
        self.draw_pane()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        super().on_resize()
        self._show_pane()

    @on(RowTable.Moved)
    def _moved(self) -> None:
        """The row first, then what is said of it: a key that is held down stays ahead of the pane."""
        if not self._pane_waits:
            self._pane_waits = True
            self.call_after_refresh(self._follow_cursor)

    def _follow_cursor(self) -> None:
        self._pane_waits = False
        self.draw_pane()
        self.draw_bars()

    @on(RowTable.Opened)
    def _opened(self, message: RowTable.Opened) -> None:
        self.open_row(message.key)

    def _do_find_pane(self) -> None:
        self._pane_wanted = not self.pane.display
        self._show_pane()

    def _do_pane_next(self) -> None:
        if self.pane.display and not self.pane.has_focus:
            self.pane.focus()
        else:
            self.table.focus()

    def draw_pane(self) -> None:
        """Draw the detail of the row under the cursor."""
        pane = self.pane
        if not pane.display:
            return
        key = self.front.key
        pane.show(lambda width: self.pane_lines(key, width) if key else [])
        if key != self._pane_key:
            self._pane_key = key
            pane.home()

    def _show_pane(self) -> None:
        pane = self.pane
        wide = self.app.size.width >= WITH_PANE
        pane.display = wide if self._pane_wanted is None else self._pane_wanted
        if not pane.display and pane.has_focus:
            self.table.focus()
        self.draw_pane()
