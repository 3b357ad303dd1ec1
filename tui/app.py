"""The terminal UI: holds the session, follows the store, and carries out actions."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, ClassVar

from textual.app import App

from inventory.model import utc_now
from inventory.settings import Settings
from inventory.store import Store, StoreError
from tui.actions import BY_ID, Context
from tui.changes import Edit
from tui.keymap import keymap
from tui.palette import Commands
from tui.screens.base import Page
from tui.screens.endpoints import EndpointsPage
from tui.screens.gaps import GapsPage
from tui.screens.help import HelpPage
from tui.screens.pulse import PulsePage
from tui.screens.routes import RoutesPage
from tui.screens.scans import ScansPage
from tui.screens.triage import REFUSALS
from tui.session import Session, empty
from tui.snapshot import read
from tui.theme.themes import DEFAULTS, THEMES
from tui.viewmodel.state import Snapshot

LOOK_SECONDS = 0.25
REDRAW_LOOKS = 40
"""After this many looks without news, ages are drawn anew and gateways asked for their heartbeat."""
SLOW_LOOKS = 12
"""A look that takes as long as this many is called stale."""
REST = 1.0
"""After reading a snapshot, the store is left alone for this many times as long as that took."""
ROOT_DEPTH = 2
"""Textual's own blank screen, and one of the first screens on it; what is above was opened from there."""
ROOTS: Mapping[str, type[Page]] = {
    "pulse": PulsePage, "endpoints": EndpointsPage, "gaps": GapsPage, "routes": RoutesPage, "scans": ScansPage,
}  # fmt: skip


