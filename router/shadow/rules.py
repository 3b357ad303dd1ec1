"""The rules of a comparison, compiled: which numbers are near enough, which paths do not matter.

Paths are the subset of RFC 9535 that names places: ``$``, ``.name``, ``['name']``, ``[3]``, ``[*]``, ``.*``
and ``..name``.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from inventory.model import Comparison, Rule
from router.errors import RouteError

STATUS = "status"
CONTENT_TYPE = "content-type"

_STEP = re.compile(
    r"""(?P<descend>\.\.)?(?:
          \[(?:(?P<index>\d{1,9})|(?P<any_index>\*)|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\]
        | (?(descend)|\.)(?:(?P<any_name>\*)|(?P<name>[^.\[\]*'"]+))
        )""",
    re.VERBOSE,
)
_MEMO_LIMIT = 4096

Key = str | int
"""A name in an object, or a place in a list."""

State = tuple[tuple[int, int], ...]
"""Which patterns are matched up to which of their steps."""


class RuleError(RouteError):
    """A rule that cannot be used. Its text is one sentence for the person who wrote it."""


class _Step(NamedTuple):
    key: Key | None
    descend: bool


class _Pattern(NamedTuple):
    """What is done at a place: it is ignored, its order is, or it is compared by a rule."""

    steps: tuple[_Step, ...]
    ignore: bool = False
    unordered: bool = False
    rule: Rule | None = None


@dataclass
class Rules:
    """A compiled comparison. Made by ``compile_rules``; the memo only saves time."""

    relative: float
    absolute: float
    ignore_status: bool
    ignore_content_type: bool
    size_ratio: float | None
    patterns: tuple[_Pattern, ...]
    start: State = ()
    _indexed: bool = False
    _memo: dict[tuple[State, Key], State] = field(default_factory=dict, repr=False)

    def near(self, one: float, other: float, rule: Rule | None = None) -> bool:
        """Whether two numbers agree: |a - b| <= max(relative * max(|a|, |b|), absolute), as in PEP 485.

        NaN agrees with NaN. Two integers are counts, labels or names rather than measurements, so only
        the absolute tolerance counts for them, unless the ``rule`` of their place names a relative one.
        """
        relative, absolute = self.relative, self.absolute
        if rule is not None:
            relative, absolute = rule.relative or 0.0, rule.absolute or 0.0
        if isinstance(one, int) and isinstance(other, int) and (rule is None or rule.relative is None):
            return abs(one - other) <= absolute
        try:
            if math.isclose(one, other, rel_tol=relative, abs_tol=absolute):
                return True
        except OverflowError:
            return False
        return math.isnan(one) and math.isnan(other)

    def step(self, state: State, key: Key) -> State:
        """The state one key further down. Always empty where there are no patterns."""
        if not state:
            return ()
        if not self._indexed and isinstance(key, int):
            key = 0
        found = self._memo.get((state, key))
        if found is None:
            found = self._advance(state, key)
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[state, key] = found
        return found

    def ignored(self, state: State) -> bool:
        """Whether the place that led to this state is ignored."""
        return any(pattern.ignore for pattern in self._here(state))

    def unordered(self, state: State) -> bool:
        """Whether the list at the place that led to this state may come in any order."""
        return any(pattern.unordered for pattern in self._here(state))

    def rule(self, state: State) -> Rule | None:
        """The first rule that is about the place that led to this state."""
        return next((pattern.rule for pattern in self._here(state) if pattern.rule is not None), None)

    def _here(self, state: State) -> Iterator[_Pattern]:
        return (self.patterns[at] for at, done in state if done == len(self.patterns[at].steps))

    def _advance(self, state: State, key: Key) -> State:
        after: dict[tuple[int, int], None] = {}
        for at, done in state:
            steps = self.patterns[at].steps
            if done == len(steps):
                continue
            step = steps[done]
            if step.descend:
                after[at, done] = None
            if step.key is None or step.key == key:
                after[at, done + 1] = None
        return tuple(after)


def compile_rules(comparison: Comparison) -> Rules:
    """The rules of a route, ready to use. RuleError where a path cannot be read.

    Beside JSON paths, ``ignore`` takes the words ``status`` and ``content-type``.
    """
    paths = [path for path in comparison.ignore if path not in {STATUS, CONTENT_TYPE}]
    patterns = tuple(
        [_Pattern(_parse(path), ignore=True) for path in paths]
        + [_Pattern(_parse(path), unordered=True) for path in comparison.unordered]
        + [_Pattern(_parse(rule.path), rule=rule) for rule in comparison.rules]
    )
    return Rules(
        relative=comparison.relative,
        absolute=comparison.absolute,
        ignore_status=STATUS in comparison.ignore,
        ignore_content_type=CONTENT_TYPE in comparison.ignore,
        size_ratio=comparison.size_ratio,
        patterns=patterns,
        start=tuple((at, 0) for at in range(len(patterns))),
        _indexed=any(isinstance(step.key, int) for pattern in patterns for step in pattern.steps),
    )


def _parse(path: str) -> tuple[_Step, ...]:
    steps: list[_Step] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or match.end() == position:
            break
        steps.append(_Step(_key(match), bool(match["descend"])))
        position = match.end()
    if not path.startswith("$") or position != len(path):
        raise RuleError(f"{path!r} is not a path to compare by: write it like $.took_ms, $.items[*].score or $..id")
    return tuple(steps)


def _key(match: re.Match[str]) -> Key | None:
    if match["index"] is not None:
        return int(match["index"])
    for group in ("single", "double", "name"):
        if match[group] is not None:
            return match[group]
    return None
