"""The one filter grammar of command line and TUI.

``kind:notebook posture:open -owner:* seen<7d risk>70 site:"lab a" predict`` reads: every term must
hold; ``-`` negates; ``:`` takes alternatives after commas and ``*`` as a wildcard, alone meaning
"any value at all"; ``<`` and ``>`` compare numbers and ages (``seen<7d`` is seen less than seven
days ago; units s, m, h, d, w); ``@NAME`` stands for the saved view of that name; a bare word, or a
URL, is looked for in what a person would recognise the endpoint by. Letter case does not matter.
"""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from inventory.model import Call, Decision, Endpoint

Operator = Literal[":", "<", ">"]

TEXT_FIELDS = {
    "id": "id",
    "site": "site",
    "scope": "scope",
    "address": "address",
    "scheme": "scheme",
    "url": "url",
    "path": "base_path",
    "kind": "kind",
    "product": "product",
    "version": "version",
    "server": "server",
    "title": "title",
    "model": "is_model_endpoint",
    "posture": "posture",
    "presence": "presence",
    "governance": "governance",
    "routing": "routing",
    "owner": "owner",
    "cluster": "cluster",
    "namespace": "namespace",
    "workload": "workload",
    "standing": "standing",
}
NUMBER_FIELDS = {"port": "port", "risk": "risk", "confidence": "confidence"}
AGE_FIELDS = {"seen": "last_seen", "new": "first_seen"}
WORD_FIELDS = ("id", "url", "product", "title", "owner", "server", "kind")
IN_CLUSTER = frozenset({"cluster", "namespace", "workload", "standing"})
FIELDS = (*TEXT_FIELDS, *NUMBER_FIELDS, *AGE_FIELDS)


@dataclass(frozen=True)
class Grammar:
    """What a filter may ask of one kind of thing: its fields by name, each with the attribute that it stands for.

    ``words`` are the attributes in which a bare word is looked for.
    """

    text: Mapping[str, str]
    numbers: Mapping[str, str]
    ages: Mapping[str, str]
    words: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field, in the order in which they are told."""
        return (*self.text, *self.numbers, *self.ages)


ENDPOINTS = Grammar(TEXT_FIELDS, NUMBER_FIELDS, AGE_FIELDS, WORD_FIELDS)

_BETWEEN = "\x1f"
"""Stands between the texts that a word is looked for in, so that none is found across two of them."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TERM = re.compile(
    r"""(?P<minus>-?)(?:(?P<field>[A-Za-z_]+)(?P<operator>[:<>])(?!//))?(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s"]*))"""
)


class QueryError(ValueError):
    """A filter that cannot be read. ``column`` is where it went wrong, counted from 1; ``text`` is the filter."""

    def __init__(self, message: str, column: int, text: str = "") -> None:
        super().__init__(f"{message} (column {column} of the filter)")
        self.message = message
        self.column = column
        self.text = text

    @property
    def pointer(self) -> str:
        """The filter, and under it a caret where it went wrong; "" where the filter is not known."""
        return f"{self.text}\n{' ' * (self.column - 1)}^" if self.text else ""


@dataclass(frozen=True)
class Term:
    """One condition. ``field`` is an attribute, None for a bare word, which is looked for in ``words``.

    ``values`` are lower-case patterns, any of which may match. ``bound`` is a number, or an age in
    seconds for the grammar's ages.
    """

    field: str | None
    operator: Operator = ":"
    values: tuple[str, ...] = ()
    bound: float = 0.0
    negated: bool = False
    words: tuple[str, ...] = WORD_FIELDS

    def matches(self, thing: Endpoint | Call, now: datetime) -> bool:
        """Whether the condition holds for it at this moment."""
        return self._holds(thing, now) != self.negated

    def _holds(self, thing: Endpoint | Call, now: datetime) -> bool:
        if self.field is None:
            return self.values[0] in searched(thing, self.words)
        value = value_of(thing, self.field)
        if self.operator == ":":
            return any(_text_matches(as_text(value), pattern) for pattern in self.values)
        number = (now - value).total_seconds() if isinstance(value, datetime) else float(value)
        return number < self.bound if self.operator == "<" else number > self.bound


@dataclass(frozen=True)
class Group:
    """A saved view as one condition: all of its conditions hold, or where ``negated`` not all of them."""

    terms: "tuple[Term | Group, ...]"
    negated: bool = False

    def matches(self, thing: Endpoint | Call, now: datetime) -> bool:
        """Whether the condition holds for it at this moment."""
        return all(term.matches(thing, now) for term in self.terms) != self.negated

    @property
    def fields(self) -> frozenset[str | None]:
        """The fields that its conditions are about."""
        return frozenset().union(*(term.fields if isinstance(term, Group) else {term.field} for term in self.terms))


@dataclass(frozen=True)
class Query:
    """A parsed filter: the conjunction of its terms. Without terms it matches everything."""

    terms: tuple[Term | Group, ...] = ()

    def matches(self, thing: Endpoint | Call, now: datetime) -> bool:
        """Whether every term holds for it at this moment."""
        return all(term.matches(thing, now) for term in self.terms)


