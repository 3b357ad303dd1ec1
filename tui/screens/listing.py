"""A screen with a table, a pane beside it and, where it has one, a filter."""

from collections.abc import Iterable
from typing import Any, ClassVar

from textual import on
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from tui.screens.base import Page
from tui.session import Session
from tui.viewmodel.text import Line
from tui.widgets.document import Document
from tui.widgets.table import RowTable

MANY = 2000
"""With more rows than this, a filter waits for a pause in typing."""
PAUSE_SECONDS = 0.15
WITH_PANE = 120
"""From this width on, the pane is there unless it was hidden."""


class FilterInput(Input):
    """The line that a filter is typed into."""

    BINDINGS: ClassVar[list[Any]] = [("escape", "screen.leave_filter"), ("down", "screen.leave_filter(True)")]


class Listing(Page):
    """Keeps filter, cursor and scroll; the pane shows the row under the cursor."""

    FILTER: ClassVar[str] = ""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.filter_text = ""
        self.filter_error = ""
        self._before_filter = ""
        self._pane_wanted: bool | None = None
        self._pane_key: str | None = None
        self._typing: Timer | None = None

    def fill(self, table: RowTable) -> None:
        """Put the rows into the table. A listing without rows of its own leaves it empty."""

    def pane_lines(self, key: str, width: int) -> list[Line]:
        """What the pane says of a row. Nothing by default."""
        del key, width
        return []

    def open_row(self, key: str) -> None:
        """Open the row's own screen. By default a row has none."""

    def accept_filter(self, text: str) -> str:
        """Take a filter into use; what is wrong with it, or "" where it is taken."""
        self.filter_text = text
        return ""

    @property
    def table(self) -> RowTable:
        """The screen's table."""
        return self.query_one(RowTable)

    @override
    def body(self) -> Iterable[Widget]:
        yield RowTable(id="table")
        yield Document(id="pane")

    def compose(self) -> Any:
        """Make the widgets."""
        for widget in super().compose():
            if widget.id == "body" and self.FILTER:
                box = FilterInput(placeholder=self.FILTER, id="filter", select_on_focus=False)
                yield box
            yield widget

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.table.focus()
        self._show_pane()

    @override
    def draw(self) -> None:
        self.fill(self.table)
        self._draw_pane()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        super().on_resize()
        self._show_pane()

    @on(RowTable.Moved)
    def _moved(self) -> None:
        self._draw_pane()
        self.draw_bars()

    @on(RowTable.Opened)
    def _opened(self, message: RowTable.Opened) -> None:
        self.open_row(message.key)

    def _do_find_pane(self) -> None:
        pane = self.query_one("#pane", Document)
        self._pane_wanted = not pane.display
        self._show_pane()

    def _do_pane_next(self) -> None:
        pane = self.query_one("#pane", Document)
        if pane.display and not pane.has_focus:
            pane.focus()
        else:
            self.table.focus()

    def _do_find_filter(self) -> None:
        box = self.query_one("#filter", Input)
        self._before_filter = self.filter_text
        box.add_class("shown")
        box.focus()

    def _do_go_back(self) -> bool:
        """Esc clears a filter first. False where there is nothing to clear."""
        if not self.filter_text:
            return False
        self.query_one("#filter", Input).value = ""
        self._settle_filter("")
        return True

    def action_leave_filter(self, keep: bool = False) -> None:
        """Back to the table. Esc restores the filter as it was before."""
        box = self.query_one("#filter", Input)
        if keep:
            self._take_typed()
        else:
            box.value = self._before_filter
            self._settle_filter(self._before_filter)
        self._leave_box()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._typing is not None:
            self._typing.stop()
        if len(self.session.snapshot.endpoints) < MANY:
            self._take_typed()
        else:
            self._typing = self.set_timer(PAUSE_SECONDS, self._take_typed)

    def _take_typed(self) -> None:
        """Take what stands in the filter's line into use."""
        if self._typing is not None:
            self._typing.stop()
            self._typing = None
        text = self.query_one("#filter", Input).value
        if text != self.filter_text or self.filter_error:
            self._settle_filter(text)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        self._take_typed()
        self._leave_box()

    def _settle_filter(self, text: str) -> None:
        self.filter_error = self.accept_filter(text)
        self.query_one("#filter", Input).set_class(bool(self.filter_error), "wrong")
        if not self.filter_error:
            self.draw()
        self.draw_bars()

    def _leave_box(self) -> None:
        box = self.query_one("#filter", Input)
        if self.filter_error:
            box.value, self.filter_error = self.filter_text, ""
            box.remove_class("wrong")
        box.set_class(bool(self.filter_text), "shown")
        self.table.focus()
        self.draw_bars()

    def _show_pane(self) -> None:
        pane = self.query_one("#pane", Document)
        wide = self.app.size.width >= WITH_PANE
        pane.display = wide if self._pane_wanted is None else self._pane_wanted
        if not pane.display and pane.has_focus:
            self.table.focus()
        self._draw_pane()

    def _draw_pane(self) -> None:
        pane = self.query_one("#pane", Document)
        if not pane.display:
            return
        key = self.table.key
        pane.show(lambda width: self.pane_lines(key, width) if key else [])
        if key != self._pane_key:
            self._pane_key = key
            pane.home()
