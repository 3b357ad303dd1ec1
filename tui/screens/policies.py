"""Who may call what: versions of the policies, whom the candidate would refuse, and who calls."""

import asyncio
from datetime import datetime, timedelta
from time import monotonic

from typing_extensions import override

from inventory.store import Store
from tui.screens.sheet import Sheet
from tui.session import Session
from tui.viewmodel import policies
from tui.viewmodel.policies import Governed
from tui.viewmodel.text import Line, Run, Tone, line, plural
from tui.wiring import policy_loader

AGAIN_AFTER = timedelta(seconds=10)
"""Calls wake nobody: while this screen is on top, the record is read as often."""

REST = 20
"""After reading the record, it is left alone for this many times as long as that took."""


class PoliciesPage(Sheet):
    """The versions that count, coverage, who would break, the gate, callers, keys in use, and the record."""

    PLACE = "policies"
    HEADLINE = "Policies"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._governed: Governed | None = None
        self._due_at: datetime | None = None
        self._reading = self.repeat(self._read)

    @override
    def news(self) -> None:
        if self._due_at is None or self.now >= self._due_at:
            self._reading.ask()

    async def _read(self) -> None:
        began = monotonic()
        self._governed = await asyncio.to_thread(read, self.session.store, self.now)
        self._due_at = self.now + max(AGAIN_AFTER, timedelta(seconds=REST * (monotonic() - began)))
        self.redraw()

    @override
    def lines(self, width: int) -> list[Line]:
        if self._governed is None:
            return [line(Run("◌ reading …", Tone.INFO))]
        return policies.page(self._governed, width, self.now)

    @override
    def note(self) -> str:
        if self._governed is None:
            return ""
        governed = self._governed
        return f"{plural(len(governed.versions), 'version')} · {plural(len(governed.callers), 'caller')}"


def read(store: Store, now: datetime) -> Governed:
    """Read it all. StoreError. Where a version cannot be read here, what policies look at is not known."""
    from router.audit.evidence import against, evidence
    from router.errors import RouteError

    unread = ""
    try:
        found = evidence(store, policy_loader(), now)
    except RouteError as error:
        unread = f"the policies cannot be read here: {error}"
        found = evidence(store, None, now)
    why = against(found, now)
    callers = sorted(store.principals.list(), key=lambda one: one.last_seen, reverse=True)
    return Governed(found, tuple(store.policies.list()), tuple(callers), tuple(why), unread)
