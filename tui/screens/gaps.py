"""What is still ungoverned, and why; and the map of what was scanned."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar

from textual import events, on
from textual.containers import Vertical
from textual.widget import Widget
from typing_extensions import override

from tui.checks import Context
from tui.keymap import bindings
from tui.screens.inventory import Inventory
from tui.session import Session
from tui.viewmodel import spots
from tui.viewmodel.spots import Spot
from tui.viewmodel.text import Line
from tui.widgets.table import HEADER, RowTable

MOST_ROWS = 8
"""Rows of the map that are in view at most; it scrolls."""
SHARE = 3
"""The map takes one line of so many, where the terminal is low."""


class GapsPage(Inventory):
    """The map on top: scopes, namespaces, known hosts in unscanned space. Below, what nobody governs."""

    PLACE = "gaps"
    BINDINGS: ClassVar[list[Any]] = bindings("gaps")
    HEADLINE = "Gaps"
    GAPS = True
    DEFAULT = ("risk", "endpoint", "kind", "why", "owner")

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.map = RowTable(id="map")
        self._spots: dict[str, Spot] = {}
        self._mapped = -1
        self._mapping = self.repeat(self._read_map)

    @override
    def body(self) -> Iterable[Widget]:
        yield Vertical(self.map, self.table, id="gaps")
        yield self.pane

    @override
    def news(self) -> None:
        super().news()
        if self.session.loaded and self.session.snapshot.version != self._mapped:
            self._mapping.ask()

    async def _read_map(self) -> None:
        session, snapshot = self.session, self.session.snapshot
        stale = timedelta(seconds=session.settings.stale_after)

        def read() -> tuple[Spot, ...]:
            flags, known = session.store.coverage.red_flags(), session.store.pages.namespaces()
            return spots.spots(snapshot.scopes, snapshot.scans, flags, known, self.now, stale)

        found = await asyncio.to_thread(read)
        self._spots, self._mapped = {spot.key: spot for spot in found}, snapshot.version
        self.draw()
        self.draw_bars()

    # Showing

    @override
    def fill(self, table: RowTable) -> None:
        super().fill(table)
        self.map.show(spots.table(tuple(self._spots.values()), self.now, loaded=self._mapped >= 0))
        self._fit_map()

    def _fit_map(self) -> None:
        """As many lines as it has rows, and no more than its share."""
        most = max(min(MOST_ROWS, (self.size.height or 24) // SHARE - HEADER - 1), 2)
        height = HEADER + max(min(len(self._spots), most), 2)
        if self.map.styles.height is None or self.map.styles.height.value != height:
            self.map.styles.height = height

    def on_resize(self) -> None:
        """Lay out for the new size."""
        super().on_resize()
        self._fit_map()

    @override
    def note(self) -> str:
        found = spots.counted(tuple(self._spots.values()))
        return f"{super().note()} · map: {found}" if found and not self.filter_error else super().note()

    @override
    def known(self) -> int:
        return self.session.snapshot.open

    @override
    def nothing(self) -> tuple[str, ...]:
        if self.feed.loaded and not self.feed.query.terms:
            return ("● No gap is known.", "Every ML endpoint that was found is governed.")
        return super().nothing()

    # The map

    @property
    @override
    def front(self) -> RowTable:
        return self.map if self.is_mounted and self.map.has_focus else self.table

    @override
    def context(self) -> Context:
        """On the map no endpoint is chosen, so that no key decides about one that is not looked at."""
        return self.context_of(row=self.map.key is not None) if self.front is self.map else super().context()

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        spot = self._spots.get(key)
        return spots.pane(spot, width, self.now) if spot else super().pane_lines(key, width)

    @override
    def open_row(self, key: str) -> None:
        spot = self._spots.get(key)
        if spot is None:
            super().open_row(key)
        elif spot.filter:
            self.gnomon.list_endpoints(spot.filter)
        else:
            self.gnomon.open("space", key.removeprefix("scope:") if key.startswith("scope:") else "all")

    def _do_pane_next(self) -> None:
        """From the map to the gaps to the detail, and around."""
        around = [self.map, self.table, *([self.pane] if self.pane.display else [])]
        at = next((n for n, each in enumerate(around) if each.has_focus), 0)
        around[(at + 1) % len(around)].focus()

    @on(events.DescendantFocus)
    def _looked_elsewhere(self) -> None:
        self.draw_pane()
        self.draw_bars()
