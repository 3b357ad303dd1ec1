"""Every key, and what it does: made from the action registry."""

from typing_extensions import override

from tui.actions import ACTIONS, Context
from tui.screens.sheet import Sheet
from tui.session import Session
from tui.viewmodel import help as page
from tui.viewmodel.text import Line


class HelpPage(Sheet):
    """The keys of the screen it was opened from, and of all others."""

    PLACE = "help"
    HEADLINE = "Help"

    def __init__(self, session: Session, about: Context) -> None:
        super().__init__(session)
        self._about = about

    @override
    def lines(self, width: int) -> list[Line]:
        keys = {action.id: self.session.keys.all(action) for action in ACTIONS}
        return page.page(self._about, keys, width)
