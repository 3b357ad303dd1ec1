"""Rules learnt from a baseline: a backend compared with itself, where whatever differs is noise. Pure.

The idea is that of Twitter's Diffy (2015), which takes the differences between two copies of the old code from
those between the old and the new. Here they become rules, which a person can read and edit.
"""

from typing import NamedTuple

from inventory.model import Comparison, Rule, ShadowEvidence
from router.shadow.rules import CONTENT_TYPE, STATUS, RuleError, compile_rules
from router.shadow.tally import OTHER_GROUPS

SLACK = 3.0
"""How much farther apart than in the baseline numbers may be: the largest of some is not the largest of all."""

_TOLERABLE = 0.05
"""Numbers that a backend gives otherwise by more than this share, itself, say nothing: they are ignored."""


class Learnt(NamedTuple):
    """The comparison with what was learnt, and a sentence for each rule that is new."""

    comparison: Comparison
    reasons: tuple[str, ...]


def learn(baseline: ShadowEvidence, comparison: Comparison) -> Learnt:
    """The comparison under which the baseline would hardly have differed.

    Numbers that are near each other get a tolerance, everything else that changes is ignored. What cannot be
    written as a rule is left, and said.
    """
    learnt, reasons = comparison, []
    for group, count in baseline.paths.items():
        said = f"{group} differs in {count} of {baseline.compared} pairs of {baseline.primary} with itself"
        after, how = _with(learnt, group, baseline.distances.get(group))
        if after is not None:
            learnt = after
        reasons.append(f"{said}: {how}")
    return Learnt(learnt, tuple(reasons))


def _with(comparison: Comparison, group: str, distance: float | None) -> tuple[Comparison | None, str]:
    if group == STATUS:
        return None, "left as it is, since a status that changes by itself is for a person to judge"
    if group == OTHER_GROUPS or not (group.startswith("$") or group == CONTENT_TYPE):
        return None, "left as it is, since no path names it"
    if distance is not None and distance <= _TOLERABLE:
        within = float(f"{SLACK * distance:.1e}")
        rules = (*(rule for rule in comparison.rules if rule.path != group), Rule(path=group, relative=within))
        after = comparison.model_copy(update={"rules": rules})
        how = f"by {distance:.1e} at most, so {within:g} is allowed"
    else:
        after = comparison.model_copy(update={"ignore": (*comparison.ignore, group)})
        how = "it is ignored"
    try:
        compile_rules(after)
    except RuleError:
        return None, "left as it is, since its path cannot be written as a rule"
    return after, how
