"""Conditions on one answer, as signature files write them. Pure: an answer in, true or false out."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from inventory.model import Value
from scanner.exchange import Answer
from scanner.literals import literals_of, may_occur

LONGEST_TEXT = 128 * 1024
"""Characters of a body that a pattern is searched in."""

_MISSING: tuple[Any, ...] = ()


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A regular expression that is searched for (not anchored), without regard to case."""

Json = str | int | float | bool | None


@lru_cache(maxsize=16384)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, compiled once: ``re`` itself remembers only some hundreds."""
    return re.compile(pattern, re.IGNORECASE)


def found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text, without regard to case."""
    return compiled(pattern).search(text[:LONGEST_TEXT]) is not None


@lru_cache(maxsize=16384)
def _literals(pattern: str) -> tuple[str, ...]:
    return literals_of(pattern)


def in_body(pattern: str, answer: Answer) -> bool:
    """Whether the pattern occurs in an answer's body. What it cannot do without is looked for first."""
    return may_occur(_literals(pattern), answer.lower) and found(pattern, answer.text)


def values_at(document: Any, path: str) -> tuple[Any, ...]:
    """What a dotted path leads to; ``[]`` goes into every element of an array. Empty where it leads nowhere.

    ``data[].owned_by`` is the ``owned_by`` of every element of ``data``; ``.`` alone is the document.
    """
    found_so_far: tuple[Any, ...] = (document,)
    for step in path.split(".") if path != "." else ():
        name, into = (step[:-2], True) if step.endswith("[]") else (step, False)
        after: list[Any] = []
        for value in found_so_far:
            inner = value if not name else value.get(name, _MISSING) if isinstance(value, dict) else _MISSING
            if inner is _MISSING:
                continue
            if into:
                after.extend(inner[:256] if isinstance(inner, list) else ())
            else:
                after.append(inner)
        found_so_far = tuple(after)
    return found_so_far


class JsonCondition(Value):
    """A condition on a JSON body. Paths are those of ``values_at``; all that is given must hold.

    ``has`` and ``lacks`` are about presence; ``only`` is the exact set of keys of the outermost object;
    ``equals`` and ``matches`` ask whether any value at the path equals or matches; ``type`` is the JSON
    type of the whole document.
    """

    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    equals: dict[str, Json] = Field(default={})
    matches: dict[str, Pattern] = Field(default={})
    type: Annotated[str, Field(pattern="^(object|array|string|number|boolean)$")] | None = None

    def holds(self, document: Any) -> bool:
        """Whether the document is JSON and meets every part of the condition."""
        if document is None:
            return False
        if self.type is not None and not isinstance(document, _TYPES[self.type]):
            return False
        if self.only is not None and not (isinstance(document, dict) and set(document) == set(self.only)):
            return False
        return (
            all(values_at(document, path) for path in self.has)
            and not any(values_at(document, path) for path in self.lacks)
            and all(_equal(values_at(document, path), value) for path, value in self.equals.items())
            and all(
                any(found(pattern, str(value)) for value in values_at(document, path))
                for path, pattern in self.matches.items()
            )
        )


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "boolean": bool,
}


def _equal(values: tuple[Any, ...], wanted: Json) -> bool:
    return any(type(value) is type(wanted) and value == wanted for value in values)


class Condition(Value):
    """A condition on an answer. All that is given must hold; nothing given holds for every HTTP answer.

    ``body``, ``title``, ``media`` and the values of ``header`` are patterns; ``exactly`` is the whole body
    without surrounding white space; ``reason`` is the status line's phrase, with regard to case.
    """

    status: int | tuple[int, ...] | None = None
    reason: str | None = None
    header: dict[str, Pattern] = Field(default={})
    media: Pattern | None = None
    title: Pattern | None = None
    body: Pattern | None = None
    exactly: str | None = None
    json_: JsonCondition | None = Field(default=None, alias="json")
    either: tuple["Condition", ...] = ()
    neither: tuple["Condition", ...] = ()

    def patterns_of_headers(self) -> Iterator[tuple[str, str]]:
        """The headers that the condition looks at, each with a pattern over its value."""
        yield from self.header.items()
        for inner in (*self.either, *self.neither):
            yield from inner.patterns_of_headers()

    def holds(self, answer: Answer) -> bool:
        """Whether the answer is HTTP and meets the condition. Cheap parts are looked at first."""
        if answer.status is None or not self._head_holds(answer):
            return False
        return self._body_holds(answer)

    def _head_holds(self, answer: Answer) -> bool:
        if self.status is not None:
            wanted = (self.status,) if isinstance(self.status, int) else self.status
            if answer.status not in wanted:
                return False
        if self.reason is not None and answer.reason != self.reason:
            return False
        if self.media is not None and not found(self.media, answer.media):
            return False
        for name, pattern in self.header.items():
            value = answer.by_name.get(name)
            if value is None or not found(pattern, value):
                return False
        return True

    def _body_holds(self, answer: Answer) -> bool:
        if self.exactly is not None and answer.text[: len(self.exactly) + 64].strip() != self.exactly:
            return False
        if self.title is not None and not found(self.title, answer.title):
            return False
        if self.body is not None and not in_body(self.body, answer):
            return False
        if self.json_ is not None and not self.json_.holds(answer.document):
            return False
        if self.either and not any(condition.holds(answer) for condition in self.either):
            return False
        return not any(condition.holds(answer) for condition in self.neither)
