"""What every screen shares: the bars around it, its place in the actions, and how it is redrawn."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget

from tui.actions import Context, hints
from tui.keymap import bindings
from tui.session import Session
from tui.viewmodel import chrome
from tui.viewmodel.text import Line, Run, Tone, line, width_of
from tui.widgets.bar import Bar, Item

LOGO = line(Run(" ◢ ", Tone.ACCENT), Run("gnomon ", Tone.STRONG))


class Page(Screen[None]):
    """A full screen. Subclasses name their ``PLACE``, compose ``body`` and fill it in ``draw``."""

    PLACE: ClassVar[str] = ""
    HEADLINE: ClassVar[str] = ""
    BINDINGS: ClassVar[list[Any]] = bindings("app")

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def body(self) -> Iterable[Widget]:
        """The widgets between the bars. None by default."""
        return ()

    def draw(self) -> None:
        """Fill the widgets from the session's snapshot. By default there is nothing to fill."""

    def context(self) -> Context:
        """What the actions of this screen could work on."""
        return self.context_of()

    def note(self) -> str:
        """What the screen says of itself beside its name."""
        return ""

    def trail(self) -> tuple[str, ...]:
        """The names from the first screen to this one."""
        pages = [screen for screen in self.app.screen_stack if isinstance(screen, Page)]
        return tuple(page.headline for page in pages)

    @property
    def headline(self) -> str:
        """The name of this screen."""
        return self.HEADLINE

    @property
    def now(self) -> datetime:
        """The present moment by the session's clock."""
        return self.session.clock()

    def context_of(self, **fields: Any) -> Context:
        """A context of this place with what is true of the whole session."""
        session = self.session
        return Context(
            place=self.PLACE,
            read_only=session.read_only,
            can_undo=bool(session.undo),
            can_redo=bool(session.redo),
            stale=session.stale_since is not None,
            **fields,
        )

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Bar(self.perform, id="title")
        yield Bar(self.perform, id="crumbs")
        yield Horizontal(*self.body(), id="body")
        yield Bar(self.perform, id="keys")

    def perform(self, action_id: str) -> None:
        """Have an action carried out, as if its key had been pressed."""
        self.call_later(self.app.run_action, f"app.perform('{action_id}')")

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        self.redraw()

    def on_screen_resume(self) -> None:
        """Draw what changed while another screen was on top."""
        self.redraw()

    def on_resize(self) -> None:
        """Lay out for the new size."""
        self.call_after_refresh(self.draw_bars)

    def redraw(self) -> None:
        """Draw what the session holds now."""
        self.draw()
        self.draw_bars()

    def draw_bars(self) -> None:
        """Draw the bars around the page."""
        width = self.app.size.width
        root = next((s.PLACE for s in self.app.screen_stack if isinstance(s, Page)), "")
        tabs = tuple(
            Item(chrome.tab(key, title, here=action == f"go.{root}", width=width), action)
            for action, key, title in chrome.TABS
        )
        logo = LOGO if width >= chrome.ROOMY else LOGO[:1]
        self.query_one("#title", Bar).show((Item(logo), *tabs), (Item(self._freshness(), "live.freeze"),))
        self.query_one("#crumbs", Bar).show((Item(chrome.crumbs(self.trail(), self.note())),))
        self.query_one("#keys", Bar).show(*self._hints(width))

    def _freshness(self) -> Line:
        session = self.session
        return chrome.freshness(
            self.now,
            loaded=session.loaded,
            stale_since=session.stale_since,
            frozen=session.frozen,
            held_back=session.waiting is not None,
            read_only=session.read_only,
        )

    def _hints(self, width: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        """As many hints as fit whole; help stays at the right edge whatever the width."""
        context, keys = self.context(), self.session.keys
        items = [
            Item(chrome.hint(keys.first(a), a.title, blocked=a.blocked(context) is not None), a.id)
            for a in hints(self.PLACE)
        ]
        helping = tuple(item for item in items if item.action == "go.help")
        room = width - sum(width_of(item.runs) for item in helping)
        shown: list[Item] = []
        for item in items:
            if item in helping:
                continue
            room -= width_of(item.runs)
            if room < 0:
                break
            shown.append(item)
        return tuple(shown), helping
