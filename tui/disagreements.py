"""Where two backends answer otherwise, for a person: by place, which became which, and examples side by side. Pure."""

from collections.abc import Iterator
from typing import Any

from inventory.model import Disagreement, ShadowEvidence
from router.shadow.tree import PLAIN

SHOWN_SWAPS = 8
_HEAD, _CELL = 30, 36


def lines_of(evidence: ShadowEvidence) -> Iterator[str]:
    """Everything that is kept of the disagreements of one pair of backends, the most frequent place first."""
    differed = evidence.compared - evidence.agreed
    yield (
        f"{evidence.shadow} with {evidence.primary}: {differed} of {evidence.compared} compared pairs differ, "
        f"at {len(evidence.paths)} place{'' if len(evidence.paths) == 1 else 's'}"
    )
    for group, count in evidence.paths.items():
        share = f" ({count / evidence.compared:.1%})" if evidence.compared else ""
        yield f"  {group}  differs in {count} pairs{share}{_apart(evidence, group)}"
        swaps = evidence.swaps.get(group, {})
        yield from (f"    {times:>6} x {swap}" for swap, times in list(swaps.items())[:SHOWN_SWAPS])
        examples = [one for one in evidence.disagreements if one.group == group]
        if examples:
            yield f"    {'example':<{_HEAD}}  {evidence.primary:<{_CELL}}  {evidence.shadow}"
        for one in examples:
            yield from _example(one)


def rows_of(evidence: ShadowEvidence) -> list[dict[str, Any]]:
    """The same for a program: a row for each example, and one for each place that has none."""
    found = []
    for group, count in evidence.paths.items():
        place = {
            "primary": evidence.primary,
            "shadow": evidence.shadow,
            "group": group,
            "pairs": count,
            "compared": evidence.compared,
            "swaps": evidence.swaps.get(group, {}),
            "largest_distance": evidence.distances.get(group),
        }
        examples = [one.model_dump(mode="json") for one in evidence.disagreements if one.group == group]
        named = [
            {"at": one["at"], "request_id": one["request_id"], "operation": one["operation"], "path": one["path"],
             "primary_said": one["primary"], "shadow_said": one["shadow"], "why": one["why"]}
            for one in examples
        ]  # fmt: skip
        found += [place | one for one in named] or [place]
    return found


def _apart(evidence: ShadowEvidence, group: str) -> str:
    distance = evidence.distances.get(group)
    return f", by at most {distance:.2g} of the larger" if distance is not None else ""


def _example(one: Disagreement) -> Iterator[str]:
    """One example: both values side by side, each in as many lines as it needs."""
    left, right = (_wrapped(text, _CELL) for text in (one.primary, one.shadow))
    heads = _wrapped(f"{one.at:%m-%d %H:%M:%S} {one.operation}", _HEAD)
    if one.why != PLAIN:
        heads += _wrapped(f"({one.why})", _HEAD)
    for at in range(max(len(left), len(right), len(heads))):
        cells = [part[at] if at < len(part) else "" for part in (heads, left, right)]
        yield f"    {cells[0]:<{_HEAD}}  {cells[1]:<{_CELL}}  {cells[2]}".rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, len(text), width)] or [""]
