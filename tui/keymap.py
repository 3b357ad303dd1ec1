"""Which key does what: the defaults of the action registry, changed by action id."""

from collections.abc import Mapping
from typing import NamedTuple

from textual.binding import Binding
from textual.keys import format_key

from tui.actions import ACTIONS, BY_ID, Action, of_place, offered

_SPOKEN = {"question_mark": "?", "slash": "/", "colon": ":", "asterisk": "*", "escape": "esc", "space": "space",
           "pagedown": "pgdn", "pageup": "pgup",
           "left_square_bracket": "[", "right_square_bracket": "]"}  # fmt: skip


class KeymapError(ValueError):
    """A key assignment that cannot be used. Its text is one sentence for a person."""


class Keymap(NamedTuple):
    """The keys of every action, by action id. Made by ``keymap``."""

    keys: Mapping[str, tuple[str, ...]]

    def first(self, action: Action) -> str:
        """The key to show for an action, as it is printed on a keyboard."""
        return spoken(self.keys[action.id][0])

    def all(self, action: Action) -> str:
        """Every key of an action, as printed on a keyboard."""
        return " ".join(spoken(key) for key in self.keys[action.id])


def keymap(changes: Mapping[str, str] | None = None) -> Keymap:
    """The default keys with some replaced: action id to keys, separated by commas.

    Raises KeymapError for an action that does not exist, for an action left without a key, and for a
    key that would do two things in one place.
    """
    keys = {action.id: action.keys for action in ACTIONS}
    for action_id, given in (changes or {}).items():
        if action_id not in BY_ID:
            raise KeymapError(f"there is no action {action_id!r}; the actions are {', '.join(BY_ID)}")
        chosen = tuple(filter(None, (key.strip() for key in given.split(","))))
        if not chosen:
            raise KeymapError(f"the action {action_id!r} is given no key")
        keys[action_id] = chosen
    _refuse_clashes(keys)
    return Keymap(keys)


def _refuse_clashes(keys: Mapping[str, tuple[str, ...]]) -> None:
    places = sorted({place for action in ACTIONS for place in action.places} - {"app", "table", "document"})
    for place in places:
        taken: dict[str, str] = {}
        for action in (*offered(place), *of_place("document")):
            for key in keys[action.id]:
                if taken.setdefault(key, action.id) != action.id:
                    raise KeymapError(f"the key {key!r} would mean both {taken[key]} and {action.id} ({place})")


def bindings(place: str) -> list[Binding]:
    """Textual's bindings for the actions of one place, each with its action's id, to be remapped by it."""
    return [
        Binding(",".join(action.keys), f"app.perform('{action.id}')", action.title, show=False, id=action.id)
        for action in of_place(place)
    ]


def spoken(key: str) -> str:
    """A key's name as a person says it."""
    return _SPOKEN.get(key) or format_key(key)
