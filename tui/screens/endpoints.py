"""Everything that was found: the table, and the detail of the row under the cursor."""

from typing import Any, ClassVar

from textual import on
from typing_extensions import override

from inventory.model import Endpoint
from inventory.query import Query, QueryError, parse
from tui.actions import Context
from tui.keymap import bindings
from tui.screens.endpoint import EndpointPage
from tui.screens.listing import Listing
from tui.screens.triage import Triaging
from tui.session import Session
from tui.viewmodel import detail, endpoints
from tui.viewmodel.text import Line
from tui.widgets.table import RowTable


class EndpointsPage(Triaging, Listing):
    """The inventory."""

    PLACE = "endpoints"
    BINDINGS: ClassVar[list[Any]] = bindings("endpoints")
    HEADLINE = "Endpoints"
    FILTER = "kind:notebook posture:open -owner:* seen<7d risk>70 or any words"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.query_in_force = Query()
        self.order = endpoints.Order()
        self.marked: set[str] = set()
        self._shown = 0

    @override
    def fill(self, table: RowTable) -> None:
        snapshot, now = self.session.snapshot, self.now
        rows = endpoints.select(snapshot.endpoints, self.query_in_force, self.order, now)
        if self.session.loaded:
            self.marked &= snapshot.by_id.keys()
        self._shown = len(rows)
        shown = endpoints.table(
            rows, self.order, now, known=len(snapshot.endpoints), filtered=bool(self.query_in_force.terms)
        )
        table.show(shown, self.marked)

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        endpoint = self.session.snapshot.by_id.get(key)
        return detail.pane(endpoint, width, self.now) if endpoint else []

    @override
    def open_row(self, key: str) -> None:
        self.app.push_screen(EndpointPage(self.session, key))

    @override
    def context(self) -> Context:
        return self.context_of(endpoints=self._chosen())

    @override
    def note(self) -> str:
        if self.filter_error:
            return self.filter_error
        known = len(self.session.snapshot.endpoints)
        return endpoints.counted(self._shown, known, self.marked)

    @override
    def accept_filter(self, text: str) -> str:
        try:
            self.query_in_force = parse(text)
        except QueryError as error:
            return str(error)
        self.filter_text = text
        return ""

    @override
    def decided(self) -> None:
        self.marked.clear()
        self.draw()

    def _do_find_sort(self) -> None:
        self._sort(self.order.next())

    def _do_find_reverse(self) -> None:
        self._sort(self.order.reversed())

    @on(RowTable.Sorted)
    def _clicked(self, message: RowTable.Sorted) -> None:
        same = message.column == self.order.by
        self._sort(self.order.reversed() if same else endpoints.natural(message.column))

    def _do_mark_toggle(self) -> None:
        if key := self.table.key:
            self.marked ^= {key}
            self.table.step(1)
            self.draw()
            self.draw_bars()

    def _do_mark_all(self) -> None:
        shown = set(self.table.keys_shown)
        self.marked = self.marked - shown if shown <= self.marked else self.marked | shown
        self.draw()
        self.draw_bars()

    def _sort(self, order: endpoints.Order) -> None:
        self.order = order
        self.draw()
        self.draw_bars()

    def _chosen(self) -> tuple[Endpoint, ...]:
        by_id = self.session.snapshot.by_id
        keys = sorted(self.marked) if self.marked else [self.table.key or ""]
        return tuple(by_id[key] for key in keys if key in by_id)
