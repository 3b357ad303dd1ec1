"""One endpoint: everything that is known of it, and why."""

import asyncio
from typing import Any, ClassVar

from typing_extensions import override

from inventory.model import Change, Endpoint
from tui.checks import Context
from tui.keymap import bindings
from tui.screens.sheet import Sheet
from tui.screens.triage import Triaging
from tui.session import Session
from tui.viewmodel import detail, neighbours
from tui.viewmodel.text import Line, Run, Tone, line


class EndpointPage(Triaging, Sheet):
    """Evidence, exposures, neighbours, posture with the request that decided it, what was asked, who decided what."""

    PLACE = "endpoint"
    BINDINGS: ClassVar[list[Any]] = bindings("endpoint")

    def __init__(self, session: Session, key: str) -> None:
        super().__init__(session, key)
        self.endpoint: Endpoint | None = None
        self._beside: tuple[Endpoint, ...] = ()
        self._changes: tuple[Change, ...] = ()
        self._version = -2
        self._reading = self.repeat(self._read)

    @property
    @override
    def headline(self) -> str:
        endpoint = self.endpoint
        return f"{endpoint.address}:{endpoint.port}" if endpoint else self.key[:12]

    @override
    def context(self) -> Context:
        state = self.session.snapshot.route_of(self.key)
        there = self.endpoint is not None
        route = state.revision if state else None
        return self.context_of(row=there, chosen=int(there), endpoint=self.endpoint, route=route)

    @override
    async def chosen(self) -> tuple[Endpoint, ...]:
        return (self.endpoint,) if self.endpoint else ()

    @override
    def news(self) -> None:
        if self.session.shown != self._version:
            self._reading.ask()

    async def _read(self) -> None:
        version = self.session.shown
        self.endpoint, self._beside, self._changes = await asyncio.to_thread(self._look_up)
        self._version = version
        self.redraw()

    def _look_up(self) -> tuple[Endpoint | None, tuple[Endpoint, ...], tuple[Change, ...]]:
        store = self.session.store
        endpoint = store.pages.rows([self.key]).get(self.key)
        beside = store.pages.beside(endpoint) if endpoint else ()
        return endpoint, tuple(beside), tuple(store.changes.list(self.key, 50))

    @override
    def lines(self, width: int) -> list[Line]:
        endpoint = self.endpoint
        if self._version < 0:
            return [line(Run("◌ reading …", Tone.INFO))]
        if endpoint is None:
            return [
                line(Run("It is no longer in the inventory: its observations fold into another one now.", Tone.WARN))
            ]
        snapshot = self.session.snapshot
        around = neighbours.section(endpoint, self._beside, snapshot.route_of(endpoint.id), snapshot.gateways, width)
        return detail.full(endpoint, self._changes, around, width, self.now)
