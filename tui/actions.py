"""Every action of the terminal UI, declared once: keys, palette, hints and help are made from this list.

An action that cannot run stays where it is and says why: ``blocked`` gives the reason. How an action is
carried out is a method ``_do_<id with underscores>`` of the widget, screen or app nearest to the focus.
"""

from collections.abc import Callable
from dataclasses import dataclass

from inventory.model import Endpoint, Revision


@dataclass(frozen=True, slots=True)
class Context:
    """What an action could work on right now. ``endpoints`` are the marked ones, or the one under the cursor."""

    place: str
    read_only: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    route: Revision | None = None
    can_undo: bool = False
    can_redo: bool = False
    stale: bool = False


Reason = str | None
Check = Callable[[Context], Reason]


def always(_: Context) -> Reason:
    """No condition."""
    return None


def on_a_row(context: Context) -> Reason:
    """A row has to be under the cursor."""
    return None if context.endpoints or context.route else "there is no row under the cursor"


def on_endpoints(context: Context) -> Reason:
    """An endpoint has to be marked or under the cursor."""
    return None if context.endpoints else "no endpoint is marked or under the cursor"


def may_write(context: Context) -> Reason:
    """Nothing may be changed in read-only mode, nor while the database does not answer."""
    if context.read_only:
        return "this is read-only mode"
    return "the database does not answer" if context.stale else None


def may_triage(context: Context) -> Reason:
    """A decision needs endpoints to be about."""
    return may_write(context) or on_endpoints(context)


def may_unexempt(context: Context) -> Reason:
    """Only what was decided can be reopened."""
    reason = may_triage(context)
    if reason is None and all(e.governance == "unreviewed" for e in context.endpoints):
        return "nothing was decided about it yet"
    return reason


def may_shift(context: Context) -> Reason:
    """Weights can be moved where a route has two backends."""
    if reason := may_write(context):
        return reason
    if context.route is None or context.route.spec is None:
        return "there is no route under the cursor"
    if len(context.route.spec.backends) < 2:
        return "the route has one backend: there is nothing to shift to"
    return None


def may_undo(context: Context) -> Reason:
    """Something has to have been changed in this session."""
    return may_write(context) or (None if context.can_undo else "nothing was changed in this session")


