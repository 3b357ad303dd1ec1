"""``tui``: the terminal UI, in a terminal or in a browser."""

import ipaddress
import os
from typing import Annotated

import typer

from tui import pace
from tui.exits import CommandError
from tui.output import on_terminal
from tui.wiring import Options, serve_screen, show, workspace


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tui")(tui)


def tui(
    context: typer.Context,
    read_only: Annotated[bool, typer.Option("--read-only", help="Look, and change nothing.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Show it in a browser, on loopback.")] = False,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="With --web: the address to listen on, which browsers use.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --web: the port to listen on.")] = 8790,
) -> None:
    """Open the terminal UI on the inventory.

    Coverage, endpoints, gaps and routes, live. `?` inside lists the keys.

    Examples:
      gnomon tui --read-only

      gnomon tui --web --port 8790

    """
    if web:
        _check_host(host)
        with workspace(context.obj):
            pass  # A database that cannot be opened is said here, not in the browser.
        serve_screen(_options(context.obj), host, port, read_only=read_only)
        return
    in_browser = bool(os.environ.get("TEXTUAL_DRIVER"))
    if not in_browser and not on_terminal():
        raise CommandError(
            "the terminal UI needs a terminal, also as standard error, on which it draws: "
            "in a pipe use `gnomon endpoints` and `gnomon coverage`"
        )
    pace.starting()
    with workspace(context.obj) as here:
        show(here, read_only=read_only)


def _check_host(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise CommandError(f"{host!r} is not an address such as 127.0.0.1 or 10.0.0.5") from error
    if address.is_unspecified:
        raise CommandError(f"{host} is every address: name the one that browsers will use, such as 10.0.0.5")


def _options(given: Options) -> list[str]:
    options = ["--database", given.database] if given.database else []
    return [*options, *(["--config", str(given.config)] if given.config else [])]