def value_of(thing: Endpoint | Call, field: str) -> Any:
    """What a field of a grammar stands for. Cluster, namespace, workload and standing are of the place in a cluster."""
    if isinstance(thing, Call) or field not in IN_CLUSTER:
        return getattr(thing, field)
    if thing.cluster is None:
        return None
    if field == "standing":
        return thing.cluster.standing
    workload = thing.cluster.workload
    return f"{workload.kind}/{workload.name}" if field == "workload" else getattr(workload, field)


def searched(thing: Endpoint | Call, words: tuple[str, ...] = WORD_FIELDS) -> str:
    """What a bare word is looked for in: the texts of those attributes, one after the other."""
    return _BETWEEN.join([as_text(getattr(thing, name)) for name in words])


def as_text(value: object) -> str:
    """A value as the grammar sees it: lower case, booleans as yes and no, nothing as the empty text.

    Of a decision it is allow or deny; several words are put together with commas.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decision):
        return "allow" if value.allowed else "deny"
    if isinstance(value, tuple):
        return ",".join(map(as_text, value))
    return str(value).lower()


def parse(text: str, views: Mapping[str, str] | None = None, grammar: Grammar = ENDPOINTS) -> Query:
    """Read a filter. ``views`` are saved filters by name. Raises QueryError with the column of the first mistake."""
    try:
        return Query(_terms(text, views or {}, (), grammar))
    except QueryError as error:
        raise QueryError(error.message, error.column, text) from None


def _terms(text: str, views: Mapping[str, str], within: tuple[str, ...], grammar: Grammar) -> tuple[Term | Group, ...]:
    terms: list[Term | Group] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TERM.match(text, position)
        if match is None or match.end() == position:
            raise QueryError('a quote (") is not closed', position + 1)
        if match.end() < len(text) and not text[match.end()].isspace():
            raise QueryError('a quote (") is not closed, or is followed by more text', match.end() + 1)
        if match["field"] is None and (match["bare"] or "").startswith("@"):
            terms.append(_view(match, views, within, grammar))
        else:
            terms.append(_term(match, grammar))
        position = match.end()
    return tuple(terms)


def _view(match: re.Match[str], views: Mapping[str, str], within: tuple[str, ...], grammar: Grammar) -> Group:
    name, column = match["bare"][1:].lower(), match.start("bare") + 1
    if name in within:
        raise QueryError(f"the view @{name} is made of itself", column)
    if name not in views:
        known = f"the views are {', '.join(f'@{one}' for one in sorted(views))}" if views else "no view is saved"
        raise QueryError(f"there is no view @{name}: {known}", column)
    try:
        terms = _terms(views[name], views, (*within, name), grammar)
    except QueryError as error:
        raise QueryError(f"in the view @{name}: {error.message}", column) from error
    return Group(terms, negated=bool(match["minus"]))


def _term(match: re.Match[str], grammar: Grammar) -> Term:
    negated = bool(match["minus"])
    value = match["quoted"] if match["quoted"] is not None else match["bare"]
    column = match.start() + 1
    name = match["field"]
    operator = cast("Operator", match["operator"])
    if not value:
        raise QueryError("a value is missing", match.end() + 1)
    if name is None:
        return Term(None, ":", (value.lower(),), negated=negated, words=grammar.words)
    name = name.lower()
    if name not in grammar.fields:
        raise QueryError(f"there is no field {name!r}; the fields are {', '.join(grammar.fields)}", column)
    if name in grammar.ages:
        if operator == ":":
            raise QueryError(f"{name} is an age: write {name}<7d or {name}>7d", column)
        bound = seconds_of(value, match.end() - len(value) + 1)
        return Term(grammar.ages[name], operator, bound=bound, negated=negated)
    if operator != ":":
        if name not in grammar.numbers:
            raise QueryError(f"{name} is text, which {operator!r} cannot compare; write {name}:VALUE", column)
        return Term(grammar.numbers[name], operator, bound=_number(value, match), negated=negated)
    values = (value.lower(),) if match["quoted"] is not None else tuple(filter(None, value.lower().split(",")))
    field = grammar.text.get(name) or grammar.numbers[name]
    return Term(field, ":", values, negated=negated)


def _number(value: str, match: re.Match[str]) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise QueryError(f"{value!r} is not a number", match.end() - len(value) + 1) from error


def seconds_of(age: str, column: int = 1) -> int:
    """The seconds in an age such as ``30m``. Raises QueryError, at ``column``, for what is none."""
    digits, unit = age[:-1], age[-1:].lower()
    if unit not in _UNITS or not (digits.isascii() and digits.isdecimal()) or len(digits) > 6:
        raise QueryError(f"{age!r} is not an age such as 30m, 12h, 7d or 2w", column)
    return int(digits) * _UNITS[unit]


def _text_matches(text: str, pattern: str) -> bool:
    if pattern == "*":
        return text != ""
    return fnmatch.fnmatchcase(text, _only_stars(pattern))


def _only_stars(pattern: str) -> str:
    """Shield ``?`` and ``[``, which fnmatch would read as wildcards and the grammar does not."""
    return re.sub(r"([?\[])", r"[\1]", pattern)
