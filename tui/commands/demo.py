"""``demo``: the whole story on real servers on loopback. It is told in ``tui.demo.story``."""

from typing import Annotated

import typer

from tui.output import narrate, on_terminal, write_text
from tui.wiring import play, settings_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demonstration's folder and inventory.")] = False,
    screen: Annotated[bool, typer.Option("--tui/--no-tui", help="End in the terminal UI, on a terminal.")] = True,
) -> None:
    """Tell the whole story on real servers on loopback.

    Find, record, adopt, shadow, compare, move. It uses a database, a state folder and a gateway port
    of its own, and stops all that it started.
    On a terminal it ends in the terminal UI while the servers still run; in a pipe it prints a summary.

    Example: gnomon demo | cat
    """
    from tui.demo.outcome import summary

    told = play(settings_of(context.obj), keep=keep, screen=screen and on_terminal())
    write_text(summary(told))
    narrate("everything that was started is stopped")
