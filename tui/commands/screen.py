"""``tui``: the terminal UI."""

import sys
from typing import Annotated

import typer

from tui.exits import CommandError
from tui.wiring import show, workspace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tui")(tui)


def tui(
    context: typer.Context,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look, and change nothing.")] = False,
) -> None:
    """Open the terminal UI on the inventory.

    Coverage, endpoints, gaps and routes, live. `?` inside lists the keys.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("the terminal UI needs a terminal: in a pipe use `gnomon endpoints` and `gnomon coverage`")
    with workspace(context.obj) as here:
        show(here, read_only=read_only)
