"""The command line: ``gnomon [--database URL] [--config FILE] COMMAND``.

Each command is a function in ``tui.commands``, which names the module that does its work. This file
holds what all share: the options before the command, and how a failure becomes one sentence and an
exit code.
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from inventory.garbage import collect_seldom
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
from tui.exits import Exit, exit_of, pointer_of, sentence_of
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


def main() -> None:
    """Run the command that the arguments name, and exit as the contract says."""
    collect_seldom()
    sys.exit(_run())


def _run() -> int:
    try:
        app(standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else Exit.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("gnomon: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of stdout is content; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:
        code = exit_of(error)
        if code is None:
            raise
        from tui.output import narrate

        narrate(f"gnomon: {sentence_of(error)}")
        for line in pointer_of(error):
            narrate(f"  {line}")
        return code
    return Exit.DONE


if __name__ == "__main__":
    main()
