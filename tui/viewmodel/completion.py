"""Completion of filters and commands, pure: what is typed and what is known go in, the completed text comes out."""

from collections.abc import Sequence
from enum import StrEnum

from inventory.model import Governance, Kind, Posture, Presence, Routing, Scheme, Standing
from inventory.query import AGE_FIELDS, FIELDS, NUMBER_FIELDS

_WORDS: dict[str, type[StrEnum]] = {
    "kind": Kind, "posture": Posture, "presence": Presence, "governance": Governance, "routing": Routing,
    "scheme": Scheme, "standing": Standing,
}  # fmt: skip
_AGES = ("1h", "1d", "7d", "30d")


def open_term(text: str) -> tuple[str | None, str]:
    """The field of the term that is being typed, None for a bare word, and the beginning of its value."""
    term = text[text.rfind(" ") + 1 :].removeprefix("-")
    for at, letter in enumerate(term):
        if letter in ":<>":
            value = term[at + 1 :]
            return term[:at].lower(), value[value.rfind(",") + 1 :].removeprefix('"')
    return None, term


def words_of(field: str | None) -> tuple[str, ...] | None:
    """The values that are known for a field without asking the store; None where it has to be asked.

    For a bare word they are the fields themselves, each with the operator that fits it.
    """
    if field is None:
        return tuple(f"{name}{'<' if name in AGE_FIELDS else '>' if name in NUMBER_FIELDS else ':'}" for name in FIELDS)
    if field in _WORDS:
        return tuple(word.value for word in _WORDS[field])
    if field == "model":
        return ("yes", "no")
    if field in AGE_FIELDS:
        return _AGES
    return () if field in NUMBER_FIELDS else None


def completed(text: str, known: Sequence[str] | None) -> str | None:
    """The text with its last part completed to the first known value that begins so; None where none does.

    A value with a blank, a comma or a quote in it is left to be typed: half a quote would be an error.
    """
    _, beginning = open_term(text)
    if not text or text.endswith(" ") or (not beginning and text[-1:] not in ":<>,"):
        return None
    for value in known or ():
        if value.lower().startswith(beginning.lower()) and len(value) > len(beginning) and not set(value) & set(' ",'):
            return text + value[len(beginning) :]
    return None
