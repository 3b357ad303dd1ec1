"""The command line: ``gnomon [--database URL] [--config FILE] COMMAND``.

Each command is a function in ``tui.commands``, which names the module that does its work. This file
holds what all share: the options before the command.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tui.wiring import Options

MODULES = {
    "demo": {"demo"},
    "scanning": {"scan"},
    "endpoints": {"endpoints", "endpoint", "triage"},
    "history": {"changes", "identities"},
    "audit": {"audit"},
    "coverage": {"coverage"},
    "overview": {"graph"},
    "report": {"report"},
    "drift": {"drift", "declared"},
    "database": {"db"},
    "views": {"view"},
    "moves": {"adopt", "shift", "rollback", "release"},
    "shadowing": {"shadow"},
    "routes": {"routes", "route"},
    "rollouts": {"rollout", "promote"},
    "sealing": {"seal"},
    "access": {"access"},
    "policy": {"policy"},
    "identity": {"issuers", "keys", "tokens"},
    "code": {"plan", "apply", "export"},
    "scopes": {"scope", "schedule"},
    "gateway": {"serve", "gateway", "doctor"},
    "screen": {"tui"},
    "signatures": {"signature"},
}
"""The modules of ``tui.commands`` in the order of the help, and the commands of each."""


def make_app(name: str | None = None) -> typer.Typer:
    """The command line; of its commands only those beside the named one, if it is one: to load all takes long."""
    app = typer.Typer(
        name="gnomon",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Begin with `gnomon demo`, or with `gnomon scan 10.0.0.0/24` and `gnomon tui`.",
    )
    app.callback()(gnomon)
    for module in [one for one, names in MODULES.items() if name in names] or MODULES:
        import_module(f"tui.commands.{module}").register(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        # What finds it is slow to import.
        from importlib.metadata import version

        typer.echo(version("gnomon"))
        raise typer.Exit


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
