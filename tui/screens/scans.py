"""What was scanned, and what stays unknown."""

from collections.abc import Iterable

from textual.widget import Widget
from typing_extensions import override

from tui.screens.base import Page
from tui.viewmodel import scans
from tui.viewmodel.text import plural
from tui.widgets.bar import Bar, Item
from tui.widgets.table import RowTable


class ScansPage(Page):
    """Every scan with its account: where its probes went."""

    PLACE = "scans"
    HEADLINE = "Scans"

    @override
    def body(self) -> Iterable[Widget]:
        yield RowTable(id="table")

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        super().on_mount()
        self.query_one(RowTable).focus()

    @override
    def draw(self) -> None:
        self.query_one(RowTable).show(scans.table(self.session.snapshot.scans, self.now))

    @override
    def draw_bars(self) -> None:
        super().draw_bars()
        crumbs = self.query_one("#crumbs", Bar)
        crumbs.show(crumbs.left, (Item(scans.LEGEND),))

    @override
    def note(self) -> str:
        return plural(len(self.session.snapshot.scans), "scan")
