"""How far apart two parts of an answer are, where equality is the wrong question. Pure.

Each measure takes what is at one place of both answers and says how far apart they are, from 0 (the same) upwards,
and that in words; None where the two are not what the measure is for, which is a difference too.
"""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from operator import mul
from typing import NamedTuple

from inventory.model import Rule

MOST_WORDS = 4000
"""Words of each text that are compared: the work grows with the square."""

_LARGEST = 1e300
_ROUNDING = 1e-12

_LABELS = ("label", "class", "name", "id", "token", "category", "text")
_SCORES = ("score", "probability", "confidence", "logprob", "prob", "value")


class Measured(NamedTuple):
    """How far apart, whether that is near enough, and why in a few words."""

    distance: float | None
    near: bool
    why: str


def measure(one: object, other: object, rule: Rule) -> Measured | None:
    """What a rule other than a tolerance says of two values; None for a tolerance."""
    for kind, judge in _KINDS.items():
        wanted = getattr(rule, kind)
        if wanted is not None:
            return judge(one, other, wanted)
    return None


def top(one: object, other: object, count: int) -> Measured:
    """Whether the first labels are the same ones, in any order. Their order is the most changeable part of a score."""
    first, second = ranking(one), ranking(other)
    if first is None or second is None:
        return Measured(None, near=False, why="there are no labels to compare")
    mine, theirs = set(islice(first, count)), set(islice(second, count))
    largest = max(len(mine), len(theirs))
    shared = len(mine & theirs)
    distance = 1 - shared / largest if largest else 0.0
    return Measured(distance, near=distance == 0, why=f"of the top {largest}, {shared} are shared")


def ranking(value: object) -> list[str] | None:
    """The labels of a value, the most likely first; None where it has none.

    A list of labels is in that order already. Objects are sorted by their score, where they have one.
    """
    if isinstance(value, Mapping):
        if not all(_is_number(score) for score in value.values()):
            return None
        return [str(label) for label, _ in sorted(value.items(), key=lambda item: -float(item[1]))]
    if not isinstance(value, list):
        return None
    if all(isinstance(each, str | int) for each in value):
        return [str(each) for each in value]
    found: list[tuple[float, str]] = []
    for place, each in enumerate(value):
        label = _first(each, _LABELS) if isinstance(each, Mapping) else None
        if label is None:
            return None
        score = _first(each, _SCORES)
        found.append((-float(score) if isinstance(score, int | float) else float(place), str(label)))
    return [label for _, label in sorted(found, key=lambda item: item[0])]


def variation(one: object, other: object, most: float) -> Measured:
    """The total variation of two probability vectors, or of two objects that map labels to probabilities.

    Half the sum of the differences, each vector first brought to the sum of one: the largest difference between
    the probabilities that the two give to any one event.
    """
    first, second = _weights(one), _weights(other)
    if first is None or second is None:
        return Measured(None, near=False, why="these are no probabilities")
    labels = first.keys() | second.keys()
    distance = sum(abs(first.get(label, 0.0) - second.get(label, 0.0)) for label in labels) / 2
    return Measured(
        distance, near=distance <= most + _ROUNDING, why=f"apart by {distance:.3g}, at most {most:g} may be"
    )


def angle(one: object, other: object, least: float) -> Measured:
    """The cosine between two embeddings; the smallest of all rows where there are several."""
    first, second = _rows(one), _rows(other)
    if first is None or second is None or [len(row) for row in first] != [len(row) for row in second]:
        return Measured(None, near=False, why="these are no embeddings of one shape")
    cosine = min((_cosine(mine, theirs) for mine, theirs in zip(first, second, strict=True)), default=1.0)
    return Measured(
        1 - cosine, near=cosine >= least, why=f"the cosine is {cosine:.6g}, at least {least:g} is asked for"
    )


def wording(one: object, other: object, least: float) -> Measured:
    """How many words two texts share in order: twice the longest common subsequence over both lengths.

    Source: the normalised indel similarity, as RapidFuzz computes it; H. Hyyrö, "Bit-parallel LCS-length
    computation revisited" (2004).
    """
    if not isinstance(one, str) or not isinstance(other, str):
        return Measured(None, near=False, why="these are no texts")
    from rapidfuzz.distance import Indel

    first, second = one.split()[:MOST_WORDS], other.split()[:MOST_WORDS]
    share = float(Indel.normalized_similarity(first, second))
    return Measured(
        1 - share, near=share >= least, why=f"{share:.0%} of the words are shared, {least:.0%} are asked for"
    )


_KINDS: dict[str, Callable[[object, object, float], Measured]] = {
    "top": lambda one, other, wanted: top(one, other, int(wanted)),
    "distance": variation,
    "cosine": angle,
    "similarity": wording,
}


def _first(given: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _weights(value: object) -> dict[str, float] | None:
    """Probabilities by label or place, with the sum of one; None where they are none."""
    items = list(value.items()) if isinstance(value, Mapping) else None
    if items is None and isinstance(value, list):
        items = list(enumerate(value))
    if not items or not all(_is_number(share) and share >= 0 for _, share in items):
        return None
    whole = math.fsum(float(share) for _, share in items)
    return {str(label): float(share) / whole for label, share in items} if whole > 0 else None


def _rows(value: object) -> list[list[float]] | None:
    """An embedding as one row, several as several; None where they are none."""
    if not isinstance(value, list) or not value:
        return None
    rows = value if all(isinstance(each, list) for each in value) else [value]
    return rows if all(row and all(_is_number(number) for number in row) for row in rows) else None


def _cosine(one: list[float], other: list[float]) -> float:
    """The cosine of two rows of one length; two zeros point the same way, one zero points nowhere."""
    largest = [max(abs(number) for number in row) for row in (one, other)]
    if not all(largest):
        return 1.0 if largest[0] == largest[1] else 0.0
    # First brought to the same size: products of very large or very small numbers would be lost.
    mine, theirs = ([number / size for number in row] for row, size in zip((one, other), largest, strict=True))
    cosine: float = sum(map(mul, mine, theirs)) / math.hypot(*mine) / math.hypot(*theirs)
    return max(-1.0, min(1.0, cosine))
