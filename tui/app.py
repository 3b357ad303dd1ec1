"""The terminal UI: holds the session and the screens, and carries out what belongs to no screen."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App

from inventory.model import utc_now
from inventory.settings import Settings
from inventory.store import Store
from tui.actions import BY_ID
from tui.changes import Edit
from tui.checks import Context
from tui.history import Location, Opened
from tui.keymap import keymap
from tui.live import LOOK_SECONDS, Live
from tui.palette import Commands
from tui.screens.base import Page
from tui.screens.changing import REFUSALS
from tui.screens.registry import FIRST, OPENED
from tui.session import Session, empty
from tui.theme.themes import DEFAULTS, SIXTEEN, THEMES, chosen_theme, no_colour

if TYPE_CHECKING:
    from tui.screens.filtering import Filtering

ROOT_DEPTH = 2
"""Textual's own blank screen, and one of the first screens on it; what is above was opened from there."""


class GnomonApp(App[None]):
    """The terminal UI on one store. ``keys`` maps action ids to keys; ``clock`` gives the present moment, in UTC."""

    TITLE = "gnomon"
    CSS_PATH = Path(__file__).parent / "theme" / "gnomon.tcss"
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
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """``ready`` is called once the first screen shows what the store holds.

        Raises KeymapError, with a sentence, where ``keys`` cannot be used.
        """
        chosen = keymap(keys)
        # Without colours the terminal's own are kept, and a filter of Textual's takes those out.
        colourless = no_colour()
        super().__init__(ansi_color=True if colourless else None)
        self.session = Session(store, settings, clock, chosen, read_only, empty(clock()))
        self._live = Live(self, self.session)
        self.ready = ready
        for name, page in FIRST.items():
            self.install_screen(page(self.session), name)
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = SIXTEEN if colourless else chosen_theme(self.session.kept.theme)
        self.set_keymap({action_id: ",".join(chosen.keys[action_id]) for action_id in keys or {}})

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours that a theme of somebody else doesn't know."""
        return DEFAULTS

    def on_mount(self) -> None:
        """Show the first screen and begin to follow the store."""
        self.push_screen(self.session.history.here.root)
        self.set_interval(LOOK_SECONDS, self._live.tick)
        self._live.tick()

    # What follows the store tells the screen through these.

    async def action_look(self) -> None:
        """Look at once, after a change of one's own."""
        self.hurry()
        if (page := self._on_top()) is not None:
            page.hurry()
        await self._live.look()

    def hurry(self) -> None:
        """Read a snapshot at the next look, whatever was read lately."""
        self._live.hurry()

    async def settled(self) -> None:
        """Return once everything that was asked for is read: for pictures and tests."""
        while self.session.version < 0 and self.session.stale_since is None:
            await self._live.look()
            await self._live.looked()
        await self.session.busy.wait()

    def tell_news(self) -> None:
        """Let the screen on top look at what it shows of endpoints."""
        if (page := self._on_top()) is not None:
            page.news()

    def redraw(self) -> None:
        """Draw the screen on top from a newer snapshot."""
        if (page := self._on_top()) is not None:
            page.redraw()
        else:
            self.draw_bars()

    def _on_top(self) -> Page | None:
        """The page on top; None under a form, and while the app comes or goes."""
        top = self.screen_stack[-1] if self.screen_stack else None
        return top if isinstance(top, Page) and top.is_mounted else None

    @property
    def shows_figures(self) -> bool:
        """Whether the screen on top shows figures of the whole inventory."""
        page = self._on_top()
        return page is not None and page.FIGURES

    def draw_bars(self) -> None:
        """Draw the bars of every page."""
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
        if isinstance(self.screen, Page):
            nodes.extend(node for node in self.screen.performers() if node not in nodes)
        for node in nodes:
            handler = getattr(node, action.handler, None)
            if handler is not None:
                done = handler()
                if asyncio.iscoroutine(done):
                    done = await done
                if done is not False:
                    return

    def _do_go_pulse(self) -> None:
        self.show(Location("pulse"))

    def _do_go_endpoints(self) -> None:
        self.show(Location("endpoints"))

    def _do_go_gaps(self) -> None:
        self.show(Location("gaps"))

    def _do_go_routes(self) -> None:
        self.show(Location("routes"))

    def _do_go_scans(self) -> None:
        self.show(Location("scans"))

    def _do_go_policies(self) -> None:
        self.show(Location("policies"))

    def _do_go_space(self) -> None:
        if isinstance(self.screen, Page) and self.screen.PLACE != "space":
            self.open("space", "all")

    def _do_go_help(self) -> None:
        if isinstance(self.screen, Page) and self.screen.PLACE != "help":
            self.open("help", self.screen.PLACE)

    def _do_go_up(self) -> None:
        here = self.session.history.here
        if here.opened:
            self.show(Location(here.root, here.opened[:-1]))
        elif self.session.history.can_back:
            self._do_go_back()

    def _do_go_back(self) -> None:
        self.session.history = self.session.history.back()
        self._arrive(self.session.history.here)

    def _do_go_forward(self) -> None:
        self.session.history = self.session.history.forward()
        self._arrive(self.session.history.here)

    async def _do_live_freeze(self) -> None:
        self.session.frozen = not self.session.frozen
        self.draw_bars()
        if not self.session.frozen:
            await self.action_look()

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
        self.session.keep(theme=self.theme)
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

    def open(self, place: str, key: str) -> None:
        """Open a page about something on top of what is shown."""
        here = self.session.history.here
        self.show(Location(here.root, (*here.opened, Opened(place, key))))

    def list_endpoints(self, text: str) -> None:
        """Go to the list of endpoints, with a filter."""
        self.show(Location("endpoints"))
        listing = cast("Filtering", self.get_screen("endpoints"))
        self.call_after_refresh(listing.set_filter, text)

    def show(self, location: Location) -> None:
        """Go somewhere; back leads here again."""
        if location != self.session.history.here:
            self.session.history = self.session.history.go(location)
            self._arrive(location)

    def _arrive(self, location: Location) -> None:
        """Make the screens those of a location, keeping the ones that are there already."""
        shown = [page.opened for page in self.screen_stack if isinstance(page, Page) and page.opened]
        root = next(page.PLACE for page in self.screen_stack if isinstance(page, Page))
        kept = 0
        if root == location.root:
            while kept < min(len(shown), len(location.opened)) and shown[kept] == location.opened[kept]:
                kept += 1
        while len(self.screen_stack) > ROOT_DEPTH + kept:
            self.pop_screen()
        if root != location.root:
            self.switch_screen(location.root)
        for opened in location.opened[kept:]:
            self.push_screen(OPENED[opened.place](self.session, opened.key))
