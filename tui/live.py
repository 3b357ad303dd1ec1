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
PAUSE = 0.5
"""Seconds between one snapshot and the next: with the reading itself, changes appear within a second."""
REST = 3.0
"""After reading a snapshot, the store is left alone for this many times as long as that took, where that is longer."""


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

    def hurry(self) -> None:
        """Have the next look read a snapshot, whatever was read lately."""
        self._rest_until = 0.0

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
        if self._behind(version) and monotonic() >= self._rest_until:
            self._snapshot.ask()
        self._app.tell_news()
        self._quiet = 0 if news else self._quiet + 1
        if self._quiet >= REDRAW_LOOKS:
            self._quiet = 0
            gateways = tuple(await asyncio.to_thread(session.store.gateways.list))
            session.snapshot = replace(session.snapshot, gateways=gateways)
            self._app.redraw()

    def _behind(self, version: int) -> bool:
        """Whether the snapshot lacks something that the screen on top shows."""
        snapshot = self._session.snapshot
        return snapshot.version != version or (self._app.shows_figures and snapshot.figures_of != version)

    async def _read(self) -> None:
        session = self._session
        async with session.one_at_a_time:
            started = monotonic()
            figures = self._app.shows_figures or not session.loaded
            snapshot = await asyncio.to_thread(read, session.store, session.clock(), session.snapshot, figures=figures)
        self._rest_until = monotonic() + max(PAUSE, REST * (monotonic() - started))
        if not (session.frozen and session.loaded):
            first = not session.loaded
            session.snapshot, session.loaded = snapshot, True
            self._app.redraw()
            if first:
                self._app.call_after_refresh(self._app.ready)

    def _failed(self, error: StoreError) -> None:
        self._stale(str(error))

    def _fresh(self) -> None:
        if self._session.stale_since is not None:
            self._session.stale_since = None
            self._app.draw_bars()

    def _stale(self, why: str) -> None:
        self._session.stale_why = why
        if self._session.stale_since is None:
            self._session.stale_since = self._session.clock()
            self._app.notify(why, title="What you see is stale", severity="warning", markup=False)
        self._app.draw_bars()