class GnomonApp(App[None]):
    """The terminal UI on one store. ``keys`` maps action ids to keys; ``clock`` gives the present moment, in UTC."""

    TITLE = "gnomon"
    CSS_PATH = "theme/gnomon.tcss"
    COMMANDS: ClassVar[set[Any]] = {Commands}
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"

    def __init__(
        self,
        store: Store,
        settings: Settings,
        read_only: bool = False,
        *,
        keys: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Raises KeymapError, with a sentence, where ``keys`` cannot be used."""
        chosen = keymap(keys)
        super().__init__()
        self.session = Session(store, settings, clock, chosen, read_only, empty(clock()))
        self._visited: list[str] = []
        self._looking = 0
        self._quiet = 0
        self._rest_until = 0.0
        self._gc_threshold = gc.get_threshold()
        for name, page in ROOTS.items():
            self.install_screen(page(self.session), name)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.set_keymap({action_id: ",".join(chosen.keys[action_id]) for action_id in keys or {}})

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours that a theme of somebody else doesn't know."""
        return DEFAULTS

    def on_mount(self) -> None:
        """Show the first screen and begin to follow the store."""
        # A snapshot is a million objects without cycles. Walking through them again and again to look for
        # some is most of the cost of reading one, and stops the screen for that long.
        gc.set_threshold(200_000, 50, 1000)
        self.push_screen("pulse")
        self.set_interval(LOOK_SECONDS, self._tick)
        self._tick()

    def on_unmount(self) -> None:
        """Leave the process as it was found."""
        gc.set_threshold(*self._gc_threshold)

    # Following the store

    def _tick(self) -> None:
        if self._looking:
            self._looking += 1
            if self._looking == SLOW_LOOKS and self.session.loaded:
                self._stale("the database takes long to answer")
            return
        if monotonic() < self._rest_until:
            return
        self._looking = 1
        self.run_worker(self._look(), group="live", exclusive=False)

    async def action_look(self) -> None:
        """Look at once, after a change of one's own."""
        if not self._looking:
            self._looking = 1
            await self._look()

    async def _look(self) -> None:
        session = self.session
        try:
            version = await asyncio.to_thread(session.store.version)
            if version != session.newest.version:
                started = monotonic()
                snapshot = await asyncio.to_thread(read, session.store, session.clock())
                self._rest_until = monotonic() + REST * (monotonic() - started)
                self._fresh()
                self._take(snapshot)
            else:
                self._fresh()
                await self._when_quiet()
        except StoreError as error:
            self._stale(str(error))
        finally:
            self._looking = 0

    async def _when_quiet(self) -> None:
        self._quiet += 1
        if self._quiet < REDRAW_LOOKS:
            return
        self._quiet = 0
        gateways = tuple(await asyncio.to_thread(self.session.store.gateways.list))
        if not self.session.frozen:
            self.session.snapshot = replace(self.session.snapshot, gateways=gateways)
            self._redraw()

    def _take(self, snapshot: Snapshot) -> None:
        session = self.session
        self._quiet = 0
        if session.frozen and session.loaded:
            session.waiting = snapshot
            self._bars()
            return
        session.snapshot, session.waiting, session.loaded = snapshot, None, True
        self._redraw()

    async def settled(self) -> None:
        """Return once the first snapshot is shown and no worker is busy: for pictures and tests."""
        await self.workers.wait_for_complete()
        while not self.session.loaded and self.session.stale_since is None:
            await asyncio.to_thread(self.session.store.version)
            await self.workers.wait_for_complete()

    def _fresh(self) -> None:
        if self.session.stale_since is not None:
            self.session.stale_since = None
            self._bars()

    def _stale(self, why: str) -> None:
        session = self.session
        if session.stale_since is None:
            session.stale_since = session.clock()
            self.notify(why, title="What you see is stale", severity="warning", markup=False)
        self._bars()

    def _redraw(self) -> None:
        if isinstance(self.screen, Page) and self.screen.is_mounted:
            self.screen.redraw()
        else:
            self._bars()

    def _bars(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, Page) and screen.is_mounted:
                screen.draw_bars()

    # Actions

    async def action_perform(self, action_id: str) -> None:
        """Carry out an action of the registry, or say why it cannot run."""
        action = BY_ID[action_id]
        context = self.screen.context() if isinstance(self.screen, Page) else Context(place="")
        if reason := action.blocked(context):
            self.notify(f"{action.title}: {reason}.", severity="warning", markup=False, timeout=3)
            return
        focused = self.focused
        nodes = [*(focused.ancestors_with_self if focused else (self.screen,)), self]
        for node in nodes:
            handler = getattr(node, action.handler, None)
            if handler is not None:
                done = handler()
                if asyncio.iscoroutine(done):
                    done = await done
                if done is not False:
                    return

    def _do_go_pulse(self) -> None:
        self._go("pulse")

    def _do_go_endpoints(self) -> None:
        self._go("endpoints")

    def _do_go_gaps(self) -> None:
        self._go("gaps")

    def _do_go_routes(self) -> None:
        self._go("routes")

    def _do_go_scans(self) -> None:
        self._go("scans")

    def _do_go_help(self) -> None:
        if isinstance(self.screen, Page) and not isinstance(self.screen, HelpPage):
            self.push_screen(HelpPage(self.session, self.screen.context()))

    def _do_go_back(self) -> None:
        if len(self.screen_stack) > ROOT_DEPTH:
            self.pop_screen()
        elif self._visited:
            self._go(self._visited.pop(), remember=False)

    def _do_live_freeze(self) -> None:
        session = self.session
        session.frozen = not session.frozen
        if not session.frozen and session.waiting is not None:
            session.snapshot, session.waiting = session.waiting, None
        self._redraw()

    async def _do_change_undo(self) -> None:
        await self._step_back(self.session.undo, self.session.redo)

    async def _do_change_redo(self) -> None:
        await self._step_back(self.session.redo, self.session.undo)

    def _do_app_palette(self) -> None:
        self.action_command_palette()

    def _do_app_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        at = names.index(self.theme) if self.theme in names else -1
        self.theme = names[(at + 1) % len(names)]
        self.notify(self.theme, markup=False, timeout=2)

    def _do_app_quit(self) -> None:
        self.exit()

    async def _step_back(self, source: list[Edit], target: list[Edit]) -> None:
        edit = source.pop()
        try:
            opposite = await asyncio.to_thread(edit.inverse)
        except REFUSALS as error:
            source.append(edit)
            self.notify(str(error), title="Nothing was changed", severity="error", markup=False)
            return
        target.append(opposite)
        self.notify(opposite.title, markup=False, timeout=3)
        await self.action_look()

    # Screens

    def _go(self, name: str, *, remember: bool = True) -> None:
        """To one of the first screens, as it was left. What was opened from another one closes."""
        while len(self.screen_stack) > ROOT_DEPTH:
            self.pop_screen()
        here = self.screen
        if not isinstance(here, Page) or name == here.PLACE:
            return
        if remember:
            self._visited = [*self._visited[-20:], here.PLACE]
        self.switch_screen(name)
