"""``plan``, ``apply``, ``export``: routes as code, changed all at once or not at all."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.moves import REASON, DryRunOption, WaitOption, converge_all
from tui.commands.options import WhyOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import GatewayStatus, RouteSpec
    from router.manifest import Edit
    from router.observed import Observed

FILE_HELP = "Routes in YAML, as `gnomon export` writes them; - is stdin."
FileOption = Annotated[Path | None, typer.Option("--file", "-f", metavar="FILE", help=FILE_HELP, allow_dash=True)]
PruneOption = Annotated[bool, typer.Option("--prune", help="Remove the routes that the file does not name.")]
# -f is the file here.
LongFormatOption = Annotated[Format, typer.Option("--format", help="How to write the answer to stdout.")]
EDIT_COLUMNS = (Column("ACTION", "action"), Column("ROUTE", "route"), Column("WHAT", "what"))
PENDING_COLUMNS = tuple(Column(key.upper(), key) for key in ("gateway", "step", "route", "reason"))
MOST_ROUTES = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (plan, apply, export):
        app.command(command.__name__)(command)


def plan(
    context: typer.Context, file: FileOption = None, prune: PruneOption = False, form: LongFormatOption = Format.TABLE
) -> None:
    """Show what would change. Nothing is changed.

    With a file: what `gnomon apply` would do, field by field. Without one: what gateways still have to do, each
    action with its reason, in the order in which the controller takes them.

    Examples:
      gnomon plan

      gnomon plan -f routes.yaml

    """
    with workspace(context.obj) as here:
        if file is None:
            _pending(here, form)
            return
        edits, _ = _edits(here, file, prune=prune)
    _show(edits, form)


def apply(
    context: typer.Context,
    file: FileOption = None,
    prune: PruneOption = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="ROUTES", min=1, help="Refuse to touch more routes than this.")
    ] = MOST_ROUTES,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make the routes be what a file says.

    All of it, or none: where a gateway refuses one route, every route of the file goes back to what it was, and
    the message names the resource and the field. Without a file, wait until gateways have what is desired already.

    Examples:
      gnomon apply -f routes.yaml --dry-run

      gnomon apply -f routes.yaml --why "the weekly move"

      gnomon export | sed s/10.0.0.8/10.0.0.9/ | gnomon apply -f -

    """
    with workspace(context.obj) as here:
        if file is None:
            revisions = here.store.routes.list()
            if dry_run:
                _pending(here, Format.TABLE)
            elif revisions:
                converge_all(here, revisions, wait)
            return
        edits, numbers = _edits(here, file, prune=prune)
        if not edits:
            narrate("nothing to change: the routes are as the file says")
            return
        if len(edits) > limit:
            raise CommandError(
                f"this would touch {len(edits)} routes, and the limit is {limit}: look at `gnomon plan`, "
                f"and allow it by --limit {len(edits)}",
                Exit.REFUSED,
            )
        if dry_run:
            _show(edits, Format.TABLE)
            return
        wanted = {edit.route: edit.after for edit in edits}
        after = {edit.route: numbers.get(edit.route, 0) for edit in edits}
        try:
            revisions = here.store.routes.change(wanted, who=here.settings.actor, why=why, after=after)
        except LookupError as error:
            raise CommandError(f"nothing was changed: {error}", Exit.FAILED) from error
        converge_all(here, revisions, wait)


def export(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Routes; all by default.")] = None,
) -> None:
    """Write routes as YAML, all of them or those named.

    `gnomon apply -f` reads it back.

    Example: gnomon export > routes.yaml
    """
    from router.manifest import render

    with workspace(context.obj) as here:
        specs = _current(here)
    for name in names or ():
        if name not in specs:
            raise CommandError(f"there is no route {name!r}: `gnomon routes` lists them")
    write_text(render(spec for name, spec in specs.items() if not names or name in names))


def _edits(here: Workspace, file: Path, *, prune: bool) -> tuple[tuple["Edit", ...], dict[str, int]]:
    """What the file changes, and the revision that every route has before it."""
    from router.manifest import difference, parse

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"{file} cannot be read: {reason}") from error
    latest = here.store.routes.since(0).revisions
    current = {one.route: one.spec for one in latest if one.spec is not None}
    wanted = parse(text, "stdin" if str(file) == "-" else str(file))
    return difference(current, wanted, prune=prune), {one.route: one.number for one in latest}


def _current(here: Workspace) -> dict[str, "RouteSpec"]:
    return {one.route: one.spec for one in here.store.routes.list() if one.spec is not None}


def _show(edits: tuple["Edit", ...], form: Format) -> None:
    rows = [{"action": one.action, "route": one.route, "what": "; ".join(one.details)} for one in edits]
    write_rows(rows, EDIT_COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} route{'' if len(rows) == 1 else 's'} would change")


def _pending(here: Workspace, form: Format) -> None:
    from router.plan import reconcile

    wanted = here.store.routes.since(0).revisions
    plans = {one.id: reconcile(wanted, _observed(here, one)) for one in here.store.gateways.list()}
    rows = [
        {"gateway": gateway, "step": action.step.value, "route": action.route, "reason": action.reason}
        for gateway, found in plans.items()
        for action in found.actions
    ]
    write_rows(rows, PENDING_COLUMNS, form)
    for gateway, found in plans.items():
        for name, why in found.refused.items():
            narrate(f"gateway {gateway} leaves route {name} as it is: {why}")
    if not plans:
        narrate("no gateway has ever reported: start one by `gnomon serve`")
    elif form is Format.TABLE:
        narrate(f"{len(rows)} action{'' if len(rows) == 1 else 's'} pending")


def _observed(here: Workspace, gateway: "GatewayStatus") -> "Observed":
    """What a gateway reports, with the revisions that its numbers stand for."""
    from router.observed import Observed, Rejection

    latest = {(one.route, one.number): one for one in here.store.routes.since(0).revisions}
    served = {
        name: revision
        for name, number in gateway.revisions.items()
        if (revision := latest.get((name, number)) or here.store.routes.revision(name, number)) is not None
    }
    rejected = {
        name: Rejection(number=refusal.number, error=refusal.error)
        for name, refusal in gateway.refused.items()
        if refusal.number is not None
    }
    return Observed(routes=served, rejected=rejected)
