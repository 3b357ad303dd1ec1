"""A screen that is one page of text, laid out again for each width."""

from collections.abc import Iterable

from textual.widget import Widget
from typing_extensions import override

from tui.screens.base import Page
from tui.session import Session
from tui.viewmodel.text import Line
from tui.widgets.document import Document


class Sheet(Page):
    """A page of lines; what they say is in ``lines``. Its scroll is kept for when somebody comes back."""

    def lines(self, width: int) -> list[Line]:
        """What is on the page, for a width in cells. Nothing by default."""
        del width
        return []

    def __init__(self, session: Session, key: str = "") -> None:
        super().__init__(session, key)
        self.document = Document(id="page")

    @override
    def body(self) -> Iterable[Widget]:
        yield self.document

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.document.focus()

    def on_unmount(self) -> None:
        """Remember the scroll."""
        if self.opened:
            self.session.scrolls[self.opened] = self.document.scroll_y

    @override
    def draw(self) -> None:
        self.document.show(self.lines)
        if self.opened and self.document.max_scroll_y:
            before = self.session.scrolls.pop(self.opened, None)
            if before is not None:
                self.document.scroll_to(y=before, animate=False)
