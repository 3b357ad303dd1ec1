"""Every key, and what it does: made from the action registry."""

from collections.abc import Iterable

from textual.widget import Widget
from typing_extensions import override

from tui.actions import ACTIONS, Context
from tui.screens.base import Page
from tui.session import Session
from tui.viewmodel import help as page
from tui.viewmodel.text import Line
from tui.widgets.document import Document


class HelpPage(Page):
    """The keys of the screen it was opened from, and of all others."""

    PLACE = "help"
    HEADLINE = "Help"

    def __init__(self, session: Session, about: Context) -> None:
        super().__init__(session)
        self._about = about

    @override
    def body(self) -> Iterable[Widget]:
        yield Document(id="page")

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.query_one("#page", Document).focus()

    @override
    def draw(self) -> None:
        self.query_one("#page", Document).show(self._lines)

    def _lines(self, width: int) -> list[Line]:
        keys = {action.id: self.session.keys.all(action) for action in ACTIONS}
        return page.page(self._about, keys, width)
