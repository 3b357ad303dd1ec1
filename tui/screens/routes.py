"""Routes: what is desired and what is in force, the live split, and whether the shadow agrees."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from textual import work
from typing_extensions import override

from inventory.model import Revision, RouteSpec
from tui import changes
from tui.actions import Context
from tui.keymap import bindings
from tui.screens.form import Field, Form
from tui.screens.listing import Listing
from tui.screens.sheet import Sheet
from tui.screens.triage import Changing
from tui.session import Session
from tui.viewmodel import routes, triage
from tui.viewmodel.copy import value_json
from tui.viewmodel.text import Line, Run, Tone, line, plural
from tui.widgets.table import RowTable

Shift = tuple[dict[str, int], str]


def read_shift(spec: RouteSpec, values: Mapping[str, str]) -> Shift:
    """Weights and reason from the form. ValueError until the route's name is typed as well."""
    weights = triage.weights(spec, {b.name: values[f"weight-{b.name}"] for b in spec.backends})
    why = triage.reason(values["why"])
    if values["name"].strip() != spec.name:
        raise ValueError(f"type the route's name, {spec.name}, to move its live requests")
    return weights, why


class Routing(Changing):
    """A screen on which the weights of a route can be moved."""

    @work
    async def _do_route_shift(self) -> None:
        revision = self.context().route
        if revision is None or revision.spec is None:
            return
        spec = revision.spec
        form = Form(
            f"Shift {spec.name} (revision {revision.number})",
            routes.preview(spec, {}, 60)[:1],
            (
                *(
                    Field(f"weight-{b.name}", f"{b.name}, percent of live requests", str(b.weight))
                    for b in spec.backends
                ),
                Field("why", "Why", "", "the shadow agrees on 12,000 pairs"),
                Field("name", f"Live requests move. Type the route's name: {spec.name}"),
            ),
            partial(read_shift, spec),
            lambda value, width: routes.preview(spec, value[0], width),
            verb="Shift",
        )
        if chosen := await self.app.push_screen_wait(form):
            who = self.session.settings.actor
            await self.make(partial(changes.shift, self.session.store, revision, chosen[0], who, chosen[1]))

    def _do_copy_json(self) -> None:
        if revision := self.context().route:
            self.app.copy_to_clipboard(value_json(revision))
            self.app.notify(f"Copied {revision.route} as JSON.", markup=False, timeout=2)


class RoutePage(Routing, Sheet):
    """One route, everything about it."""

    PLACE = "route"
    BINDINGS: ClassVar[list[Any]] = bindings("route")

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session)
        self.route_name = name

    @property
    @override
    def headline(self) -> str:
        return self.route_name

    @override
    def context(self) -> Context:
        return self.context_of(route=_revision(self.session, self.route_name))

    @override
    def lines(self, width: int) -> list[Line]:
        snapshot = self.session.snapshot
        state = snapshot.route(self.route_name)
        if state is None:
            return [line(Run("The route was removed: its callers reach the endpoint directly again.", Tone.WARN))]
        return routes.detail(state, snapshot.gateways, width, self.now)


class RoutesPage(Routing, Listing):
    """Every route."""

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
        return routes.detail(state, snapshot.gateways, width, self.now) if state else []

    @override
    def open_row(self, key: str) -> None:
        self.app.push_screen(RoutePage(self.session, key))

    @override
    def context(self) -> Context:
        return self.context_of(route=_revision(self.session, self.table.key))

    @override
    def note(self) -> str:
        snapshot = self.session.snapshot
        return f"{plural(len(snapshot.routes), 'route')} · {plural(len(snapshot.gateways), 'gateway')}"


def _revision(session: Session, name: str | None) -> Revision | None:
    state = session.snapshot.route(name)
    return state.revision if state else None
