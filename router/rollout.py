"""The steps from the gateway in front to the replacement alone, and what comes next after what is seen. Pure.

``steer`` is the whole decision: a rollout, what is watched of its step and what is seen now, and out comes what
to remember and what to change. It is asked over and over; whoever asks needs no memory of their own.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from inventory.cron import open_at, parse_cron
from inventory.model import (
    Gate,
    Live,
    Mark,
    Revision,
    Rollout,
    RouteSpec,
    Shadow,
    ShadowEvidence,
    Stage,
    Status,
    Step,
    Watch,
)
from router.gates import Decision, Findings, Verdict, judge
from router.shadow.span import mark, since


class Sight(NamedTuple):
    """What is seen of a rollout's route at one moment.

    ``revision`` is the latest that is desired; ``served`` the one that the gateway acknowledged, ``refused`` its
    words where it refused the latest. ``pairs`` and ``own`` are evidence since the route was made; ``incumbent``
    and ``candidate`` the live answers since the last look.
    """

    revision: Revision
    served: int | None
    refused: str | None
    pairs: ShadowEvidence | None
    own: ShadowEvidence | None
    incumbent: Live
    candidate: Live
    now: datetime


class Turn(NamedTuple):
    """What follows: what to remember of the step, the rollout as it becomes, and the route as it becomes.

    None means that it stays as it is.
    """

    watch: Watch | None = None
    after: Rollout | None = None
    spec: RouteSpec | None = None


def ladder(
    gate: Gate, *, shadow: tuple[int, ...] = (1, 10, 50), split: tuple[int, ...] = (5, 25, 50, 100)
) -> tuple[Step, ...]:
    """The usual steps. Nothing is needed to mirror; every move of live requests has the gate before it.

    A larger shadow harms no caller: it only needs that a few answers came, and that no breach is proven.
    ValueError where a percentage does not grow, or where the split does not end with everything.
    """
    seen = gate.model_copy(update={"prove": False, "minimum_pairs": min(gate.minimum_pairs, 20)})
    mirrored = [
        Step(stage=Stage.SHADOW, percent=percent, gate=seen if at else None) for at, percent in enumerate(shadow)
    ]
    moved = [Step(stage=Stage.SPLIT, percent=percent, gate=gate) for percent in split]
    steps = (Step(stage=Stage.FRONT), *mirrored, *moved, Step(stage=Stage.DONE, gate=gate))
    check_ladder(steps)
    return steps


def check_ladder(steps: tuple[Step, ...]) -> None:
    """ValueError, with one sentence, where steps do not lead from the front to the end."""
    if [step.stage for step in (steps[0], steps[-1])] != [Stage.FRONT, Stage.DONE]:
        raise ValueError("a rollout begins with the front and ends with done")
    inner = steps[1:-1]
    order = [step.stage for step in inner]
    if order != sorted(order) or set(order) - {Stage.SHADOW, Stage.SPLIT}:
        raise ValueError("between them, a rollout's shadow steps come first, then its split steps")
    for stage in (Stage.SHADOW, Stage.SPLIT):
        percents = [step.percent for step in inner if step.stage is stage]
        if percents != sorted(set(percents)) or not all(0 < percent <= 100 for percent in percents):
            listed = ", ".join(map(str, percents))
            raise ValueError(f"the {stage.value} steps must grow from above 0 to at most 100 percent, not {listed}")
    if not inner or inner[-1].stage is not Stage.SPLIT or inner[-1].percent != 100:
        raise ValueError("the last split must be 100 percent: a rollout ends with the replacement alone")
    if inner[0].stage is not Stage.SHADOW:
        raise ValueError("a rollout needs a shadow step: without one there is no evidence for its gates")


def shape(spec: RouteSpec, rollout: Rollout) -> RouteSpec:
    """The route as the rollout's step wants it. KeyError where the route lacks one of the two backends.

    While live requests are split, the last shadow goes on: the gates of the later steps need evidence too.
    Backends beside the two get nothing.
    """
    spec.backend(rollout.incumbent)
    spec.backend(rollout.candidate)
    live = live_percent(rollout)
    weights = {rollout.incumbent: 100 - live, rollout.candidate: live}
    percent = _shadow_percent(rollout)
    shadow = None
    if percent and live < 100:
        before = spec.shadow or rollout.shadow or Shadow(backend=rollout.candidate, percent=percent)
        shadow = before.model_copy(update={"backend": rollout.candidate, "percent": float(percent), "baseline": False})
    backends = [{**backend.model_dump(), "weight": weights.get(backend.name, 0)} for backend in spec.backends]
    return RouteSpec.model_validate(
        {**spec.model_dump(), "backends": backends, "shadow": shadow.model_dump() if shadow else None}
    )


def is_at(spec: RouteSpec, rollout: Rollout) -> bool:
    """Whether the route is as the rollout's step wants it."""
    try:
        wanted = shape(spec, rollout)
    except KeyError:
        return False
    return (wanted.backends, wanted.shadow) == (spec.backends, spec.shadow)


