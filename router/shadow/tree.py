"""Two JSON documents, walked together: where they differ, by path. Pure, with bounded work."""

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from inventory.model import Rule
from router.shadow.measures import measure
from router.shadow.render import LIMIT, render, safe_text
from router.shadow.rules import Key, Rules, State

MAX_DIFFERENCES = 16
MAX_DEPTH = 100
MAX_STEPS = 200_000
"""Values that are looked at for one pair at most: what a hostile answer can cost."""

PLAIN = "the values differ"
"""Why two values differ where there is no more to say than that they do."""

_MATCHED_EXACTLY = 256
_LONGEST_LABEL = 40
_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")


class TooMuchWorkError(ValueError):
    """The documents are too deep, or too large in unordered lists, to be compared."""


class Difference(NamedTuple):
    """One place where two answers differ.

    ``group`` is the path with ``[*]`` for each place in a list: differences of one cause share it. ``distance``
    is how far apart the two are, as a share; None where that cannot be measured. ``label``: both are labels,
    short texts or whole numbers, so that it can be counted which became which.
    """

    path: str
    group: str
    primary: str
    shadow: str
    why: str
    distance: float | None = None
    label: bool = False


class _EnoughError(Exception):
    """As many differences are known as are wanted."""


def differences(primary: object, shadow: object, rules: Rules) -> tuple[Difference, ...]:
    """Where two documents differ, at most ``MAX_DIFFERENCES`` places, in the order of the primary's keys.

    Empty means that they agree. TooMuchWorkError where that cannot be told within the bounds.
    """
    walk = _Walk(rules, MAX_DIFFERENCES)
    if not rules.ignored(rules.start):
        walk.run(primary, shadow)
    return tuple(walk.found)


class _Walk:
    def __init__(self, rules: Rules, wanted: int) -> None:
        self.found: list[Difference] = []
        self._rules = rules
        self._wanted = wanted
        self._trail: list[Key] = []
        self._steps = 0
        self._tolerance: Rule | None = None

    def run(self, primary: object, shadow: object) -> None:
        try:
            self._value(primary, shadow, self._rules.start)
        except _EnoughError:
            return

    def _value(self, one: object, other: object, state: State) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS or len(self._trail) > MAX_DEPTH:
            raise TooMuchWorkError("the answers are too large or too deep to be compared")
        rule = self._rules.rule(state) if state else None
        if rule is None:
            self._plainly(one, other, state)
            return
        found = measure(one, other, rule)
        if found is not None:
            if not found.near and one != other:
                self._note(one, other, found.why, distance=found.distance)
            return
        # A tolerance holds for everything below its place, until a rule further down says otherwise.
        outer, self._tolerance = self._tolerance, rule
        try:
            self._plainly(one, other, state)
        finally:
            self._tolerance = outer

    def _plainly(self, one: object, other: object, state: State) -> None:
        """Value by value."""
        if isinstance(one, dict) and isinstance(other, dict):
            self._objects(one, other, state)
        elif isinstance(one, list) and isinstance(other, list):
            if state and self._rules.unordered(state):
                self._unordered(one, other, state)
            else:
                self._lists(one, other, state)
        elif _type(one) != _type(other):
            self._note(one, other, f"the types differ: {_type(one)} and {_type(other)}")
        elif isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
            if not self._rules.near(one, other, self._tolerance):
                self._note(one, other, _how_far(one, other), distance=_apart(one, other))
        elif one != other:
            self._note(one, other, PLAIN)

    def _objects(self, one: dict[str, object], other: dict[str, object], state: State) -> None:
        rules = self._rules
        for key, value in one.items():
            below = rules.step(state, key) if state else ()
            if below and rules.ignored(below):
                continue
            self._trail.append(key)
            if key in other:
                self._value(value, other[key], below)
            else:
                self._note(value, None, "missing from the shadow's answer", shadow="")
            self._trail.pop()
        for key, value in other.items():
            if key in one or (state and rules.ignored(rules.step(state, key))):
                continue
            self._trail.append(key)
            self._note(None, value, "missing from the primary's answer", primary="")
            self._trail.pop()

    def _lists(self, one: list[object], other: list[object], state: State) -> None:
        if not state and len(one) == len(other):
            self._rows(one, other)
            return
        rules = self._rules
        for at in range(max(len(one), len(other))):
            below = rules.step(state, at) if state else ()
            if below and rules.ignored(below):
                continue
            self._trail.append(at)
            if at >= len(other):
                self._note(one[at], None, f"lengths differ: {len(one)} and {len(other)}", shadow="")
            elif at >= len(one):
                self._note(None, other[at], f"lengths differ: {len(one)} and {len(other)}", primary="")
            else:
                self._value(one[at], other[at], below)
            self._trail.pop()

    def _rows(self, one: list[object], other: list[object]) -> None:
        """Lists of one length in which no rule names a place: long rows of numbers are the common case."""
        rules, tolerance = self._rules, self._tolerance
        self._steps += len(one)
        for at, (first, second) in enumerate(zip(one, other, strict=True)):
            kind = type(first)
            if kind is type(second) and (
                (kind is float and rules.near(first, second, tolerance)) or (kind is str and first == second)  # type: ignore[arg-type]
            ):
                continue
            self._trail.append(at)
            self._value(first, second, ())
            self._trail.pop()

    def _unordered(self, one: list[object], other: list[object], state: State) -> None:
        """Pair the elements off so that all agree, if that is possible at all."""
        if max(len(one), len(other)) > _MATCHED_EXACTLY:
            one, other = _without_equals(one, other)
            if max(len(one), len(other)) > _MATCHED_EXACTLY:
                raise TooMuchWorkError("an unordered list differs in too many places to be matched")
        below = self._rules.step(state, 0)
        if below and self._rules.ignored(below):
            return
        match = _Matching(one, other, lambda first, second: self._agree(first, second, below))
        for at in match.unmatched:
            self._trail.append(at)
            self._note(one[at], None, "no element of the shadow's unordered list agrees", shadow="")
            self._trail.pop()
        for at in match.untaken:
            self._trail.append(at)
            self._note(None, other[at], "no element of the primary's unordered list agrees", primary="")
            self._trail.pop()

    def _agree(self, one: object, other: object, state: State) -> bool:
        """Whether two elements agree: nothing is written down, but the depth and the work count."""
        probe = _Walk(self._rules, wanted=0)
        probe._trail = self._trail
        probe._tolerance = self._tolerance
        probe._steps = self._steps
        depth = len(self._trail)
        try:
            probe._value(one, other, state)
        except _EnoughError:
            del self._trail[depth:]
            return False
        finally:
            self._steps = probe._steps
        return True

    def _note(
        self,
        one: object,
        other: object,
        why: str,
        *,
        primary: str | None = None,
        shadow: str | None = None,
        distance: float | None = None,
    ) -> None:
        if not self._wanted:
            raise _EnoughError
        self.found.append(
            Difference(
                path=path_text(self._trail),
                group=path_text(["*" if isinstance(key, int) else key for key in self._trail], stars=True),
                primary=render(one) if primary is None else primary,
                shadow=render(other) if shadow is None else shadow,
                why=why,
                distance=distance,
                label=_is_label(one) and _is_label(other),
            )
        )
        if len(self.found) >= self._wanted:
            raise _EnoughError


