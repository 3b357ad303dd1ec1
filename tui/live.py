"""Following the store: looks for news four times a second, tells the screen, and says when it cannot."""

import asyncio
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from inventory.store import StoreError
from tui.repeat import Repeat
from tui.session import Session
from tui.snapshot import read

if TYPE_CHECKING:
    from tui.app import GnomonApp

LOOK_SECONDS = 0.25
REDRAW_LOOKS = 40
"""After this many looks without news, ages are drawn anew and gateways asked for their heartbeat."""
SLOW_LOOKS = 12
"""A look that takes as long as this many is called stale."""
REST = 3.0
"""After reading a snapshot, the store is left alone for this many times as long as that took."""


class Live:
    """Keeps a session at the newest version of its store, and draws the screen on top when that moves."""

    def __init__(self, app: "GnomonApp", session: Session) -> None:
        self._app, self._session = app, session
        self._looking = self._quiet = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._rest_until = 0.0
        self._snapshot = Repeat(session, self._read, lambda work: app.run_worker(work, group="live"), self._failed)

    def tick(self) -> None:
        """Look, unless a look is still under way."""
        if self._looking:
            self._looking += 1
            if self._looking == SLOW_LOOKS and self._session.loaded:
                self._stale("the database takes long to answer")
            return
        self._app.run_worker(self.look(), group="look", exclusive=False)

    async def look(self) -> None:
        """Look at once."""
        if self._looking:
            return
        self._looking = 1
        self._idle.clear()
        try:
            await self._look()
        except StoreError as error:
            self._failed(error)
        finally:
            self._looking = 0
            self._idle.set()

    async def looked(self) -> None:
        """Return once no look is under way."""
        await self._idle.wait()

    async def _look(self) -> None:
        session = self._session
        version = await asyncio.to_thread(session.store.version)
        self._fresh()
        news = version != session.version
        session.version = version
        if session.frozen and session.loaded:
            if news:
                self._app.draw_bars()
            return
        session.shown = version
        if session.snapshot.version != version and monotonic() >= self._rest_until:
            self._snapshot.ask()
        self._app.tell_news()
        self._quiet = 0 if news else self._quiet + 1
        if self._quiet >= REDRAW_LOOKS:
            self._quiet = 0
            gateways = tuple(await asyncio.to_thread(session.store.gateways.list))
            session.snapshot = replace(session.snapshot, gateways=gateways)
            self._app.redraw()

    async def _read(self) -> None:
        started = monotonic()
        snapshot = await asyncio.to_thread(read, self._session.store, self._session.clock())
        self._rest_until = monotonic() + REST * (monotonic() - started)
        if not (self._session.frozen and self._session.loaded):
            self._session.snapshot, self._session.loaded = snapshot, True
            self._app.redraw()

    def _failed(self, error: StoreError) -> None:
        self._stale(str(error))

    def _fresh(self) -> None:
        if self._session.stale_since is not None:
            self._session.stale_since = None
            self._app.draw_bars()

    def _stale(self, why: str) -> None:
        if self._session.stale_since is None:
            self._session.stale_since = self._session.clock()
            self._app.notify(why, title="What you see is stale", severity="warning", markup=False)
        self._app.draw_bars()
