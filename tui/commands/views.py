"""``view``: filters that have a name."""

from typing import Annotated

import typer

from tui.commands.options import FilterArgument, FormatOption, filter_text
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_rows
from tui.wiring import workspace

COLUMNS = (
    Column("VIEW", "name"),
    Column("FILTER", "filter"),
    Column("WHO", "who", rank=2),
    Column("WHEN", "at", rank=1),
)

group = typer.Typer(no_args_is_help=True, help="Save filters by name, and use them as @NAME in others.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The view's name: lower case, digits and hyphens.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="view")


@group.command("save")
def save(context: typer.Context, name: NameArgument, terms: FilterArgument = None) -> None:
    """Save a filter by name, or replace it.

    Examples:
      gnomon view save open-notebooks kind:notebook posture:open

      gnomon endpoints @open-notebooks risk>80

    """
    text = filter_text(terms)
    if not text:
        raise CommandError("a view needs a filter: write one after its name")
    with workspace(context.obj) as here:
        view = here.store.views.save(name.removeprefix("@"), text, who=here.settings.actor)
        narrate(f"@{view.name} is {view.filter}: {here.store.endpoints.count(f'@{view.name}')} endpoints")


@group.command("list")
def list_views(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the saved views."""
    with workspace(context.obj) as here:
        rows = [view.model_dump(mode="json") for view in here.store.views.list()]
    shown = [row | {"at": row["at"][:16].replace("T", " ")} for row in rows] if form is Format.TABLE else rows
    write_rows(shown, COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} view{'' if len(rows) == 1 else 's'}")


@group.command("remove")
def remove(context: typer.Context, name: NameArgument) -> None:
    """Forget a view. Other views that use it say so when they are used."""
    with workspace(context.obj) as here:
        if not here.store.views.remove(name.removeprefix("@"), who=here.settings.actor):
            raise CommandError(f"there is no view {name!r}: `gnomon view list` lists them")
    narrate(f"@{name.removeprefix('@')} is forgotten")
