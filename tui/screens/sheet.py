"""A screen that is one page of text, laid out again for each width."""

from collections.abc import Iterable

from textual.widget import Widget
from typing_extensions import override

from tui.screens.base import Page
from tui.viewmodel.text import Line
from tui.widgets.document import Document


class Sheet(Page):
    """A page of lines; what they say is in ``lines``."""

    def lines(self, width: int) -> list[Line]:
        """What is on the page, for a width in cells. Nothing by default."""
        del width
        return []

    @override
    def body(self) -> Iterable[Widget]:
        yield Document(id="page")

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.query_one("#page", Document).focus()

    @override
    def draw(self) -> None:
        self.query_one("#page", Document).show(self.lines)
