"""``rollout`` and ``promote``: the steps by which a replacement takes over, and the end of them.

These commands write what is desired; ``gnomon serve`` takes the steps.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.moves import DryRunOption, WaitOption, change, converge
from tui.commands.options import FormatOption, WhyOption
from tui.commands.routes import NameArgument, describe, existing, spec_of
from tui.commands.shadowing import declared_paths
from tui.exits import CommandError, Exit
from tui.output import Format, narrate, write_json, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import Rollout, RouteSpec, Transition, Watch
    from router.rollout_file import RolloutPlan

REASON = "by command line"
SHOWN_TRANSITIONS = 15


class Action(StrEnum):
    """What to do with a rollout."""

    STATUS = "status"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rollout")(rollout)
    app.command("promote")(promote)


def rollout(
    context: typer.Context,
    name: NameArgument,
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.STATUS,
    steps: Annotated[
        Path | None, typer.Option("--steps", metavar="FILE", dir_okay=False, help="For start: the steps, in YAML.")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="BACKEND", help="For start: the backend that is to take over.")
    ] = None,
    why: WhyOption = REASON,
    dry_run: DryRunOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Let a replacement take over step by step, each behind a gate.

    Without --steps: shadow 1, 10 and 50 %, then 5, 25, 50 and 100 % of the live requests. `gnomon serve` takes the
    steps, and takes everything back within a second where a gate breaks. A paused rollout is still guarded.

    Examples:
      gnomon rollout iris start --candidate replacement

      gnomon rollout iris start --steps iris.yaml --dry-run

      gnomon rollout iris

      gnomon rollout iris approve --why "reviewed with the fraud team"

      gnomon rollout iris abort

    """
    with workspace(context.obj) as here:
        if action is Action.STATUS:
            _status(here, name, form)
        elif action is Action.START:
            _start(here, spec_of(existing(here, name)), _plan(steps, candidate), why, dry_run=dry_run)
        else:
            _edit(here, name, action, why, dry_run=dry_run)


