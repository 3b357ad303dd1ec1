"""One endpoint: everything that is known of it, and why."""

import asyncio
from typing import Any, ClassVar

from textual import work
from typing_extensions import override

from inventory.model import Change, Endpoint
from inventory.store import StoreError
from tui.actions import Context
from tui.keymap import bindings
from tui.screens.sheet import Sheet
from tui.screens.triage import Triaging
from tui.session import Session
from tui.viewmodel import detail
from tui.viewmodel.text import Line, Run, Tone, line
from tui.widgets.document import Document


class EndpointPage(Triaging, Sheet):
    """Evidence, exposures, posture with the request that decided it, what was asked, who decided what."""

    PLACE = "endpoint"
    BINDINGS: ClassVar[list[Any]] = bindings("endpoint")

    def __init__(self, session: Session, endpoint_id: str) -> None:
        super().__init__(session)
        self.endpoint_id = endpoint_id
        self._changes: tuple[Change, ...] = ()
        self._version = -2

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint as the snapshot has it; None once it is gone from the inventory."""
        return self.session.snapshot.by_id.get(self.endpoint_id)

    @property
    @override
    def headline(self) -> str:
        endpoint = self.endpoint
        return f"{endpoint.address}:{endpoint.port}" if endpoint else self.endpoint_id[:12]

    @override
    def context(self) -> Context:
        return self.context_of(endpoints=(self.endpoint,) if self.endpoint else ())

    @override
    def draw(self) -> None:
        super().draw()
        if self.session.snapshot.version != self._version:
            self._version = self.session.snapshot.version
            self._read_changes()

    @override
    def lines(self, width: int) -> list[Line]:
        endpoint = self.endpoint
        if endpoint is None:
            return [
                line(Run("It is no longer in the inventory: its observations fold into another one now.", Tone.WARN))
            ]
        return detail.full(endpoint, self._changes, width, self.now)

    @work(exclusive=True, group="history")
    async def _read_changes(self) -> None:
        try:
            found = await asyncio.to_thread(self.session.store.changes.list, self.endpoint_id, 50)
        except StoreError as error:
            self.app.notify(str(error), severity="warning", markup=False)
            return
        self._changes = tuple(found)
        self.query_one("#page", Document).show(self.lines)
