"""Evidence in, verdict out: advance, hold or roll back, with the numbers in words. Pure.

Every check on a rate or a quantile is anytime-valid (see ``router.shadow.statistics``): looking after each
request does not inflate its error. To advance, all checks must pass, so the chance to advance past a breach
of any one of them is at most ``error`` without correction (R. L. Berger, "Multiparameter hypothesis testing
and acceptance sampling", Technometrics 24 (1982)). To roll back, one check is enough, so each gets an equal
share of ``error`` (Bonferroni).
"""

from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from inventory.model import ShadowEvidence
from inventory.model.base import Value
from router.shadow.sketch import LatencySketch
from router.shadow.statistics import lower_bound, more_needed, rejects_at_most, upper_bound


class Decision(StrEnum):
    """What to do with a rollout."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLL_BACK = "roll back"


class Gate(Value):
    """What must be shown before a rollout goes on. Shares are between 0 and 1.

    ``agreement`` is the least share of compared pairs that agree; ``new_errors`` the largest share where
    only the shadow failed. Latency passes when the shadow's quantile is at most ``latency_ratio`` times the
    primary's plus ``latency_slack_ms``: without the slack, half a millisecond would fail two tenths.
    ``lost`` and ``incomparable`` are the largest shares that evidence may be missing of. ``error`` is the
    chance, each, to advance past a breach and to roll back without one.
    """

    minimum_pairs: int = Field(default=100, ge=1)
    agreement: float = Field(default=0.99, gt=0.0, lt=1.0)
    new_errors: float = Field(default=0.01, gt=0.0, lt=1.0)
    latency_ratio: float = Field(default=1.5, gt=0.0)
    latency_slack_ms: float = Field(default=5.0, ge=0.0)
    lost: float = Field(default=0.05, ge=0.0, le=1.0)
    incomparable: float = Field(default=0.2, ge=0.0, le=1.0)
    error: float = Field(default=0.05, gt=0.0, lt=0.5)


class Check(NamedTuple):
    """One condition of a gate: what it says, and why in a sentence."""

    name: str
    decision: Decision
    sentence: str


class Verdict(NamedTuple):
    """The decision with every check that led to it. ``sentence`` names those that decided."""

    decision: Decision
    checks: tuple[Check, ...]

    @property
    def sentence(self) -> str:
        """The decision and its reasons, for a person."""
        deciding = [check.sentence for check in self.checks if check.decision is self.decision]
        return f"{self.decision.value}: {'; '.join(deciding)}"


_BREAKING = 4
"""How many checks can roll back: agreement, new errors, and the latency's two quantiles."""


def decide(evidence: ShadowEvidence | None, gate: Gate) -> Verdict:
    """What the evidence allows. No evidence holds. The worst check decides."""
    if evidence is None or evidence.pairs == 0:
        nothing = Check("pairs", Decision.HOLD, "no pair of answers has been compared yet")
        return Verdict(Decision.HOLD, (nothing,))
    checks = (
        _enough(evidence, gate),
        _lost(evidence, gate),
        _incomparable(evidence, gate),
        _agreement(evidence, gate),
        _new_errors(evidence, gate),
        _latency(evidence, gate, 0.5),
        _latency(evidence, gate, 0.99),
    )
    decisions = {check.decision for check in checks}
    for worst in (Decision.ROLL_BACK, Decision.HOLD):
        if worst in decisions:
            return Verdict(worst, checks)
    return Verdict(Decision.ADVANCE, checks)


def pairs_needed(gate: Gate) -> int:
    """How many pairs a shadow without fault needs to pass: what a rollout's sample must be able to reach."""
    agreeing = more_needed(0, 0, gate.agreement, gate.error) or 0
    without_errors = more_needed(0, 0, 1 - gate.new_errors, gate.error) or 0
    return max(gate.minimum_pairs, agreeing, without_errors)


def _enough(evidence: ShadowEvidence, gate: Gate) -> Check:
    count, least = evidence.compared, gate.minimum_pairs
    decision = Decision.ADVANCE if count >= least else Decision.HOLD
    return Check("pairs", decision, f"{count} pairs compared, at least {least} asked for")


def _lost(evidence: ShadowEvidence, gate: Gate) -> Check:
    sampled = evidence.pairs + evidence.lost
    return _share("lost", "sampled requests lost an answer", evidence.lost, sampled, gate.lost)


