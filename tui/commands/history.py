"""``changes``, ``identities``: what is new, what was decided, and which places are one application."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_rows
from tui.wiring import workspace

if TYPE_CHECKING:
    from inventory.changes import Event
    from inventory.model import Change

COLUMNS = (
    Column("WHEN", "when"),
    Column("WHAT", "what"),
    Column("SUBJECT", "subject"),
    Column("URL", "url", rank=1),
    Column("WHO", "who", rank=3),
    Column("DETAIL", "detail", rank=2),
)
LINKS = (
    Column("ID", "place"),
    Column("SAME AS", "endpoint"),
    Column("STATE", "state"),
    Column("BY", "tier"),
    Column("WHO", "who", rank=2),
    Column("WHY", "why", rank=1),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("changes")(changes)
    app.command("identities")(identities)


def changes(
    context: typer.Context,
    since: Annotated[str, typer.Option(metavar="AGE", help="How far back: 30m, 12h, 7d, 2w.")] = "7d",
    what: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD", help="Only these: new, changed, gone, returned, joined, split, decided."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 1000,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what is new, changed, gone or back, and what people decided, newest first.

    Examples:
      gnomon changes --since 24h --what new

      gnomon changes --since 7d --format json

    """
    from inventory.changes import Happening
    from inventory.model import utc_now
    from inventory.query import seconds_of

    start = utc_now() - timedelta(seconds=seconds_of(since))
    wanted = _wanted(what or [], [one.value for one in Happening])
    with workspace(context.obj) as here:
        rows: list[dict[str, Any]] = []
        if happenings := [Happening(one) for one in wanted if one != _DECIDED]:
            rows += [event_row(one) for one in here.store.events.list(since=start, what=happenings, limit=limit)]
        if _DECIDED in wanted:
            rows += [change_row(one) for one in here.store.changes.list(since=start, limit=limit)]
    rows.sort(key=lambda row: row["at"], reverse=True)
    rows = rows[:limit]
    write_rows([_for_people(row) for row in rows] if form is Format.TABLE else rows, COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} change{'' if len(rows) == 1 else 's'} in {since}")


_DECIDED = "decided"


def _wanted(given: list[str], known: list[str]) -> list[str]:
    words = [word for text in given for word in text.split(",") if word]
    for word in words:
        if word not in {*known, _DECIDED}:
            raise CommandError(f"--what takes {', '.join([*known, _DECIDED])}, not {word!r}")
    return words or [*known, _DECIDED]


def event_row(event: "Event") -> dict[str, Any]:
    """An event as a row."""
    changed = f"{event.field}: {event.before or 'unknown'} -> {event.after or 'unknown'}"
    return {
        "at": event.at.isoformat(),
        "what": event.what.value,
        "subject": event.endpoint,
        "url": event.url,
        "kind": event.kind,
        "product": event.product,
        "field": event.field,
        "before": event.before,
        "after": event.after,
        "who": None,
        "detail": changed if event.field else event.after or " ".join(filter(None, (event.kind, event.product))),
    }


def change_row(change: "Change") -> dict[str, Any]:
    """A decision as a row."""
    return {
        "at": change.at.isoformat(),
        "what": change.action,
        "subject": change.subject,
        "url": None,
        "kind": None,
        "product": None,
        "field": None,
        "before": change.before,
        "after": change.after,
        "who": change.who,
        "detail": change.why,
    }


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    subject = row["subject"] if ":" in row["subject"] else row["subject"][:8]
    return row | {"when": row["at"][:16].replace("T", " "), "subject": subject}


def identities(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also what was joined, confirmed and split.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show which places may be the same application, with the reasons.

    A proposal changes nothing until somebody confirms it: gnomon triage ID --confirm --why TEXT

    Example: gnomon identities --all
    """
    from inventory.store.links import LinkState

    with workspace(context.obj) as here:
        links = here.store.identities.list(*(LinkState if every else [LinkState.PROPOSED]))
    rows = [one.model_dump(mode="json") | {"why": "; ".join(one.reasons)} for one in links]
    write_rows([_short(row) for row in rows] if form is Format.TABLE else rows, LINKS, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} {'link' if every else 'proposal'}{'' if len(rows) == 1 else 's'}")


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"place": row["place"][:8], "endpoint": row["endpoint"][:8]}
