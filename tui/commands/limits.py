"""The options of commands that say what a scan may do to the network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from inventory.model import Scope

ExcludeOption = Annotated[list[str] | None, typer.Option("--exclude", metavar="CIDR", help="Never sent anything.")]
ExcludeFileOption = Annotated[
    list[Path] | None,
    typer.Option("--exclude-file", metavar="FILE", help="The same, one a line; # begins a comment."),
]
RateOption = Annotated[int | None, typer.Option("--rate", min=1, max=1_000_000, help="Probes a second.")]
HostRateOption = Annotated[
    float | None, typer.Option("--rate-per-host", min=0.01, help="Probes a second to one address, at most.")
]
SubnetRateOption = Annotated[
    float | None, typer.Option("--rate-per-subnet", min=0.01, help="Probes a second to one /24, at most.")
]
QuietOption = Annotated[
    list[str] | None,
    typer.Option(
        "--quiet",
        metavar="HOURS",
        help="Send nothing then, such as 08:00-18:00 or 'mon-fri 08:00-18:00 Europe/Berlin'.",
    ),
]


def excluded(exclude: list[str] | None, files: list[Path] | None) -> tuple[str, ...]:
    """What options exclude, all together. Raises TargetError."""
    from scanner.exclusions import read_exclusions

    return (*(exclude or ()), *(entry for file in files or () for entry in read_exclusions(file)))


def changed(scope: "Scope", changes: dict[str, Any]) -> "Scope":
    """A scope with what was given on the command line; None was not given."""
    given = {name: value for name, value in changes.items() if value is not None}
    return type(scope).model_validate(scope.model_dump() | given)
