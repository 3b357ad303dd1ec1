"""What every screen shares: the bars around it, its place in the actions, and how it is redrawn."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from inventory.store import StoreError
from tui.actions import hints
from tui.checks import Context
from tui.history import Opened
from tui.keymap import bindings
from tui.repeat import Repeat
from tui.screens.commanding import CommandInput, CommandSuggester, export, export_form, obey, words_of
from tui.session import Session
from tui.viewmodel import chrome
from tui.viewmodel.svg import self_contained
from tui.viewmodel.text import Line, Run, Tone, line, plain, width_of
from tui.widgets.bar import Bar, Item
from tui.widgets.document import Document

if TYPE_CHECKING:
    from tui.app import GnomonApp

HINT = "filter · sort · view · open · go · export, or any action"
LOGO = line(Run(" ◢ ", Tone.ACCENT), Run("gnomon ", Tone.STRONG))


class Page(Screen[None]):
    """A full screen. Subclasses name their ``PLACE``, compose ``body`` and fill it in ``draw``."""

    PLACE: ClassVar[str] = ""
    HEADLINE: ClassVar[str] = ""
    FIGURES: ClassVar[bool] = False
    """Whether it shows what a snapshot has only where it is asked for: see ``Snapshot``."""
    BINDINGS: ClassVar[list[Any]] = bindings("app")

    def __init__(self, session: Session, key: str = "") -> None:
        super().__init__()
        self.session = session
        self.key = key
        self._before_command: Widget | None = None
        self.command = CommandInput(placeholder=HINT, id="command")
        self.title_bar, self.crumbs, self.key_bar = (
            Bar(self.perform, id=name) for name in ("title", "crumbs", "keys")
        )  # fmt: skip

    @property
    def opened(self) -> Opened | None:
        """How it is told from others that were opened; None for one of the first screens."""
        return Opened(self.PLACE, self.key) if self.key else None

    def body(self) -> Iterable[Widget]:
        """The widgets between the bars. None by default."""
        return ()

    def draw(self) -> None:
        """Fill the widgets from the session's snapshot. By default there is nothing to fill."""

    @property
    def gnomon(self) -> "GnomonApp":
        """The app, as what it is."""
        return cast("GnomonApp", self.app)

    def news(self) -> None:
        """Look at what the screen shows of the store itself: there may be a newer version. Cheap where there is not."""

    def hurry(self) -> None:
        """Let the next ``news`` be looked for at once: something was changed here. By default it always is."""

    def performers(self) -> Iterable[Widget]:
        """Widgets that carry out actions even where the focus is elsewhere."""
        return ()

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
            can_back=session.history.can_back,
            can_forward=session.history.can_forward,
            stale=session.stale_since is not None,
            **fields,
        )

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield self.title_bar
        yield self.crumbs
        yield Horizontal(*self.body(), id="body")
        yield self.command
        yield self.key_bar

    # The command line

    def _do_app_command(self) -> None:
        self.command.suggester = CommandSuggester(words_of(self.gnomon))
        self.command.value = ""
        self._before_command = self.focused
        self.command.add_class("shown")
        self.command.focus()

    def action_leave_command(self) -> None:
        """Back to what had the focus."""
        self.command.remove_class("shown", "wrong")
        if self._before_command is not None:
            self._before_command.focus()

    @on(Input.Submitted, "#command")
    async def _commanded(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_leave_command()
        if event.value.strip() and (wrong := await obey(self.gnomon, event.value)):
            self.app.notify(wrong, severity="warning", markup=False, timeout=6)

    # Export

    def forms(self) -> tuple[str, ...]:
        """The kinds of file that what is on the screen can be written to."""
        return ("svg", "txt")

    async def exported(self, form: str) -> str:
        """What is on the screen, in one of those forms."""
        if form == "svg":
            return self_contained(self.app.export_screenshot(title="gnomon", simplify=True))
        width = self.app.size.width
        shown = self.query(Document).first().lines_for(width) if self.query(Document) else ()
        return "\n".join(plain(each).rstrip() for each in shown) + "\n"

    @work
    async def _do_copy_export(self) -> None:
        path = await self.app.push_screen_wait(export_form(self.forms(), self.PLACE))
        if path is not None:
            self.app.notify(await export(self.gnomon, path), markup=False, timeout=6)

    def perform(self, action_id: str) -> None:
        """Have an action carried out, as if its key had been pressed."""
        self.call_later(self.app.run_action, f"app.perform('{action_id}')")

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        self.news()
        self.redraw()

    def repeat(self, work: Callable[[], Awaitable[None]]) -> Repeat:
        """Background work of this screen; where the store fails, what is shown stays."""

        def failed(error: StoreError) -> None:
            self.app.notify(str(error), severity="warning", markup=False)

        return Repeat(self.session, work, lambda running: self.run_worker(running, group="reading"), failed)

    def on_screen_resume(self) -> None:
        """Draw what changed while another screen was on top."""
        self.news()
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
        self.title_bar.show((Item(logo, "app.palette"), *tabs), (Item(self._freshness(), "live.freeze"),))
        self.crumbs.show((Item(chrome.crumbs(self.trail(), self.note())),))
        self.key_bar.show(*self._hints(width))

    def _freshness(self) -> Line:
        session = self.session
        return chrome.freshness(
            self.now,
            loaded=session.loaded,
            stale_since=session.stale_since,
            frozen=session.frozen,
            held_back=session.held_back,
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
