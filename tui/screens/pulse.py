"""The first screen: how much is covered, and what is in the way."""

from typing_extensions import override

from tui.screens.sheet import Sheet
from tui.viewmodel import pulse
from tui.viewmodel.text import Line, Run, Tone, line, plural


class PulsePage(Sheet):
    """Coverage with its denominators, the riskiest gaps, scans and routes."""

    PLACE = "pulse"
    HEADLINE = "Pulse"

    @override
    def note(self) -> str:
        snapshot = self.session.snapshot
        parts = ((snapshot.scopes, "scope"), (snapshot.endpoints, "endpoint"), (snapshot.routes, "route"))
        return " · ".join(plural(len(items), word) for items, word in parts) if self.session.loaded else ""

    @override
    def lines(self, width: int) -> list[Line]:
        if not self.session.loaded:
            return [line(Run("◌ reading the inventory …", Tone.INFO))]
        return pulse.page(self.session.snapshot, width, self.now)
