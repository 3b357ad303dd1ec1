"""The map of the address space."""

import asyncio
import ipaddress
from datetime import timedelta

from typing_extensions import override

from tui.screens.sheet import Sheet
from tui.session import Session
from tui.viewmodel import space
from tui.viewmodel.text import Line, Run, Tone, line


class SpacePage(Sheet):
    """What was scanned, what is stale, what never was, and hosts where nobody looked."""

    PLACE = "space"
    HEADLINE = "Address space"

    def __init__(self, session: Session, key: str) -> None:
        super().__init__(session, key)
        self._hosts: space.Hosts = {}
        self._version = -2
        self._reading = self.repeat(self._read)

    @override
    def news(self) -> None:
        if self.session.snapshot.version != self._version:
            self._reading.ask()

    async def _read(self) -> None:
        version = self.session.snapshot.version
        found = await asyncio.to_thread(self.session.store.pages.blocks)
        self._hosts = {(site, ipaddress.ip_network(network)): count for site, network, count in found}
        self._version = version
        self.redraw()

    @override
    def lines(self, width: int) -> list[Line]:
        if self._version < -1:
            return [line(Run("◌ reading …", Tone.INFO))]
        snapshot, stale = self.session.snapshot, timedelta(seconds=self.session.settings.stale_after)
        scopes = [scope for scope in snapshot.scopes if self.key in {"all", scope.name}]
        return space.page(scopes, snapshot.scans, self._hosts, width, self.now, stale)
