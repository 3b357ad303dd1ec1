"""``audit``: the record of calls, and whether it is whole; and the record of changes."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.history import COLUMNS as CHANGES
from tui.commands.history import change_row
from tui.commands.options import FormatOption, filter_text
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.calls import Checked
    from inventory.model import Call, Decision

COLUMNS = (
    Column("AT", "when"),
    Column("ROUTE", "route"),
    Column("WHO", "who"),
    Column("METHOD", "method", rank=4),
    Column("PATH", "path", rank=3),
    Column("STATUS", "status", numeric=True),
    Column("ENFORCED", "enforced", rank=2),
    Column("CANDIDATE", "candidate", rank=1),
    Column("REFUSED BY", "refused_by", rank=5),
    Column("MS", "ms", numeric=True, rank=6),
)
CallFilterArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILTER]...",
        help="Terms such as route:churn candidate:deny -principal:* status>499 micros>90000 at<2h or a word. "
        "Put -- before a term that begins with a hyphen.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit")(audit)


def audit(
    context: typer.Context,
    terms: CallFilterArgument = None,
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30m, 12h, 7d, 2w.")] = "1d",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 1000,
    verify: Annotated[
        bool, typer.Option("--verify", help="Walk the whole chain: was a call changed, added or taken away?")
    ] = False,
    known: Annotated[
        str | None,
        typer.Option(metavar="BATCH:DIGEST", help="With --verify: what an earlier one said, kept somewhere else."),
    ] = None,
    changes: Annotated[bool, typer.Option("--changes", help="The record of what people decided, instead.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """List the calls that went through the gateway, newest first, with both decisions.

    The exit code of --verify is 1 where the record is not whole.

    Examples:
      gnomon audit candidate:deny enforced:allow --since 7d

      gnomon audit route:churn 'status>499' --format json

      gnomon audit --since 1h -- -principal:*

      gnomon audit --verify --known 812:9f2c…

    """
    if known is not None and not verify:
        raise CommandError("--known is for --verify")
    if verify and (terms or changes):
        raise CommandError("--verify looks at the whole record: leave the filter and --changes out")
    if changes and terms:
        raise CommandError("--changes takes no filter")
    with workspace(context.obj) as here:
        if verify:
            _verify(here, known, form)
        elif changes:
            _changes(here, _start(since), limit, form)
        else:
            _calls(here, filter_text(terms), since, limit, form)


def _start(since: str) -> datetime:
    from inventory.model import utc_now
    from inventory.query import seconds_of

    return utc_now() - timedelta(seconds=seconds_of(since))


def _calls(here: Workspace, text: str, since: str, limit: int, form: Format) -> None:
    start = _start(since)
    found = here.store.calls.list(text, since=start, limit=limit)
    write_rows([as_row(one, form) for one in found], COLUMNS, form)
    if form is Format.TABLE:
        count = here.store.calls.count(text, since=start) if len(found) == limit else len(found)
        narrate(f"{len(found)} of {count} call{'' if count == 1 else 's'} in {since}")
    for words in missing(here):
        narrate(words)


def missing(here: Workspace) -> list[str]:
    """What the record is known to lack, a sentence for each gateway that lacks something."""
    return [
        f"gateway {one.gateway}: {one.lost} calls were lost, {one.behind} bytes wait to be recorded "
        f"(as of {one.at:%Y-%m-%d %H:%M:%S} UTC)"
        for one in here.store.calls.recordings()
        if one.lost or one.behind
    ]


def as_row(call: "Call", form: Format) -> dict[str, Any]:
    """A call as a row of a listing."""
    row = call.model_dump(mode="json", exclude={"enforced", "candidate"})
    for name, decision in (("enforced", call.enforced), ("candidate", call.candidate)):
        row |= _decision(name, decision)
    if form is not Format.TABLE:
        return row
    who = call.principal or " ".join(filter(None, ("anonymous", call.network, call.client)))
    ms = f"{call.micros / 1000:.1f}"
    return row | {"when": f"{call.at:%Y-%m-%d %H:%M:%S}", "who": who, "ms": ms, "refused_by": call.refused_by or None}


def _decision(name: str, decision: "Decision | None") -> dict[str, Any]:
    if decision is None:
        return {name: None, f"{name}_by": [], f"{name}_errors": []}
    word = "allow" if decision.allowed else "deny"
    return {name: word, f"{name}_by": [*decision.policies], f"{name}_errors": [*decision.errors]}


def _changes(here: Workspace, start: datetime, limit: int, form: Format) -> None:
    rows = [change_row(one) for one in here.store.changes.list(since=start, limit=limit)]
    shown = [row | {"when": row["at"][:16].replace("T", " ")} for row in rows] if form is Format.TABLE else rows
    write_rows(shown, CHANGES, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} change{'' if len(rows) == 1 else 's'}")


def _verify(here: Workspace, known: str | None, form: Format) -> None:
    checked = here.store.calls.verify(None if known is None else _known(known))
    row = checked._asdict() | {"whole": checked.broken is None}
    if form is Format.JSON:
        write_json(row)
    elif form is Format.CSV:
        write_rows([row], (), form)
    else:
        write_text(describe(checked))
    if checked.broken is not None:
        narrate(f"gnomon: the record is not whole: {checked.why}")
        raise typer.Exit(Exit.FAILED)
    narrate("the record is whole")


def describe(checked: "Checked") -> str:
    """What was found, in words."""
    if not checked.batches and checked.broken is None:
        return "nothing is recorded"
    return "\n".join(
        [
            f"batches   {checked.batches}, from {checked.oldest} to {checked.head}",
            f"calls     {checked.calls}",
            f"lost      {checked.lost}",
            f"known     {checked.head}:{checked.digest}",
        ]
    )


def _known(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 12 and len(digest) == 64):
        raise CommandError(f"{text!r} is not a batch and its digest, such as gnomon audit --verify prints as known")
    return int(number), digest.lower()