class _Matching:
    """A largest matching of two lists, by augmenting paths (H. W. Kuhn 1955).

    Nearness is not transitive, so neither sorting nor taking the first that agrees would do.
    """

    def __init__(self, one: list[object], other: list[object], agree: Callable[[object, object], bool]) -> None:
        self._one, self._other, self._agree = one, other, agree
        self._owner: dict[int, int] = {}
        self._place: dict[int, int] = {}
        self.unmatched = [at for at in range(len(one)) if not self._augment(at)]
        self.untaken = [place for place in range(len(other)) if place not in self._owner]

    def _augment(self, start: int) -> bool:
        """Find ``start`` a place, moving earlier ones where that helps. Breadth first."""
        came_from: dict[int, int] = {}
        queue = [start]
        for at in queue:
            for place in self._places(at):
                if place in came_from or not self._agree(self._one[at], self._other[place]):
                    continue
                came_from[place] = at
                if place not in self._owner:
                    self._move(place, came_from)
                    return True
                queue.append(self._owner[place])
        return False

    def _places(self, at: int) -> Iterator[int]:
        """The same place first: lists that hardly differ are then matched in linear time."""
        if at < len(self._other):
            yield at
        yield from (place for place in range(len(self._other)) if place != at)

    def _move(self, place: int, came_from: dict[int, int]) -> None:
        free: int | None = place
        while free is not None:
            mover = came_from[free]
            left = self._place.get(mover)
            self._owner[free], self._place[mover] = mover, free
            free = left


def path_text(trail: list[Key], *, stars: bool = False) -> str:
    """The trail as a JSON path, bounded and harmless on a terminal."""
    parts = ["$"]
    for key in trail:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif stars and key == "*":
            parts.append("[*]")
        elif _PLAIN.match(key):
            parts.append(f".{key}")
        else:
            parts.append(f"['{key[:64]}']")
    return safe_text("".join(parts), LIMIT)


def _type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def _is_label(value: object) -> bool:
    """Whether a value names one of some few things. A difference of missing values is none of labels."""
    return isinstance(value, int) or (isinstance(value, str) and len(value) <= _LONGEST_LABEL)


def _apart(one: float, other: float) -> float | None:
    """How far two numbers are apart, as a share of the larger; None beyond what a float can hold."""
    try:
        apart = abs(float(one) - float(other)) / max(abs(float(one)), abs(float(other)))
    except (OverflowError, ZeroDivisionError):
        return None
    return apart if math.isfinite(apart) else None


def _how_far(one: float, other: float) -> str:
    try:
        apart = abs(float(one) - float(other))
        largest = max(abs(float(one)), abs(float(other)))
        return f"apart by {apart:.3g}, {apart / largest:.2g} of the larger"
    except OverflowError:
        return PLAIN


def _without_equals(one: list[object], other: list[object]) -> tuple[list[object], list[object]]:
    """Both lists without the elements that they share exactly, as many times as both have them."""
    spare: dict[str, int] = {}
    for value in other:
        spare[_canonical(value)] = spare.get(_canonical(value), 0) + 1
    left = []
    for value in one:
        key = _canonical(value)
        if spare.get(key, 0):
            spare[key] -= 1
        else:
            left.append(value)
    right = []
    for value in reversed(other):
        key = _canonical(value)
        if spare[key]:
            spare[key] -= 1
            right.append(value)
    return left, right


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)
