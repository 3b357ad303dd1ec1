"""What was scanned, what stays unknown, and what is scanned next."""

from typing import Any, ClassVar

from typing_extensions import override

from tui.checks import Context
from tui.keymap import bindings
from tui.screens.listing import Listing
from tui.viewmodel import scans
from tui.viewmodel.text import Line, plural
from tui.widgets.bar import Item
from tui.widgets.table import RowTable


class ScansPage(Listing):
    """Every scan with its account: where its probes went. The pane has the schedules as well."""

    PLACE = "scans"
    BINDINGS: ClassVar[list[Any]] = bindings("scans")
    HEADLINE = "Scans"

    @override
    def fill(self, table: RowTable) -> None:
        table.show(scans.table(self.session.snapshot.scans, self.now))

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        snapshot = self.session.snapshot
        scan = next((each for each in snapshot.scans if each.id == key), None)
        return scans.detail(scan, snapshot.schedules, width, self.now) if scan else []

    @override
    def open_row(self, key: str) -> None:
        self.gnomon.open("scan", key)

    @override
    def context(self) -> Context:
        return self.context_of(row=self.is_mounted and self.table.key is not None)

    @override
    def draw_bars(self) -> None:
        super().draw_bars()
        self.crumbs.show(self.crumbs.left, (Item(scans.LEGEND),))

    @override
    def note(self) -> str:
        snapshot = self.session.snapshot
        return f"{plural(len(snapshot.scans), 'scan')} · {plural(len(snapshot.schedules), 'schedule')}"
