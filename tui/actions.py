"""Every action of the terminal UI, declared once: keys, palette, hints and help are made from this list.

An action that cannot run stays where it is and says why: ``blocked`` gives the reason. How an action is
carried out is a method ``_do_<id with underscores>`` of the widget, screen or app nearest to the focus.
"""

from dataclasses import dataclass

from tui.checks import (
    Check,
    always,
    may_adopt,
    may_approve,
    may_begin,
    may_end,
    may_go_back,
    may_go_forward,
    may_pause,
    may_promote,
    may_redo,
    may_reopen,
    may_resume,
    may_roll_back,
    may_route,
    may_shift,
    may_triage,
    may_undo,
    may_write,
    on_a_row,
    on_endpoints,
    on_something,
)


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


_SCREENS, _MOVE, _FIND, _TRIAGE, _ROUTES, _SAY, _APP = (
    "Screens", "Moving", "Finding", "Triage", "Routes", "Taking along", "Session",
)  # fmt: skip
_LISTS = "endpoints gaps"
_ABOUT = "endpoints endpoint gaps"
_ROUTE = "endpoints endpoint gaps routes route"
_STEERED = "routes route"
_PANES = "endpoints gaps routes scans"

ACTIONS: tuple[Action, ...] = (
    _action("go.pulse", "Pulse", "How much is covered, and what is in the way.", "1", "app", _SCREENS),
    _action("go.endpoints", "Endpoints", "Everything that was found.", "2", "app", _SCREENS),
    _action("go.gaps", "Gaps", "What is still ungoverned, and why; the map of what was scanned.", "3", "app", _SCREENS),
    _action("go.routes", "Routes", "Live splits and shadow agreement.", "4", "app", _SCREENS),
    _action("go.scans", "Scans", "What was scanned, and what was not; schedules.", "5", "app", _SCREENS),
    _action("go.policies", "Policies", "Who may call what, and who would break under the candidate.", "6", "app",
            _SCREENS),
    _action("go.space", "Map", "The address space: scanned, stale, never, and hosts where nobody looked.", "M", "app",
            _SCREENS),
    _action("go.help", "Help", "Every key of this screen and of all others.", "question_mark f1", "app", _SCREENS,
            hint=True),
    _action("go.up", "Leave", "Clear marks, then the filter; then to where this was opened from.", "escape", "app",
            _SCREENS),
    _action("go.back", "Back", "Where you were before, as you left it.", "left_square_bracket alt+left", "app",
            _SCREENS, may_go_back),
    _action("go.forward", "Forward", "Where you went back from.", "right_square_bracket alt+right", "app", _SCREENS,
            may_go_forward),
    _action("cursor.down", "Down", "One row down.", "down j", "table document", _MOVE),
    _action("cursor.up", "Up", "One row up.", "up k", "table document", _MOVE),
    _action("cursor.page-down", "Page down", "One page down.", "pagedown ctrl+d", "table document", _MOVE),
    _action("cursor.page-up", "Page up", "One page up.", "pageup ctrl+u", "table document", _MOVE),
    _action("cursor.top", "Top", "The first row.", "home g", "table document", _MOVE),
    _action("cursor.bottom", "Bottom", "The last row.", "end G", "table document", _MOVE),
    _action("row.open", "Open", "Everything about the row under the cursor.", "enter l", "table", _MOVE, on_a_row,
            hint=True),
    _action("pane.next", "Next pane", "To the pane beside, and back.", "tab", _PANES, _MOVE),
    _action("find.filter", "Filter", "Show only what matches: kind:notebook posture:open -owner:* seen<7d risk>70.",
            "slash", _LISTS, _FIND, hint=True),
    _action("find.views", "Views", "Filters that were saved under a name.", "b", _LISTS, _FIND),
    _action("find.save", "Save view", "Save the filter under a name, for everybody.", "B", _LISTS, _FIND, may_write),
    _action("find.sort", "Sort", "Sort by the next column.", "s", _LISTS, _FIND, hint=True),
    _action("find.reverse", "Reverse", "Sort the other way round.", "S", _LISTS, _FIND),
    _action("find.columns", "Columns", "Choose which columns are shown.", "c", _LISTS, _FIND),
    _action("find.pane", "Detail", "Show or hide the detail beside the table.", "p", _PANES, _FIND),
    _action("mark.toggle", "Mark", "Mark or unmark the row, for one decision about many.", "space", _LISTS,
            _TRIAGE, on_endpoints),
    _action("mark.range", "Range", "Mark from here to where the cursor goes; again to end it.", "v", _LISTS, _TRIAGE,
            on_endpoints),
    _action("mark.down", "Mark down", "Mark the row and go down.", "shift+down J", _LISTS, _TRIAGE, on_endpoints),
    _action("mark.up", "Mark up", "Mark the row and go up.", "shift+up K", _LISTS, _TRIAGE, on_endpoints),
    _action("mark.all", "Mark all", "Mark everything the filter shows, or unmark it.", "asterisk", _LISTS, _TRIAGE),
    _action("triage.owner", "Owner", "Say who owns it.", "o", _ABOUT, _TRIAGE, may_triage, hint=True),
    _action("triage.exempt", "Exempt", "Leave it as it is until a date, with a reason.", "x", _ABOUT, _TRIAGE,
            may_triage, hint=True),
    _action("triage.decide", "Decide", "Managed, blocked or retired.", "d", _ABOUT, _TRIAGE, may_triage),
    _action("triage.reopen", "Reopen", "Take the decision back: unreviewed again.", "r", _ABOUT, _TRIAGE,
            may_reopen),
    _action("route.adopt", "Adopt", "Put it behind the gateway.", "a", _ABOUT, _ROUTES, may_adopt, hint=True),
    _action("route.shift", "Shift", "Move live requests between the backends of a route.", "w", _ROUTE, _ROUTES,
            may_shift, hint=True),
    _action("route.shadow", "Shadow", "Copy a share of the live requests to another backend.", "m", _ROUTE, _ROUTES,
            may_shift),
    _action("route.promote", "Promote", "Give every live request to the replacement.", "P", _ROUTE, _ROUTES,
            may_promote),
    _action("route.rollback", "Roll back", "To an earlier revision, as a new one.", "R", _ROUTE, _ROUTES,
            may_roll_back),
    _action("route.release", "Release", "Take the route off the gateway.", "X", _ROUTE, _ROUTES, may_route),
    _action("route.seal", "Seal", "Try every direct path from this machine, to show that the gateway is the only way.",
            "L", _ROUTE, _ROUTES, may_route),
    _action("rollout.start", "Roll out", "Let the replacement take over step by step, each behind a gate.", "n",
            _STEERED, _ROUTES, may_begin, hint=True),
    _action("rollout.pause", "Pause", "No further step of the rollout; a broken gate still takes it back.", "z",
            _STEERED, _ROUTES, may_pause),
    _action("rollout.resume", "Resume", "Let the rollout go on from where it was paused.", "Z", _STEERED, _ROUTES,
            may_resume),
    _action("rollout.approve", "Approve", "Let the rollout take the next step, once the gate before that passes.", "V",
            _STEERED, _ROUTES, may_approve),
    _action("rollout.abort", "Abort", "End the rollout, with every live request back at the incumbent.", "A", _STEERED,
            _ROUTES, may_end),
    _action("copy.menu", "Copy", "A cell, the row, JSON or a curl line.", "y", _ROUTE, _SAY, on_something, hint=True),
    _action("copy.url", "Copy URL", "Where it answers.", "Y", _ABOUT, _SAY, on_endpoints),
    _action("copy.export", "Export", "Write what is on the screen to a file: CSV, JSON, SVG.", "e", "app", _SAY),
    _action("change.undo", "Undo", "Take back the last change of this session, by a new change.", "u", "app", _APP,
            may_undo, hint=True),
    _action("change.redo", "Redo", "Make the change again that was taken back.", "ctrl+r U", "app", _APP, may_redo),
    _action("live.freeze", "Freeze", "Hold the screen still while the inventory goes on.", "ctrl+f", "app", _APP),
    _action("app.command", "Command", "Type what to do: filter, sort, view, open, go, any action.", "colon", "app",
            _APP, hint=True),
    _action("app.palette", "Actions", "Every action, by name.", "ctrl+p", "app", _APP),
    _action("app.theme", "Theme", "The next theme: dark, light, colour-blind, high contrast, 16 colours.", "T", "app",
            _APP),
    _action("app.quit", "Quit", "Leave. Nothing that runs elsewhere stops.", "q ctrl+q", "app", _APP, hint=True),
)  # fmt: skip

BY_ID: dict[str, Action] = {action.id: action for action in ACTIONS}

TABLE_PLACES = frozenset({"endpoints", "gaps", "routes", "scans"})
"""The screens that hold a table."""


def of_place(place: str) -> tuple[Action, ...]:
    """The actions that belong to one screen or widget, in order."""
    return tuple(action for action in ACTIONS if place in action.places)


def offered(place: str) -> tuple[Action, ...]:
    """The actions that a person can choose on a screen: its own, its table's, and those of everywhere."""
    own = (*of_place(place), *of_place("table")) if place in TABLE_PLACES else of_place(place)
    return (*own, *of_place("app"))


def hints(place: str) -> tuple[Action, ...]:
    """The actions to show on the key bar of a screen: its own first, then those of everywhere."""
    shown = [a for a in ACTIONS if a.hint and place in a.places]
    if place in TABLE_PLACES:
        shown.insert(0, BY_ID["row.open"])
    return (*shown, *(a for a in ACTIONS if a.hint and "app" in a.places))
