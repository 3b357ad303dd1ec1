"""The command line: ``gnomon [--database URL] [--config FILE] COMMAND``.

Each command is a function in ``tui.commands``, which names the module that does its work. This file holds what all
share: the options before the command, and where each command is.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from tui.wiring import Options

if TYPE_CHECKING:
    from collections.abc import MutableMapping

COMMANDS = {
    "demo": ("demo",),
    "scanning": ("scan",),
    "endpoints": ("endpoints", "endpoint", "triage"),
    "history": ("changes", "identities"),
    "audit": ("audit",),
    "coverage": ("coverage",),
    "overview": ("graph",),
    "report": ("report",),
    "drift": ("drift", "declared"),
    "moves": ("adopt", "shift", "rollback", "release"),
    "routes": ("routes", "route"),
    "rollouts": ("rollout", "promote"),
    "shadowing": ("shadow",),
    "sealing": ("seal",),
    "access": ("access",),
    "policy": ("policy",),
    "identity": ("issuers", "keys", "tokens"),
    "code": ("plan", "apply", "export"),
    "gateway": ("serve", "gateway", "doctor"),
    "screen": ("tui",),
    "database": ("db",),
    "views": ("view",),
    "scopes": ("scope", "schedule"),
    "signatures": ("signature",),
}
"""The modules of ``tui.commands`` and the names that each registers, in the order of ``--help``."""


class Commands(Mapping[str, Any]):
    """The commands by name. A module is loaded when one of its commands is asked for: nobody waits for all others."""

    def __init__(self) -> None:
        """None is loaded."""
        self._module = {name: module for module, names in COMMANDS.items() for name in names}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """A command or a group of them. KeyError where there is none of that name."""
        if name not in self._loaded:
            part = typer.Typer(rich_markup_mode=None)
            import_module(f"tui.commands.{self._module[name]}").register(part)
            self._loaded |= get_group(part).commands
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        """The names, loaded or not."""
        return iter(self._module)

    def __len__(self) -> int:
        """How many commands there are."""
        return len(self._module)


class Group(TyperGroup):
    """The root of the command line."""

    def __init__(self, **given: Any) -> None:
        """``given`` is what typer makes a group of."""
        super().__init__(**given)
        # Nobody adds to them: which there are, the table says.
        self.commands = cast("MutableMapping[str, Any]", Commands())


app = typer.Typer(
    name="gnomon",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `gnomon demo`, or with `gnomon scan 10.0.0.0/24` and `gnomon tui`.",
)


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