def steer(rollout: Rollout, watch: Watch | None, sight: Sight) -> Turn:
    """What follows from what is seen. A rollout that ended stays as it is."""
    if not rollout.active:
        return Turn()
    spec = sight.revision.spec
    if spec is None:
        return Turn(after=_now(rollout, sight, status=Status.ABORTED, why="the route was taken off the gateway"))
    if sight.revision.number != rollout.revision:
        return _somebody_else(rollout, sight, spec)
    if sight.refused is not None:
        return _paused(rollout, sight, f"the gateway refused {rollout.step.words}: {sight.refused}")
    if sight.served != rollout.revision:
        return Turn()
    watch = _watched(rollout, watch, sight)
    verdict = _verdict(rollout, watch, sight)
    if verdict is not None and verdict.decision is Decision.ROLL_BACK:
        back = _now(rollout, sight, position=0, status=Status.ROLLED_BACK, why=_at(rollout, verdict))
        return Turn(after=back, spec=shape(spec, back))
    held = _held(rollout, verdict, sight.now)
    if held:
        turned = _next_window(rollout, watch, sight)
        return Turn(watch=turned.model_copy(update={"verdict": held}))
    following = rollout.following
    assert following is not None
    status = Status.DONE if following.stage is Stage.DONE else Status.RUNNING
    why = _at(rollout, verdict) if verdict else f"{following.words} needs no evidence"
    usual = watch.incumbent if watch.incumbent.requests else rollout.usual
    after = _now(rollout, sight, position=rollout.position + 1, status=status, why=why).model_copy(
        update={"usual": usual, "approved": None}
    )
    return Turn(after=after, spec=shape(spec, after))


def findings(rollout: Rollout, watch: Watch, sight: Sight, *, lately: bool) -> Findings:
    """What the step has shown as a whole, or in its latest stretch."""
    start = watch.window if lately else watch.step
    everything = live_percent(rollout) == 100
    incumbent = _less(watch.incumbent, start.incumbent)
    return Findings(
        pairs=None if everything else since(start.pairs, sight.pairs),
        own=None if everything else since(start.own, sight.own),
        incumbent=rollout.usual if everything else incumbent,
        candidate=_less(watch.candidate, start.candidate),
    )


def live_percent(rollout: Rollout) -> int:
    """The share of live requests that the candidate has at the step in force."""
    step = rollout.step
    if step.stage is Stage.DONE:
        return 100
    return step.percent if step.stage is Stage.SPLIT else 0


def closed(rollout: Rollout, now: datetime) -> str:
    """Why no step may be taken at this moment, whatever the evidence; empty where one may."""
    if rollout.starts_at is not None and now < rollout.starts_at:
        return f"it starts at {rollout.starts_at:%Y-%m-%d %H:%M} UTC"
    if rollout.windows and not any(open_at(parse_cron(one.cron), one.minutes, now) for one in rollout.windows):
        listed = " or ".join(f"{one.minutes} minutes from {one.cron!r}" for one in rollout.windows)
        return f"its window is closed: steps are taken for {listed} (UTC)"
    return ""


def _somebody_else(rollout: Rollout, sight: Sight, spec: RouteSpec) -> Turn:
    """The route has a revision that the rollout did not make."""
    made = sight.revision
    if is_at(spec, rollout):
        why = f"revision {made.number} by {made.who} leaves {rollout.step.words} as it is: {made.why}"
        return Turn(after=rollout.model_copy(update={"revision": made.number, "why": why}))
    return _paused(
        rollout,
        sight,
        f"revision {made.number} by {made.who} took the route off {rollout.step.words} ({made.why}): "
        f"`gnomon rollout {rollout.route} resume` goes back to it, `abort` ends the rollout",
    )


def _paused(rollout: Rollout, sight: Sight, why: str) -> Turn:
    if rollout.status is Status.PAUSED:
        return Turn()
    return Turn(after=_now(rollout, sight, status=Status.PAUSED, why=why))


