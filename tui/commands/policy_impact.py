"""``policy impact`` and ``policy diff``: who would break, before anyone does. ``tui.commands.policy`` has the rest."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption
from tui.commands.policy_files import version_of
from tui.exits import Exit
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import policy_loader, workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.policy.impact import Coverage, Impact

IMPACTS = (
    Column("WHAT", "what"),
    Column("WHO", "identity"),
    Column("ROUTE", "route"),
    Column("CALLS", "calls", numeric=True),
    Column("LAST", "last", rank=2),
    Column("WHY", "reason", rank=1),
)
SHOWN_UNKNOWN = 10


def register(group: typer.Typer) -> None:
    """Add the commands to the group ``policy``."""
    group.command("impact")(impact)
    group.command("diff")(diff)


def impact(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back at most: 12h, 7d, 2w.")] = "7d",
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="IDENTITY", help="A caller whose denial you answer for; * is a wildcard. Repeatable."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 4 where the candidate must not be enforced yet.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show who would break under the candidate policies and limits, and how much that rests on.

    Only calls since the candidate is one are counted.

    Examples:
      gnomon policy impact

      gnomon policy impact --check --accept 'https://idp.example|old-job'

    """
    from inventory.model import utc_now
    from inventory.query import seconds_of
    from router.audit.evidence import against, evidence

    now = utc_now()
    with workspace(context.obj) as here:
        found = evidence(here.store, policy_loader(), now, timedelta(seconds=seconds_of(since)))
    why = against(found, now, accept or [])
    head = {"enforced": found.state.enforced, "candidate": found.state.candidate, "since": found.since.isoformat()}
    tail = {"may_be_enforced": not why, "why_not": why}
    _write(head, found.coverage, found.impacts, tail, form)
    for one in found.recordings:
        if one.lost or one.behind:
            narrate(f"gateway {one.gateway}: {one.lost} calls were lost, {one.behind} bytes wait to be recorded")
    for sentence in why:
        narrate(f"not to be enforced yet: {sentence}")
    if check and why:
        raise typer.Exit(Exit.REFUSED)


def diff(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Policies: .cedar or .rego.")
    ],
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days of calls.")] = 7,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what other policies would have done to the calls that were made, beside the enforced ones.

    Each caller and route is decided anew, by what is known of both now, and weighs as many calls as it made.

    Example: gnomon policy diff next.cedar --days 30
    """
    from inventory.model import utc_now
    from router.audit.evidence import show

    version, now = version_of(file), utc_now()
    with workspace(context.obj) as here:
        found = show(here.store, policy_loader(), version, now - timedelta(days=days), now)
    _write({"file": str(file), "since": found.since.isoformat()}, found.coverage, found.impacts, {}, form)
    if found.blind and found.per_request:
        narrate(
            f"{found.per_request} calls are of routes that ask for each request; these were judged without their size, "
            "path, network and purpose"
        )


def _write(
    head: dict[str, Any], covered: "Coverage", impacts: "Sequence[Impact]", tail: dict[str, Any], form: Format
) -> None:
    rows = [_row(one, form) for one in impacts]
    if form is Format.JSON:
        coverage = covered._asdict() | {"share": covered.share}
        for name in ("unknown", "anonymous"):
            coverage[name] = [one._asdict() for one in getattr(covered, name)]
        write_json(head | {"coverage": coverage, "impacts": rows} | tail)
        return
    if form is Format.TABLE:
        write_text("\n".join(describe(covered)) + "\n")
    write_rows(rows, IMPACTS, form)
    if form is Format.TABLE:
        denied = {one.identity for one in impacts if one.what == "would deny"}
        narrate(f"{len(denied)} identit{'y' if len(denied) == 1 else 'ies'} would be denied")


def describe(covered: "Coverage") -> list[str]:
    """How much the judgement rests on, in words: before the judgement."""
    share = "nobody was seen" if covered.share is None else f"{covered.share:.0%}"
    lines = [
        f"identities   {covered.known} of {covered.identities} are known to the policies ({share})",
        f"calls        {covered.decided} of {covered.calls} were judged; {covered.anonymous_calls} were anonymous",
    ]
    lines += [
        f"unknown      {one.identity}: {', '.join(one.missing)} ({one.calls} calls)"
        for one in covered.unknown[:SHOWN_UNKNOWN]
    ]
    lines += [f"anonymous    {one.identity} ({one.calls} calls)" for one in covered.anonymous[:SHOWN_UNKNOWN]]
    left = max(0, len(covered.unknown) - SHOWN_UNKNOWN) + max(0, len(covered.anonymous) - SHOWN_UNKNOWN)
    return [*lines, f"             and {left} more: --format json lists them"] if left else lines


def _row(one: "Impact", form: Format) -> dict[str, Any]:
    row = one._asdict() | {"first_at": one.first_at.isoformat(), "last_at": one.last_at.isoformat()}
    return row | {"last": f"{one.last_at:%Y-%m-%d %H:%M}"} if form is Format.TABLE else row