def may_redo(context: Context) -> Reason:
    """Something has to have been undone."""
    return may_write(context) or (None if context.can_redo else "nothing was undone")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a person can do. ``places`` are the screens or widgets it belongs to; ``app`` is everywhere.

    ``keys`` are Textual key names. ``hint`` puts it on the key bar. ``group`` is its heading in the help.
    """

    id: str
    title: str
    help: str
    keys: tuple[str, ...]
    places: frozenset[str]
    group: str
    blocked: Check = always
    hint: bool = False

    @property
    def handler(self) -> str:
        """The name of the method that carries it out."""
        return "_do_" + self.id.replace(".", "_").replace("-", "_")


def _action(
    action_id: str, title: str, text: str, keys: str, places: str, group: str, blocked: Check = always, *,
    hint: bool = False,
) -> Action:  # fmt: skip
    return Action(action_id, title, text, tuple(keys.split()), frozenset(places.split()), group, blocked, hint=hint)


_SCREENS, _MOVE, _FIND, _TRIAGE, _ROUTES, _APP = "Screens", "Moving", "Finding", "Triage", "Routes", "Session"
_LISTS = "endpoints gaps"
_ABOUT = "endpoints endpoint gaps"

ACTIONS: tuple[Action, ...] = (
    _action("go.pulse", "Pulse", "How much is covered, and what is in the way.", "1", "app", _SCREENS),
    _action("go.endpoints", "Endpoints", "Everything that was found.", "2", "app", _SCREENS),
    _action("go.gaps", "Gaps", "What is still ungoverned, and why.", "3", "app", _SCREENS),
    _action("go.routes", "Routes", "Live splits and shadow agreement.", "4", "app", _SCREENS),
    _action("go.scans", "Scans", "What was scanned, and what was not.", "5", "app", _SCREENS),
    _action("go.help", "Help", "Every key of this screen and of all others.", "question_mark f1", "app", _SCREENS,
            hint=True),
    _action("go.back", "Back", "To where you came from, as you left it.", "escape", "app", _SCREENS),
    _action("cursor.down", "Down", "One row down.", "down j", "table document", _MOVE),
    _action("cursor.up", "Up", "One row up.", "up k", "table document", _MOVE),
    _action("cursor.page-down", "Page down", "One page down.", "pagedown ctrl+d", "table document", _MOVE),
    _action("cursor.page-up", "Page up", "One page up.", "pageup ctrl+u", "table document", _MOVE),
    _action("cursor.top", "Top", "The first row.", "home g", "table document", _MOVE),
    _action("cursor.bottom", "Bottom", "The last row.", "end G", "table document", _MOVE),
    _action("row.open", "Open", "Everything about the row under the cursor.", "enter", "table", _MOVE, on_a_row,
            hint=True),
    _action("pane.next", "Next pane", "To the pane beside, and back.", "tab", "endpoints gaps routes", _MOVE),
    _action("find.filter", "Filter", "Show only what matches: kind:notebook posture:open -owner:* seen<7d risk>70.",
            "slash", _LISTS, _FIND, hint=True),
    _action("find.sort", "Sort", "Sort by the next column.", "s", "endpoints", _FIND, hint=True),
    _action("find.reverse", "Reverse", "Sort the other way round.", "S", "endpoints", _FIND),
    _action("find.pane", "Detail", "Show or hide the detail beside the table.", "p", "endpoints gaps routes", _FIND),
    _action("mark.toggle", "Mark", "Mark or unmark the row, for one decision about many.", "space", "endpoints",
            _TRIAGE, on_endpoints),
    _action("mark.all", "Mark all", "Mark everything the filter shows, or unmark it.", "asterisk", "endpoints",
            _TRIAGE),
    _action("triage.owner", "Owner", "Say who owns it.", "o", _ABOUT, _TRIAGE, may_triage, hint=True),
    _action("triage.exempt", "Exempt", "Leave it as it is until a date, with a reason.", "x", _ABOUT, _TRIAGE,
            may_triage, hint=True),
    _action("triage.reopen", "Reopen", "Take the decision back: unreviewed again.", "r", _ABOUT, _TRIAGE,
            may_unexempt),
    _action("route.shift", "Shift", "Move live requests between the backends of a route.", "w", "routes route",
            _ROUTES, may_shift, hint=True),
    _action("copy.json", "Copy JSON", "Copy the row as JSON (OSC 52).", "y", "endpoints endpoint gaps routes route",
            _APP, on_a_row, hint=True),
    _action("copy.url", "Copy URL", "Copy where it answers.", "Y", _ABOUT, _APP, on_endpoints),
    _action("change.undo", "Undo", "Take back the last change of this session, by a new change.", "u", "app", _APP,
            may_undo, hint=True),
    _action("change.redo", "Redo", "Make the change again that was taken back.", "ctrl+r", "app", _APP, may_redo),
    _action("live.freeze", "Freeze", "Hold the screen still while the inventory goes on.", "ctrl+f", "app", _APP),
    _action("app.palette", "Commands", "Every action, by name.", "colon ctrl+p", "app", _APP, hint=True),
    _action("app.theme", "Theme", "The next theme: dark, light, colour-blind, high contrast.", "T", "app", _APP),
    _action("app.quit", "Quit", "Leave. Nothing that runs elsewhere stops.", "q ctrl+q", "app", _APP, hint=True),
)  # fmt: skip

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}


def of_place(place: str) -> tuple[Action, ...]:
    """The actions that belong to one screen or widget, in order."""
    return tuple(action for action in ACTIONS if place in action.places)


def hints(place: str) -> tuple[Action, ...]:
    """The actions to show on the key bar of a screen: its own first, then those of everywhere."""
    shown = [a for a in ACTIONS if a.hint and place in a.places]
    if place in TABLE_PLACES:
        shown.insert(0, BY_ID["row.open"])
    return (*shown, *(a for a in ACTIONS if a.hint and "app" in a.places))


TABLE_PLACES = frozenset({"endpoints", "gaps", "routes"})
"""The screens whose rows can be opened."""
