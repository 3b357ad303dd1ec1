"""One route: what is desired and what is in force, the live split, and whether the shadow agrees."""

import asyncio
from typing import Any, ClassVar

from typing_extensions import override

from inventory.model import Revision
from tui.checks import Context
from tui.keymap import bindings
from tui.screens.sheet import Sheet
from tui.screens.steering import Steering
from tui.session import Session
from tui.viewmodel import moves, routes
from tui.viewmodel.text import Line, Run, Tone, line


class RoutePage(Steering, Sheet):
    """Everything about one route, with its revisions and what gateways still have to do for it."""

    PLACE = "route"
    BINDINGS: ClassVar[list[Any]] = bindings("route")

    def __init__(self, session: Session, key: str) -> None:
        super().__init__(session, key)
        self._history: tuple[Revision, ...] = ()
        self._version = -2
        self._reading = self.repeat(self._read)

    @property
    @override
    def headline(self) -> str:
        return self.key

    @override
    def context(self) -> Context:
        state = self.session.snapshot.route(self.key)
        return self.context_of_route(state)

    @override
    def news(self) -> None:
        if self.session.shown != self._version:
            self._reading.ask()

    async def _read(self) -> None:
        version = self.session.shown
        self._history = tuple(await asyncio.to_thread(self.session.store.routes.history, self.key))
        self._version = version
        self.redraw()

    @override
    def lines(self, width: int) -> list[Line]:
        snapshot = self.session.snapshot
        state = snapshot.route(self.key)
        if state is None:
            said = "The route was removed: callers that use its name get 404."
            return [line(Run(said, Tone.WARN)), (), *routes.revisions(self._history, width, self.now)]
        pending = moves.pending(state.revision, [each.revision for each in snapshot.routes], snapshot.gateways)
        ladder = [*routes.rollout(state.rollout, width, self.now), ()] if state.rollout else []
        return [
            *routes.detail(state, snapshot.gateways, width, self.now), (), *ladder, *routes.pending(pending, width), (),
            *routes.revisions(self._history, width, self.now),
        ]  # fmt: skip
