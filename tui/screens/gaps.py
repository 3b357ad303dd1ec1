"""What is still ungoverned, and why."""

from typing import Any, ClassVar

from typing_extensions import override

from inventory.model import Endpoint
from tui.actions import Context
from tui.keymap import bindings
from tui.screens.endpoint import EndpointPage
from tui.screens.listing import Listing
from tui.screens.triage import Triaging
from tui.viewmodel import detail, gaps
from tui.viewmodel.text import Line, Run, Tone, clean, line, plural, wrap
from tui.widgets.table import RowTable


class GapsPage(Triaging, Listing):
    """Endpoints that nobody governs and parts of scopes that nobody knows, riskiest first."""

    PLACE = "gaps"
    BINDINGS: ClassVar[list[Any]] = bindings("gaps")
    HEADLINE = "Gaps"
    FILTER = "words that a gap's name, kind, owner or reason holds"

    @override
    def fill(self, table: RowTable) -> None:
        snapshot = self.session.snapshot
        table.show(gaps.table(snapshot.coverage.gaps, snapshot.by_id, self.filter_text))

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        gap = next((g for g in self.session.snapshot.coverage.gaps if gaps.key_of(g) == key), None)
        if gap is None:
            return []
        if endpoint := self.session.snapshot.by_id.get(gap.subject):
            return detail.pane(endpoint, width, self.now)
        said = [line(part) for part in wrap(clean(gap.why, 600), width)]
        advice = f"Scan it again: gnomon scan --scope {gap.subject}"
        return [line(Run(clean(gap.title, 300), Tone.STRONG)), (), *said, (), line(Run(advice, Tone.MUTED))]

    @override
    def open_row(self, key: str) -> None:
        if endpoint := self._endpoint():
            self.app.push_screen(EndpointPage(self.session, endpoint.id))

    @override
    def context(self) -> Context:
        endpoint = self._endpoint()
        return self.context_of(endpoints=(endpoint,) if endpoint else ())

    @override
    def note(self) -> str:
        return plural(len(self.session.snapshot.coverage.gaps), "gap")

    def _endpoint(self) -> Endpoint | None:
        subject = (self.table.key or "").partition(" ")[0]
        return self.session.snapshot.by_id.get(subject)
