"""``graph``: how everything that is known hangs together."""

from typing import Annotated

import typer

from tui.exits import CommandError
from tui.wiring import workspace


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("graph")(graph)


def graph(
    context: typer.Context,
    of: Annotated[str | None, typer.Option(metavar="ID", help="Only what is near this endpoint.")] = None,
    form: Annotated[str, typer.Option("--format", help="mermaid, graphml or json.")] = "mermaid",
    distance: Annotated[int, typer.Option(min=1, max=10, help="How near, in edges.")] = 2,
) -> None:
    """Write the inventory as a graph.

    Sites, hosts, endpoints, exposures, routes, gateways and owners, and how they hang together.

    Example: gnomon graph --of p34w5uwj --format mermaid
    """
    from inventory.graph import FORMATS, build, export, neighbourhood

    if form not in FORMATS:
        raise CommandError(f"--format takes {', '.join(FORMATS)}, not {form!r}")
    with workspace(context.obj) as here:
        whole = build(here.store.endpoints.list(), here.store.routes.list(), here.store.gateways.list())
        part = neighbourhood(whole, f"endpoint:{here.store.endpoints.get(of).id}", distance) if of else whole
    typer.echo(export(part, form), nl=False)
