"""The command line: ``gnomon [--database URL] [--config FILE] COMMAND``.

Each command is a function in ``tui.commands``, which names the module that does its work. This file
holds what all share: the options before the command.
"""

from pathlib import Path
from typing import Annotated

import typer

from tui.commands import (
    access,
    audit,
    code,
    coverage,
    database,
    demo,
    drift,
    endpoints,
    gateway,
    history,
    identity,
    moves,
    overview,
    policy,
    report,
    rollouts,
    routes,
    scanning,
    scopes,
    screen,
    sealing,
    shadowing,
    signatures,
    views,
)
from tui.wiring import Options

app = typer.Typer(
    name="gnomon",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `gnomon demo`, or with `gnomon scan 10.0.0.0/24` and `gnomon tui`.",
)
COMMANDS = (
    demo,
    scanning,
    endpoints,
    history,
    audit,
    coverage,
    overview,
    report,
    drift,
    database,
    views,
    moves,
    shadowing,
    routes,
    rollouts,
    sealing,
    access,
    policy,
    identity,
    code,
    scopes,
    gateway,
    screen,
    signatures,
)
for module in COMMANDS:
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        # What finds it is slow to import.
        from importlib.metadata import version

        typer.echo(version("gnomon"))
        raise typer.Exit


@app.callback()
def gnomon(
    context: typer.Context,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The inventory: sqlite:///FILE or postgresql://USER@HOST/NAME."),
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings, in TOML.")] = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Find model endpoints, record them, and move them behind the central gateway."""
    context.obj = Options(database, config)
