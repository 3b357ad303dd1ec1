"""``db``: is the database whole, deriving again what is derived, and copies of it."""

from pathlib import Path
from typing import Annotated

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, progress, write_rows
from tui.wiring import workspace

PROBLEMS = (Column("WHAT", "what"), Column("SUBJECT", "subject"), Column("DETAIL", "detail"))
SHOWN = 1000

group = typer.Typer(no_args_is_help=True, help="Check the database, derive it again, copy it.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="db")


@group.command("check")
def check(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Check that the database is whole, and that every endpoint is the fold of its observations.

    Nothing is written. The exit code is 1 where there is a difference; `gnomon db refold` mends those of
    endpoints and counts. What others write meanwhile may show as a difference.

    Example: gnomon db check
    """
    from itertools import islice

    with workspace(context.obj) as here, progress("checking") as report:
        found = here.store.upkeep.check(lambda done, total: report(done, total, "listeners"))
        problems = [{"what": one.what, "subject": one.subject, "detail": one.detail} for one in islice(found, SHOWN)]
    write_rows(problems, PROBLEMS, form)
    if problems:
        more = " or more" if len(problems) == SHOWN else ""
        narrate(f"{len(problems)}{more} problem{'' if len(problems) == 1 else 's'}; `gnomon db refold` derives anew")
        raise typer.Exit(Exit.FAILED)
    narrate("the database is whole, and every endpoint is the fold of its observations")


@group.command("refold")
def refold(context: typer.Context) -> None:
    """Derive every endpoint and every count again, from the observations and from what people decided.

    Observations, decisions and the record of changes stay as they are. It may be interrupted, and run again.

    Example: gnomon db refold
    """
    with workspace(context.obj) as here, progress("folding") as report:
        done = here.store.upkeep.refold(lambda done, total: report(done, total, "listeners"))
        narrate(f"{done} listeners folded into {here.store.endpoints.count()} endpoints")


@group.command("backup")
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; it must not be there yet.")],
) -> None:
    """Copy the SQLite database while it is in use. The copy is whole, of one moment.

    PostgreSQL has its own tools, which docs/operators.md shows. To restore, name the copy by --database.

    Example: gnomon db backup inventory-2027-01-31.db
    """
    from inventory.store.backup import copy_database
    from tui.wiring import settings_of

    if file.exists():
        raise CommandError(f"{file} is there already: name a new file")
    copy_database(settings_of(context.obj).database, file)
    narrate(f"copied to {file}, {file.stat().st_size / 2**20:.1f} MiB")
