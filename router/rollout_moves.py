"""Pure: what a person asks of a rollout becomes its next state, or one sentence that says why not."""

from datetime import datetime

from inventory.model import Rollout, RouteSpec, Shadow, Stage, Status
from router import desired
from router.errors import RouteError
from router.rollout import is_at, shape
from router.rollout_file import RolloutPlan


def start(
    spec: RouteSpec, plan: RolloutPlan, *, rollout_id: str, now: datetime, paths: tuple[str, ...] = ()
) -> tuple[Rollout, RouteSpec]:
    """A rollout of a route at its first step, and the route at it. RouteError where the route has no such backends.

    What may be copied is what the route's shadow says; without one, ``paths`` are those without side effects.
    """
    incumbent, candidate = plan.incumbent or spec.primary.name, plan.candidate or _candidate(spec)
    for backend in (incumbent, candidate):
        desired.known(spec, backend)
    if incumbent == candidate:
        raise RouteError(
            f"{incumbent} already has most live requests of {spec.name}: name another backend as the candidate"
        )
    rollout = Rollout(
        id=rollout_id,
        route=spec.name,
        incumbent=incumbent,
        candidate=candidate,
        steps=plan.steps,
        windows=plan.windows,
        starts_at=plan.starts_at,
        shadow=spec.shadow or Shadow(backend=candidate, percent=0, paths=paths),
        since=now,
    )
    return rollout, shape(spec, rollout)


def pause(rollout: Rollout, why: str) -> Rollout:
    """The rollout with no further step until it is resumed. A broken gate still takes it back."""
    if rollout.status is not Status.RUNNING:
        raise RouteError(f"the rollout of {rollout.route} is {rollout.status.value}: there is nothing to pause")
    return rollout.model_copy(update={"status": Status.PAUSED, "why": why})


def resume(rollout: Rollout, spec: RouteSpec, revision: int, why: str) -> tuple[Rollout, RouteSpec | None]:
    """The rollout going on from its step, and the route back at that step where somebody took it off it."""
    if rollout.status is not Status.PAUSED:
        raise RouteError(f"the rollout of {rollout.route} is {rollout.status.value}: only a paused one is resumed")
    after = rollout.model_copy(update={"status": Status.RUNNING, "why": why, "revision": revision})
    if is_at(spec, after):
        return after, None
    for backend in (rollout.incumbent, rollout.candidate):
        desired.known(spec, backend)
    return after, shape(spec, after)


def approve(rollout: Rollout, why: str) -> Rollout:
    """The rollout with its next step approved; the gate before that must still pass."""
    following = rollout.following
    if following is None:
        raise RouteError(f"the rollout of {rollout.route} is {rollout.status.value}: no step is left to approve")
    if not following.approval:
        raise RouteError(f"{following.words} of {rollout.route} waits for no person: its gate decides")
    return rollout.model_copy(update={"approved": rollout.position + 1, "why": f"{following.words} approved: {why}"})


def abort(rollout: Rollout, spec: RouteSpec, revision: int, why: str, now: datetime) -> tuple[Rollout, RouteSpec]:
    """The rollout ended, and the route with the incumbent alone."""
    if not rollout.active:
        raise RouteError(f"the rollout of {rollout.route} is {rollout.status.value} already")
    changes = {"status": Status.ABORTED, "position": 0, "since": now, "why": why, "revision": revision}
    after = rollout.model_copy(update=changes)
    for backend in (rollout.incumbent, rollout.candidate):
        desired.known(spec, backend)
    return after, shape(spec, after)


def promote(rollout: Rollout, spec: RouteSpec, revision: int, why: str, now: datetime) -> tuple[Rollout, RouteSpec]:
    """The rollout at its end, whatever its gates say, and the route with the candidate alone."""
    if not rollout.active:
        raise RouteError(f"the rollout of {rollout.route} is {rollout.status.value} already")
    last = next(at for at, step in enumerate(rollout.steps) if step.stage is Stage.DONE)
    changes = {"status": Status.DONE, "position": last, "since": now, "why": why, "revision": revision}
    after = rollout.model_copy(update=changes)
    for backend in (rollout.incumbent, rollout.candidate):
        desired.known(spec, backend)
    return after, shape(spec, after)


def promoted(spec: RouteSpec, backend: str | None) -> RouteSpec:
    """A route without a rollout, with all live requests at one backend: by default the one that is to take over."""
    name = backend or _candidate(spec)
    desired.known(spec, name)
    return desired.shift(spec, {one.name: 100 if one.name == name else 0 for one in spec.backends})


def _candidate(spec: RouteSpec) -> str:
    """The backend that is meant to take over: the shadow's, or the only one beside the primary."""
    if spec.shadow is not None and not spec.shadow.baseline:
        return spec.shadow.backend
    others = [backend.name for backend in spec.backends if backend.name != spec.primary.name]
    if len(others) != 1:
        listed = ", ".join(others) or "none"
        raise RouteError(
            f"say which backend of {spec.name} is to take over, with --candidate; beside {spec.primary.name} "
            f"there are: {listed}"
        )
    return others[0]
