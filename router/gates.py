"""Evidence in, verdict out: advance, hold or roll back, with the numbers in words. Pure.

Every check on a rate or a quantile is anytime-valid (see ``router.shadow.statistics``): looking after each
request does not inflate its error. To advance, all checks must pass, so the chance to advance past a breach
of any one of them is at most ``error`` without correction (R. L. Berger, "Multiparameter hypothesis testing
and acceptance sampling", Technometrics 24 (1982)). To roll back, one check is enough, so each gets an equal
share of ``error`` (Bonferroni), over the checks and over the gates of a rollout.

A break that comes late is diluted by the good past, so beside the evidence of the whole step there are
stretches of it, and each is tested on its own. The k-th stretch gets the share 1/(k(k+1)) of what stretches
may err, which adds up to one however many there are: it costs only the logarithm of k in pairs. The idea of
tests that begin again is that of J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for
sequential change detection", New England Journal of Statistics in Data Science 2 (2024), whose delay is
shorter and whose guarantee is of the mean time between false alarms rather than of there being none.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from inventory.model import Gate, Live, ShadowEvidence
from router.shadow.sketch import LatencySketch
from router.shadow.statistics import lower_bound, more_needed, rejects_at_most, upper_bound


class Decision(StrEnum):
    """What to do with a rollout."""

    ADVANCE = "advance"
    HOLD = "hold"
    ROLL_BACK = "roll back"


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


class Findings(NamedTuple):
    """What was counted over one stretch of time.

    ``pairs`` compares incumbent and candidate; ``own`` is the candidate's live answers, where some were
    captured; ``incumbent`` and ``candidate`` are all live answers.
    """

    pairs: ShadowEvidence | None
    own: ShadowEvidence | None = None
    incumbent: Live = Live()
    candidate: Live = Live()


class Errors(NamedTuple):
    """The chance that one check may err: to advance past a breach, and to roll back without one."""

    advance: float
    back: float


_BREAKING = 5
"""How many checks of pairs can roll back: agreement, new errors, and the latency's three quantiles."""

_BREAKING_LIVE = 3
"""How many checks of live answers can: errors, and two quantiles of the latency."""

_PROVEN_LEVELS = (0.5, 0.95)
_MEASURED_LEVEL = 0.99
"""A 99th percentile is proven too slow, but only measured to be fast enough: proof would take as many pairs
as an agreement of 99 %, and a tail that is hardly heavier than usual would never pass."""

_ENOUGH_TO_DOUBT = 20
"""Pairs of a stretch, from which on what it measures can hold a rollout that the whole step would let go on."""


def decide(evidence: ShadowEvidence | None, gate: Gate) -> Verdict:
    """What the pairs of answers allow. No evidence holds. The worst check decides."""
    return _worst(tuple(_of_pairs(evidence, gate, Errors(gate.error, gate.error / _BREAKING))))


def judge(step: Findings, latest: Findings | None, gate: Gate, *, share: int, windows: int, gates: int) -> Verdict:
    """What a step of a rollout has shown, as a whole and in its latest stretch, the ``windows``-th.

    ``latest`` is None while the first stretch lasts. ``share`` is the candidate's of the live requests, in
    percent: where it has some, its live answers count; once it has all of them, there are no pairs to ask for.
    ``gates`` is how many the rollout has.
    """
    live = share > 0
    most = _BREAKING + (_BREAKING_LIVE if live else 0)
    back = gate.error / gates / most / 2
    errors = Errors(gate.error, back)
    checks = [] if share == 100 else list(_of_pairs(step.pairs, gate, errors))
    if live:
        checks += _of_live(step, gate, errors)
    if latest is not None:
        recent = Errors(gate.error, back / (windows * (windows + 1)))
        checks += [check for check in _lately(latest, gate, recent, live=live) if check is not None]
    return _worst(tuple(checks))


def pairs_needed(gate: Gate) -> int:
    """How many pairs a shadow without fault needs to pass: what a rollout's sample must be able to reach."""
    if not gate.prove:
        return gate.minimum_pairs
    agreeing = more_needed(0, 0, gate.agreement, gate.error) or 0
    without_errors = more_needed(0, 0, 1 - gate.new_errors, gate.error) or 0
    as_fast = more_needed(0, 0, max(_PROVEN_LEVELS), gate.error / 2) or 0
    return max(gate.minimum_pairs, agreeing, without_errors, as_fast)