def _now(rollout: Rollout, sight: Sight, **changes: object) -> Rollout:
    moved = changes.get("position", rollout.position) != rollout.position
    return rollout.model_copy(update={**changes, **({"since": sight.now} if moved else {})})


def _at(rollout: Rollout, verdict: Verdict) -> str:
    return f"at {rollout.step.words}: {verdict.sentence}"


def _watched(rollout: Rollout, watch: Watch | None, sight: Sight) -> Watch:
    """The watch with what passed since the last look, begun anew where it is of another step."""
    if watch is None or (watch.rollout, watch.position) != (rollout.id, rollout.position):
        start = Mark(pairs=mark(sight.pairs), own=mark(sight.own))
        return Watch(rollout=rollout.id, position=rollout.position, since=sight.now, step=start, window=start)
    return watch.model_copy(
        update={
            "incumbent": _more(watch.incumbent, sight.incumbent),
            "candidate": _more(watch.candidate, sight.candidate),
            "sampled_incumbent": _sampled(since(watch.step.pairs, sight.pairs)),
            "sampled_candidate": _sampled(since(watch.step.own, sight.own)),
        }
    )


def _sampled(evidence: ShadowEvidence | None) -> int:
    """How many live answers were sampled, whether or not their pair came about."""
    return evidence.pairs + evidence.lost if evidence else 0


def _verdict(rollout: Rollout, watch: Watch, sight: Sight) -> Verdict | None:
    """What the evidence of this step says; None where it has none: nothing was moved or copied yet."""
    gate = gate_of(rollout)
    if gate is None or rollout.step.stage is Stage.FRONT:
        return None
    return judge(
        findings(rollout, watch, sight, lately=False),
        findings(rollout, watch, sight, lately=True) if watch.windows > 1 else None,
        gate,
        share=live_percent(rollout),
        windows=watch.windows,
        gates=sum(step.gate is not None for step in rollout.steps),
    )


def gate_of(rollout: Rollout) -> Gate | None:
    """The gate before the next step, which guards this one; the last one before, where the next has none."""
    following = rollout.following
    if following is not None and following.gate is not None:
        return following.gate
    passed = [step.gate for step in rollout.steps[: rollout.position + 1] if step.gate is not None]
    return passed[-1] if passed else None


def _held(rollout: Rollout, verdict: Verdict | None, now: datetime) -> str:
    """Why the rollout stays where it is; empty where it goes on."""
    following = rollout.following
    said = verdict.sentence if verdict else ""
    if following is None:
        return said or "this is the last step"
    if rollout.status is Status.PAUSED:
        return f"hold: paused; {said}".rstrip("; ")
    if not_now := closed(rollout, now):
        return f"hold: {not_now}; {said}".rstrip("; ")
    left = rollout.since + timedelta(seconds=following.after_seconds) - now
    if left > timedelta():
        return f"hold: {rollout.step.words} lasts {left.total_seconds():.0f} s more; {said}".rstrip("; ")
    if following.gate is not None and verdict is not None and verdict.decision is Decision.HOLD:
        return said
    if following.approval and rollout.approved != rollout.position + 1:
        ask = f"hold: {following.words} waits for a person: `gnomon rollout {rollout.route} approve`"
        return f"{ask}; {said}".rstrip("; ")
    return ""


def _next_window(rollout: Rollout, watch: Watch, sight: Sight) -> Watch:
    """The watch with a new stretch begun, where the latest is long enough."""
    gate = gate_of(rollout)
    latest = findings(rollout, watch, sight, lately=True)
    counted = latest.candidate.requests if latest.pairs is None else latest.pairs.compared
    if gate is None or counted < gate.window_pairs:
        return watch
    start = Mark(pairs=mark(sight.pairs), own=mark(sight.own), incumbent=watch.incumbent, candidate=watch.candidate)
    return watch.model_copy(update={"window": start, "windows": watch.windows + 1})


def _shadow_percent(rollout: Rollout) -> int:
    passed = rollout.steps[: rollout.position + 1]
    return next((step.percent for step in reversed(passed) if step.stage is Stage.SHADOW), 0)


def _more(one: Live, other: Live) -> Live:
    return Live(requests=one.requests + other.requests, failures=one.failures + other.failures)


def _less(one: Live, other: Live) -> Live:
    return Live(requests=one.requests - other.requests, failures=one.failures - other.failures)
