"""The first screen: how much is covered, and what is in the way."""

from collections.abc import Iterable

from textual.widget import Widget
from typing_extensions import override

from tui.screens.base import Page
from tui.viewmodel import pulse
from tui.viewmodel.text import Line, Run, Tone, line, plural
from tui.widgets.document import Document


class PulsePage(Page):
    """Coverage with its denominators, the riskiest gaps, scans and routes."""

    PLACE = "pulse"
    HEADLINE = "Pulse"

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

    @override
    def note(self) -> str:
        snapshot = self.session.snapshot
        parts = ((snapshot.scopes, "scope"), (snapshot.endpoints, "endpoint"), (snapshot.routes, "route"))
        return " · ".join(plural(len(items), word) for items, word in parts) if self.session.loaded else ""

    def _lines(self, width: int) -> list[Line]:
        if not self.session.loaded:
            return [line(Run("◌ reading the inventory …", Tone.INFO))]
        return pulse.page(self.session.snapshot, width, self.now)