def _worst(checks: tuple[Check, ...]) -> Verdict:
    decisions = {check.decision for check in checks}
    for worst in (Decision.ROLL_BACK, Decision.HOLD):
        if worst in decisions:
            return Verdict(worst, checks)
    return Verdict(Decision.ADVANCE, checks)


def _of_pairs(evidence: ShadowEvidence | None, gate: Gate, errors: Errors) -> Iterator[Check]:
    if evidence is None or evidence.pairs == 0:
        yield Check("pairs", Decision.HOLD, "no pair of answers has been compared yet")
        return
    yield _enough(evidence, gate)
    yield _lost(evidence, gate)
    yield _incomparable(evidence, gate)
    yield _agreement(evidence, gate, errors)
    yield _new_errors(evidence, gate, errors)
    for level in (*_PROVEN_LEVELS, _MEASURED_LEVEL):
        yield _latency("the shadow's", evidence.primary_latency, evidence.shadow_latency, gate, level, errors)


def _of_live(findings: Findings, gate: Gate, errors: Errors) -> Iterator[Check]:
    yield _live_errors(findings, gate, errors)
    if findings.own is None or findings.pairs is None or not findings.own.primary_latency:
        return
    measured = gate.model_copy(update={"prove": False})
    for level in _PROVEN_LEVELS:
        latencies = findings.pairs.primary_latency, findings.own.primary_latency
        check = _latency("the candidate's live", *latencies, measured, level, errors)
        yield check._replace(name=f"live {check.name}")


def _lately(latest: Findings, gate: Gate, errors: Errors, *, live: bool) -> Iterator[Check | None]:
    """What the latest stretch adds to the whole step: a proven break, or a doubt."""
    checks = list(_of_pairs(latest.pairs, gate, errors)) if latest.pairs is not None else []
    if live:
        checks += _of_live(latest, gate, errors)
    for check in checks:
        if check.decision is Decision.ROLL_BACK:
            yield Check(f"{check.name} lately", check.decision, f"lately, {check.sentence}")
    pairs = latest.pairs
    if pairs is not None and pairs.compared >= _ENOUGH_TO_DOUBT and (pairs.agreement or 0.0) < gate.agreement:
        said = f"lately, only {pairs.agreed} of {pairs.compared} pairs agree ({pairs.agreement:.2%})"
        yield Check("lately", Decision.HOLD, f"{said}, and {gate.agreement:.2%} are asked for")


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


def _unproven(gate: Gate) -> Decision:
    """What a check comes to that shows neither a pass nor a breach."""
    return Decision.HOLD if gate.prove else Decision.ADVANCE


def _agreement(evidence: ShadowEvidence, gate: Gate, errors: Errors) -> Check:
    count, agreed = evidence.compared, evidence.agreed
    if count == 0:
        return Check("agreement", Decision.HOLD, "none of the pairs could be compared")
    differed = count - agreed
    said = f"{agreed} of {count} pairs agree ({agreed / count:.2%})"
    if rejects_at_most(agreed, differed, gate.agreement, errors.advance):
        bound = lower_bound(agreed, differed, errors.advance)
        sentence = f"{said}, so at least {bound:.2%} do, and {gate.agreement:.2%} are asked for"
        return Check("agreement", Decision.ADVANCE, sentence)
    if rejects_at_most(differed, agreed, 1 - gate.agreement, errors.back):
        bound = upper_bound(agreed, differed, errors.back)
        sentence = f"{said}, so at most {bound:.2%} do, and {gate.agreement:.2%} are asked for"
        return Check("agreement", Decision.ROLL_BACK, sentence)
    more = more_needed(agreed, differed, gate.agreement, errors.advance)
    sentence = f"{said}, which does not yet show {gate.agreement:.2%}: {more} more that agree would"
    return Check("agreement", _unproven(gate), sentence)


