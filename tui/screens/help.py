"""Every key, and what it does: made from the action registry."""

from typing_extensions import override

from tui.actions import ACTIONS
from tui.checks import Context
from tui.screens.base import Page
from tui.screens.sheet import Sheet
from tui.viewmodel import help as page
from tui.viewmodel.text import Line


class HelpPage(Sheet):
    """The keys of the screen that it was opened from, which its key names, and of all others."""

    PLACE = "help"
    HEADLINE = "Help"

    def _about(self) -> Context:
        below = [s for s in self.app.screen_stack if isinstance(s, Page) and s is not self]
        return below[-1].context() if below else Context(place=self.key)

    @override
    def lines(self, width: int) -> list[Line]:
        keys = {action.id: self.session.keys.all(action) for action in ACTIONS}
        return page.page(self._about(), keys, width)