def promote(
    context: typer.Context,
    name: NameArgument,
    to: Annotated[str | None, typer.Option(metavar="BACKEND", help="The backend that takes over.")] = None,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Give a route's replacement all live requests, whatever the gates say.

    A rollout that is under way ends with it. `gnomon rollback` undoes it.

    Example: gnomon promote iris --why "agreed with the owners"
    """
    from inventory.model import utc_now
    from router import rollout_moves

    with workspace(context.obj) as here:
        revision = existing(here, name)
        spec = spec_of(revision)
        under_way = here.store.rollouts.get(name)
        if under_way is None or not under_way.active:
            change(here, rollout_moves.promoted(spec, to), why, wait, dry_run=dry_run)
            return
        if to not in {None, under_way.candidate}:
            raise CommandError(
                f"a rollout of {name} to {under_way.candidate} is under way: `gnomon rollout {name} abort` ends it"
            )
        said = f"promoted by {here.settings.actor}: {why}"
        after, shaped = rollout_moves.promote(under_way, spec, revision.number, said, utc_now())
        if dry_run:
            write_text(describe(shaped))
            return
        _move(here, under_way, after, shaped)
        converge(here, existing(here, name), wait)


def _plan(steps: Path | None, candidate: str | None) -> "RolloutPlan":
    from router.rollout_file import default_plan, read_plan

    if steps is None:
        plan = default_plan()
    else:
        try:
            plan = read_plan(steps.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"the steps in {steps} cannot be read: {error}") from error
    return plan.model_copy(update={"candidate": candidate}) if candidate else plan


def _start(here: Workspace, spec: "RouteSpec", plan: "RolloutPlan", why: str, *, dry_run: bool) -> None:
    from inventory.model import new_scan_id, utc_now
    from router import rollout_moves

    paths = () if spec.shadow else declared_paths(here, spec)
    now = utc_now()
    begun, shaped = rollout_moves.start(spec, plan, rollout_id=new_scan_id(now), now=now, paths=paths)
    if dry_run:
        write_text("\n".join(_ladder(begun, None)))
        return
    begun = here.store.rollouts.begin(begun, shaped, who=here.settings.actor, why=f"a rollout begins: {why}")
    narrate(
        f"the rollout of {begun.route} from {begun.incumbent} to {begun.candidate} has begun, in {len(begun.steps)} "
        f"steps; `gnomon rollout {begun.route}` shows it"
    )
    if not _served(here):
        raise CommandError("it is on record, but no gateway runs: start one by `gnomon serve`", Exit.INCOMPLETE)


def _served(here: Workspace) -> bool:
    from inventory.model import utc_now
    from tui.convergence import alive

    return bool(alive(here.store.gateways.list(), utc_now()))


def _edit(here: Workspace, name: str, action: Action, why: str, *, dry_run: bool) -> None:
    """Pause, resume, approve or abort. Where the daemon was faster, once more on what it made."""
    from inventory.model import utc_now
    from router import rollout_moves

    for _ in range(5):
        before = _existing(here, name)
        revision = existing(here, name)
        spec, said = spec_of(revision), f"{action.value} by {here.settings.actor}: {why}"
        shaped: RouteSpec | None = None
        if action is Action.PAUSE:
            after = rollout_moves.pause(before, said)
        elif action is Action.RESUME:
            after, shaped = rollout_moves.resume(before, spec, revision.number, said)
        elif action is Action.APPROVE:
            after = rollout_moves.approve(before, said)
        else:
            after, shaped = rollout_moves.abort(before, spec, revision.number, said, utc_now())
        if dry_run:
            write_text("\n".join(_ladder(after, None)))
            return
        moved = here.store.rollouts.move(before, after, shaped, who=here.settings.actor)
        if moved is not None:
            narrate(f"the rollout of {name} is {moved.status.value} at {moved.step.words}")
            return
    raise CommandError(f"the rollout of {name} changed while it was looked at: try again", Exit.FAILED)


def _move(here: Workspace, before: "Rollout", after: "Rollout", spec: "RouteSpec") -> None:
    if here.store.rollouts.move(before, after, spec, who=here.settings.actor) is None:
        raise CommandError(f"the rollout of {before.route} changed while it was looked at: try again", Exit.FAILED)


def _existing(here: Workspace, name: str) -> "Rollout":
    found = here.store.rollouts.get(name)
    if found is None:
        raise CommandError(f"there is no rollout of {name!r}: `gnomon rollout {name} start` begins one")
    return found


def _status(here: Workspace, name: str, form: Format) -> None:
    current = _existing(here, name)
    watch = here.store.rollouts.watch(name)
    past = here.store.rollouts.transitions(name, SHOWN_TRANSITIONS)
    if form is not Format.TABLE:
        write_json(
            current.model_dump(mode="json")
            | {"verdict": watch.verdict if watch and watch.rollout == current.id else None}
            | {"transitions": [one.model_dump(mode="json") for one in past]}
        )
        return
    write_text("\n".join([*_ladder(current, watch), *_past(past)]))


def _ladder(current: "Rollout", watch: "Watch | None") -> Iterator[str]:
    """The steps, with the one in force, and what its evidence says."""
    yield (
        f"rollout of {current.route} from {current.incumbent} to {current.candidate}: {current.status.value}"
        + (f" at {current.step.words} since {current.since:%Y-%m-%d %H:%M:%S}" if current.active else "")
    )
    for at, step in enumerate(current.steps):
        sign = ">" if at == current.position else "+" if at < current.position else " "
        needs = [] if step.gate is None or not step.gate.prove else [f"agreement {step.gate.agreement:.2%}"]
        needs += [f"after {step.after_seconds:g} s"] if step.after_seconds else []
        needs += ["approval"] if step.approval else []
        yield f"  {sign} {step.words:<12} {', '.join(needs)}".rstrip()
    for one in current.windows:
        yield f"  window     {one.minutes} minutes from {one.cron} (UTC)"
    if current.starts_at is not None:
        yield f"  starts     {current.starts_at:%Y-%m-%d %H:%M} UTC"
    if current.why:
        yield f"  why        {current.why}"
    if watch is None or watch.rollout != current.id or watch.position != current.position or not current.active:
        return
    if watch.candidate.requests:
        yield (
            f"  live       {current.candidate}: {watch.candidate.requests} answers, {watch.candidate.failures} failed; "
            f"{current.incumbent}: {watch.incumbent.requests} answers, {watch.incumbent.failures} failed"
        )
    if watch.candidate.requests and watch.incumbent.requests:
        yield (
            f"  sampled    {watch.sampled_candidate / watch.candidate.requests:.1%} of {current.candidate}'s live "
            f"answers, {watch.sampled_incumbent / watch.incumbent.requests:.1%} of {current.incumbent}'s"
        )
    for number, part in enumerate(watch.verdict.split("; ")):
        yield f"  {'verdict' if number == 0 else '':<10} {part}"


def _past(transitions: "list[Transition]") -> Iterator[str]:
    for one in transitions:
        came = f"{one.before} -> {one.after}" if one.before and one.before != one.after else one.after
        made = f", revision {one.revision}" if one.revision else ""
        yield f"  {one.at:%Y-%m-%d %H:%M:%S}  {came} ({one.status.value}{made})  {one.who}: {one.why}"