def _new_errors(evidence: ShadowEvidence, gate: Gate, errors: Errors) -> Check:
    failed, good = evidence.new_errors, max(0, evidence.compared - evidence.new_errors)
    said = f"the shadow alone failed {failed} of {failed + good} times"
    if rejects_at_most(good, failed, 1 - gate.new_errors, errors.advance):
        bound = upper_bound(failed, good, errors.advance)
        sentence = f"{said}, so at most {bound:.2%} of the time, and {gate.new_errors:.2%} may"
        return Check("new errors", Decision.ADVANCE, sentence)
    if rejects_at_most(failed, good, gate.new_errors, errors.back):
        bound = lower_bound(failed, good, errors.back)
        sentence = f"{said}, so at least {bound:.2%} of the time, and {gate.new_errors:.2%} may"
        return Check("new errors", Decision.ROLL_BACK, sentence)
    more = more_needed(good, failed, 1 - gate.new_errors, errors.advance)
    sentence = f"{said}, which does not yet show at most {gate.new_errors:.2%}: {more} more without would"
    return Check("new errors", _unproven(gate), sentence)


def _live_errors(findings: Findings, gate: Gate, errors: Errors) -> Check:
    """Whether callers fail more often on the candidate than on the incumbent, by more than may be.

    Both answer live requests of the same time, so a failure that both share, of a database say, excuses the
    candidate. Where the incumbent answers nothing, nothing excuses it. Each of the two bounds may be wrong:
    they share what the check may err.
    """
    mine, theirs = findings.candidate, findings.incumbent
    good, others_good = (max(0, one.requests - one.failures) for one in (mine, theirs))
    said = f"{mine.failures} of {mine.requests} live answers of the candidate failed"
    if theirs.requests:
        said += f", and {theirs.failures} of {theirs.requests} of the incumbent"
    limit = f"{gate.new_errors:.2%} more than the incumbent's may"
    if mine.requests == 0:
        return Check("live errors", Decision.HOLD, "the candidate has not answered a live request yet")
    least = lower_bound(mine.failures, good, errors.back / 2)
    excused = upper_bound(theirs.failures, others_good, errors.back / 2) if theirs.requests else 0.0
    if least > excused + gate.new_errors:
        return Check("live errors", Decision.ROLL_BACK, f"{said}, so at least {least:.2%} do ({limit})")
    most = upper_bound(mine.failures, good, errors.advance / 2)
    usual = lower_bound(theirs.failures, others_good, errors.advance / 2) if theirs.requests else 0.0
    if most <= usual + gate.new_errors:
        return Check("live errors", Decision.ADVANCE, f"{said}, so at most {most:.2%} do ({limit})")
    return Check(
        "live errors", _unproven(gate), f"{said}, so perhaps {most:.2%} do, which is not few enough yet ({limit})"
    )


def _latency(whose: str, fast: dict[int, int], slow: dict[int, int], gate: Gate, level: float, errors: Errors) -> Check:
    """Roll back where the bounds of both quantiles prove it too slow; advance where they prove it fast enough.

    Each of the two bounds may be wrong: they share what the check may err.
    """
    name = f"p{level * 100:.0f}"
    primary, candidate = LatencySketch(fast), LatencySketch(slow)
    here, there = candidate.quantile(level), primary.quantile(level)
    if here is None or there is None:
        return Check(name, Decision.HOLD, f"the {name} of both backends is not known yet")
    said = f"{whose} {name} is {here:.1f} ms and the incumbent's {there:.1f} ms"
    limit = f"{gate.latency_ratio:g} times that and {gate.latency_slack_ms:g} ms may be"
    at_least, _ = candidate.quantile_bounds(level, errors.back / 2)
    _, at_most = primary.quantile_bounds(level, errors.back / 2)
    if at_least > gate.latency_ratio * at_most + gate.latency_slack_ms:
        return Check(name, Decision.ROLL_BACK, f"{said}, certainly too slow ({limit})")
    if here > gate.latency_ratio * there + gate.latency_slack_ms:
        return Check(name, Decision.HOLD, f"{said}, too slow as measured, though not for certain ({limit})")
    if not gate.prove or level == _MEASURED_LEVEL:
        return Check(name, Decision.ADVANCE, f"{said} ({limit})")
    _, at_most = candidate.quantile_bounds(level, errors.advance / 2)
    at_least, _ = primary.quantile_bounds(level, errors.advance / 2)
    if at_most <= gate.latency_ratio * at_least + gate.latency_slack_ms:
        return Check(name, Decision.ADVANCE, f"{said}, surely fast enough ({limit})")
    return Check(name, Decision.HOLD, f"{said}, fast enough as measured, though not for certain yet ({limit})")
