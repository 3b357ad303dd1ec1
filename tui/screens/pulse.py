"""The first screen: how much is covered, and what is in the way."""

from typing_extensions import override

from tui.screens.sheet import Sheet
from tui.viewmodel import pulse
from tui.viewmodel.text import Line, Run, Tone, line, number, plural


class PulsePage(Sheet):
    """Coverage with its denominators, alerts, the riskiest gaps, trends, scans and routes."""

    PLACE = "pulse"
    HEADLINE = "Pulse"
    FIGURES = True

    @override
    def note(self) -> str:
        if not self.session.loaded:
            return ""
        snapshot = self.session.snapshot
        known = f"{number(snapshot.known)} endpoint{'' if snapshot.known == 1 else 's'}"
        return " · ".join((plural(len(snapshot.scopes), "scope"), known, plural(len(snapshot.routes), "route")))

    @override
    def lines(self, width: int) -> list[Line]:
        if not self.session.loaded:
            return [line(Run("◌ reading the inventory …", Tone.INFO))]
        return pulse.page(self.session.snapshot, width, self.now)

    @override
    def news(self) -> None:
        if self.session.loaded and self.session.snapshot.figures_of != self.session.snapshot.version:
            self.gnomon.hurry()
