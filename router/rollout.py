"""The steps from the gateway in front to the replacement alone, and what comes next after a verdict. Pure.

The position of a rollout can be read from the route itself (``position_of``), so that a rollout that is
killed between deciding and applying neither skips a step nor repeats one.
"""

from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from inventory.model import RouteSpec, Shadow
from inventory.model.base import Slug, Value
from router.gates import Decision, Gate, Verdict


class Stage(StrEnum):
    """What a step does with the replacement."""

    FRONT = "front"
    SHADOW = "shadow"
    SPLIT = "split"
    DONE = "done"


class Status(StrEnum):
    """How a rollout stands."""

    RUNNING = "running"
    DONE = "done"
    ROLLED_BACK = "rolled back"


class Step(Value):
    """One step. ``percent`` is of the requests that are mirrored (shadow) or live (split) on the replacement.

    ``gate`` must pass before the step is taken; None needs no evidence.
    """

    stage: Stage
    percent: int = Field(default=0, ge=0, le=100)
    gate: Gate | None = None

    @property
    def words(self) -> str:
        """The step for a person: ``shadow 10%``."""
        return f"{self.stage.value} {self.percent}%" if self.stage in _MEASURED else self.stage.value


_MEASURED = {Stage.SHADOW, Stage.SPLIT}


class Rollout(Value):
    """A ladder of steps for one route, and where it stands on it. ``why`` is of the last move."""

    route: Slug
    incumbent: Slug
    candidate: Slug
    steps: tuple[Step, ...] = Field(min_length=2)
    position: int = Field(default=0, ge=0)
    status: Status = Status.RUNNING
    why: str = ""

    @property
    def step(self) -> Step:
        """The step that is in force."""
        return self.steps[self.position]

    @property
    def following(self) -> Step | None:
        """The step after it; None where the rollout has ended."""
        ended = self.status is not Status.RUNNING or self.position + 1 >= len(self.steps)
        return None if ended else self.steps[self.position + 1]


class Next(NamedTuple):
    """A rollout after a verdict, and whether the route must now be changed."""

    rollout: Rollout
    moved: bool


def ladder(
    gate: Gate, *, shadow: tuple[int, ...] = (1, 10, 50), split: tuple[int, ...] = (5, 25, 50, 100)
) -> tuple[Step, ...]:
    """The usual steps. Nothing is needed to mirror; every move of live requests has the gate before it.

    ValueError where a percentage does not grow, or where the split does not end with everything.
    """
    for name, percents in (("shadow", shadow), ("split", split)):
        if list(percents) != sorted(set(percents)) or not all(0 < percent <= 100 for percent in percents):
            raise ValueError(f"the {name} steps must grow from above 0 to at most 100 percent, not {percents}")
    if not split or split[-1] != 100:
        raise ValueError("the last split must be 100 percent: a rollout ends with the replacement alone")
    if not shadow:
        raise ValueError("a rollout needs a shadow step: without one there is no evidence for its gates")
    # A larger shadow needs only that the smaller one did no harm, which the same gate shows.
    mirrored = [
        Step(stage=Stage.SHADOW, percent=percent, gate=gate if at else None) for at, percent in enumerate(shadow)
    ]
    moved = [Step(stage=Stage.SPLIT, percent=percent, gate=gate) for percent in split]
    return (Step(stage=Stage.FRONT), *mirrored, *moved, Step(stage=Stage.DONE))


def next_step(rollout: Rollout, verdict: Verdict) -> Next:
    """Where the rollout goes from here.

    A rollback is always to the front: the incumbent alone, without a shadow. A rollout that ended stays.
    """
    following = rollout.following
    if following is None:
        return Next(rollout, moved=False)
    if verdict.decision is Decision.ROLL_BACK:
        after = rollout.model_copy(update={"position": 0, "status": Status.ROLLED_BACK, "why": verdict.sentence})
        return Next(after, moved=rollout.position > 0)
    if following.gate is not None and verdict.decision is Decision.HOLD:
        return Next(rollout.model_copy(update={"why": verdict.sentence}), moved=False)
    position = rollout.position + 1
    status = Status.DONE if following.stage is Stage.DONE else Status.RUNNING
    why = verdict.sentence if following.gate else f"{following.words} needs no evidence"
    return Next(rollout.model_copy(update={"position": position, "status": status, "why": why}), moved=True)


def shape(spec: RouteSpec, rollout: Rollout) -> RouteSpec:
    """The route as the rollout's step wants it. KeyError where the route lacks one of the two backends.

    While live requests are split, the last shadow goes on: the gates of the later steps need evidence too.
    Backends beside the two get nothing.
    """
    spec.backend(rollout.incumbent)
    spec.backend(rollout.candidate)
    live = _live_percent(rollout)
    weights = {rollout.incumbent: 100 - live, rollout.candidate: live}
    percent = _shadow_percent(rollout)
    shadow = None
    if percent and live < 100:
        before = spec.shadow if spec.shadow and spec.shadow.backend == rollout.candidate else None
        shadow = (
            before.model_copy(update={"percent": float(percent)})
            if before
            else Shadow(backend=rollout.candidate, percent=percent)
        )
    backends = [{**backend.model_dump(), "weight": weights.get(backend.name, 0)} for backend in spec.backends]
    return RouteSpec.model_validate(
        {**spec.model_dump(), "backends": backends, "shadow": shadow.model_dump() if shadow else None}
    )


def position_of(spec: RouteSpec, rollout: Rollout) -> int | None:
    """Which step the route is at; the furthest where several look alike. None where somebody else moved it."""
    for position in range(len(rollout.steps) - 1, -1, -1):
        at = rollout.model_copy(update={"position": position})
        wanted = shape(spec, at)
        if (wanted.backends, wanted.shadow) == (spec.backends, spec.shadow):
            return position
    return None


def _live_percent(rollout: Rollout) -> int:
    step = rollout.step
    if step.stage is Stage.DONE:
        return 100
    return step.percent if step.stage is Stage.SPLIT else 0


def _shadow_percent(rollout: Rollout) -> int:
    passed = rollout.steps[: rollout.position + 1]
    return next((step.percent for step in reversed(passed) if step.stage is Stage.SHADOW), 0)