def _incomparable(evidence: ShadowEvidence, gate: Gate) -> Check:
    words = "pairs could not be compared"
    return _share("incomparable", words, evidence.incomparable, evidence.pairs, gate.incomparable)


def _share(name: str, words: str, part: int, whole: int, most: float) -> Check:
    share = part / whole if whole else 0.0
    decision = Decision.ADVANCE if share <= most else Decision.HOLD
    return Check(name, decision, f"{part} of {whole} {words} ({share:.2%}), at most {most:.2%} may")


def _agreement(evidence: ShadowEvidence, gate: Gate) -> Check:
    count, agreed = evidence.compared, evidence.agreed
    if count == 0:
        return Check("agreement", Decision.HOLD, "none of the pairs could be compared")
    differed = count - agreed
    said = f"{agreed} of {count} pairs agree ({agreed / count:.2%})"
    if rejects_at_most(agreed, differed, gate.agreement, gate.error):
        bound = lower_bound(agreed, differed, gate.error)
        sentence = f"{said}, so at least {bound:.2%} do, and {gate.agreement:.2%} are asked for"
        return Check("agreement", Decision.ADVANCE, sentence)
    if rejects_at_most(differed, agreed, 1 - gate.agreement, gate.error / _BREAKING):
        bound = upper_bound(agreed, differed, gate.error / _BREAKING)
        sentence = f"{said}, so at most {bound:.2%} do, and {gate.agreement:.2%} are asked for"
        return Check("agreement", Decision.ROLL_BACK, sentence)
    more = more_needed(agreed, differed, gate.agreement, gate.error)
    sentence = f"{said}, which does not yet show {gate.agreement:.2%}: {more} more that agree would"
    return Check("agreement", Decision.HOLD, sentence)


def _new_errors(evidence: ShadowEvidence, gate: Gate) -> Check:
    failed, good = evidence.new_errors, max(0, evidence.compared - evidence.new_errors)
    said = f"the shadow alone failed {failed} of {failed + good} times"
    if rejects_at_most(good, failed, 1 - gate.new_errors, gate.error):
        bound = upper_bound(failed, good, gate.error)
        sentence = f"{said}, so at most {bound:.2%} of the time, and {gate.new_errors:.2%} may"
        return Check("new errors", Decision.ADVANCE, sentence)
    if rejects_at_most(failed, good, gate.new_errors, gate.error / _BREAKING):
        bound = lower_bound(failed, good, gate.error / _BREAKING)
        sentence = f"{said}, so at least {bound:.2%} of the time, and {gate.new_errors:.2%} may"
        return Check("new errors", Decision.ROLL_BACK, sentence)
    more = more_needed(good, failed, 1 - gate.new_errors, gate.error)
    sentence = f"{said}, which does not yet show at most {gate.new_errors:.2%}: {more} more without would"
    return Check("new errors", Decision.HOLD, sentence)


def _latency(evidence: ShadowEvidence, gate: Gate, level: float) -> Check:
    """Roll back where the bounds of both quantiles prove it too slow; advance where it measures fast enough."""
    name = f"p{level * 100:.0f}"
    primary, shadow = LatencySketch(evidence.primary_latency), LatencySketch(evidence.shadow_latency)
    slow, fast = shadow.quantile(level), primary.quantile(level)
    if slow is None or fast is None:
        return Check(name, Decision.HOLD, f"the {name} of both backends is not known yet")
    said = f"the shadow's {name} is {slow:.1f} ms and the primary's {fast:.1f} ms"
    limit = f"{gate.latency_ratio:g} times that and {gate.latency_slack_ms:g} ms may be"
    if slow <= gate.latency_ratio * fast + gate.latency_slack_ms:
        return Check(name, Decision.ADVANCE, f"{said}; {limit}")
    # Each of the two bounds may be wrong: they share what this check may err.
    share = gate.error / _BREAKING / 2
    at_least, _ = shadow.quantile_bounds(level, share)
    _, at_most = primary.quantile_bounds(level, share)
    if at_least > gate.latency_ratio * at_most + gate.latency_slack_ms:
        return Check(name, Decision.ROLL_BACK, f"{said}, certainly too slow; {limit}")
    return Check(name, Decision.HOLD, f"{said}, too slow as measured, though not for certain; {limit}")
