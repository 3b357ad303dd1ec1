"""Every route: the live split, what is in force, and whether the shadow agrees."""

from typing import Any, ClassVar

from typing_extensions import override

from tui.checks import Context
from tui.keymap import bindings
from tui.screens.listing import Listing
from tui.screens.steering import Steering
from tui.viewmodel import routes
from tui.viewmodel.text import Line, plural
from tui.widgets.table import RowTable


class RoutesPage(Steering, Listing):
    """The routes, by name."""

    PLACE = "routes"
    BINDINGS: ClassVar[list[Any]] = bindings("routes")
    HEADLINE = "Routes"

    @override
    def fill(self, table: RowTable) -> None:
        snapshot = self.session.snapshot
        table.show(routes.table(snapshot.routes, snapshot.gateways))

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        snapshot = self.session.snapshot
        state = snapshot.route(key)
        if state is None:
            return []
        ladder = [(), *routes.rollout(state.rollout, width, self.now)] if state.rollout else []
        return [*routes.detail(state, snapshot.gateways, width, self.now), *ladder]

    @override
    def open_row(self, key: str) -> None:
        self.gnomon.open("route", key)

    @override
    def context(self) -> Context:
        state = self.session.snapshot.route(self.table.key if self.is_mounted else None)
        return self.context_of_route(state)

    @override
    def note(self) -> str:
        snapshot = self.session.snapshot
        return f"{plural(len(snapshot.routes), 'route')} · {plural(len(snapshot.gateways), 'gateway')}"
