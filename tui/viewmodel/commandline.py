"""The command line at the foot of the screen, pure: what is typed becomes a command, or one sentence why not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tui.actions import ACTIONS, BY_ID

VERBS: Mapping[str, str] = {
    "filter": "filter kind:notebook posture:open",
    "sort": "sort owner up",
    "columns": "columns risk,endpoint,owner; columns default",
    "view": "view open-notebooks",
    "save": "save open-notebooks",
    "go": "go gaps",
    "open": "open p34w5uwj",
    "theme": "theme gnomon-light",
    "export": "export gaps.csv",
}
"""The verbs that take words, each with an example."""
_BY_TITLE = {action.title.lower(): action.id for action in ACTIONS}
NEED_WORDS = frozenset(VERBS) - {"filter"}


class CommandError(ValueError):
    """A command that cannot be read. Its text is one sentence for a person."""


class Command(NamedTuple):
    """A verb of ``VERBS`` with its words, or ``do`` with the id of an action."""

    verb: str
    words: str = ""


def parse(text: str) -> Command:
    """Read a command. Raises CommandError."""
    text = text.strip()
    verb, _, words = text.partition(" ")
    if verb.lower() in VERBS:
        if verb.lower() in NEED_WORDS and not words.strip():
            raise CommandError(f"{verb.lower()} needs a word more: {VERBS[verb.lower()]}")
        return Command(verb.lower(), words.strip())
    if text in BY_ID:
        return Command("do", text)
    if text.lower() in _BY_TITLE:
        return Command("do", _BY_TITLE[text.lower()])
    raise CommandError(f"there is no command {verb!r}; there are {', '.join(VERBS)}, and every action by its name")


def completed(text: str, words: Mapping[str, Sequence[str]]) -> str | None:
    """The text completed to the first command that begins so. ``words`` are what can follow each verb."""
    verb, blank, typed = text.partition(" ")
    if not blank:
        return _first(text, (*VERBS, *_BY_TITLE, *BY_ID)) if text else None
    if verb in VERBS:
        last = typed[max(typed.rfind(","), typed.rfind(" ")) + 1 :]
        found = _first(last, words.get(verb, ())) if last else None
        return text + found[len(last) :] if found else None
    return _first(text, tuple(_BY_TITLE))


def _first(beginning: str, known: Sequence[str]) -> str | None:
    return next((each for each in known if each.startswith(beginning.lower()) and each != beginning), None)
