"""``graph``: how everything that is known hangs together."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.exits import CommandError
from tui.output import narrate, write_text
from tui.wiring import workspace

if TYPE_CHECKING:
    from inventory.graph import Graph
    from tui.wiring import Workspace


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("graph")(graph)


SHOWS = ("near", "paths", "blast", "orphans", "bridges")
FORMATS = ("mermaid", "graphml", "json", "csv", "cyclonedx", "sarif", "text")


def graph(
    context: typer.Context,
    of: Annotated[
        str | None, typer.Option(metavar="ID", help="Only what is near this endpoint, or route:NAME.")
    ] = None,
    show: Annotated[
        str, typer.Option(metavar="WORD", help="near; paths (how it can be reached); blast; orphans; bridges.")
    ] = "near",
    form: Annotated[
        str, typer.Option("--format", help="mermaid, graphml, json, csv, cyclonedx, sarif, or text for --show.")
    ] = "mermaid",
    distance: Annotated[int, typer.Option(min=1, max=10, help="How near, in edges.")] = 2,
) -> None:
    """Write the inventory as a graph, or the answer to a question about it.

    Sites, hosts, endpoints, exposures, routes, gateways and owners, and how they hang together. cyclonedx and
    sarif write endpoints: services of a bill of materials, and results for a pipeline.

    Examples:
      gnomon graph --of p34w5uwj --format mermaid

      gnomon graph --of p34w5uwj --show paths --format text

      gnomon graph --of route:iris --show blast --format text

      gnomon graph --format sarif > ungoverned.sarif

    """
    if form not in FORMATS:
        raise CommandError(f"--format takes {', '.join(FORMATS)}, not {form!r}")
    if show not in SHOWS:
        raise CommandError(f"--show takes {', '.join(SHOWS)}, not {show!r}")
    if show in {"paths", "blast"} and of is None:
        raise CommandError(f"--show {show} is about one endpoint or route: name it by --of")
    with workspace(context.obj) as here:
        if form in {"cyclonedx", "sarif"}:
            typer.echo(_document(here, form, of), nl=False)
            return
        _write_graph(here, of, show, form, distance)


def _document(here: "Workspace", form: str, of: str | None) -> str:
    from importlib.metadata import version

    from inventory.exports import cyclonedx, sarif
    from inventory.model import utc_now

    found = [here.store.endpoints.get(of)] if of else here.store.endpoints.list("-presence:gone")
    return cyclonedx(found, utc_now()) if form == "cyclonedx" else sarif(found, version("gnomon"))


def _write_graph(here: "Workspace", of: str | None, show: str, form: str, distance: int) -> None:
    from inventory import reach
    from inventory.exports import edges_csv
    from inventory.graph import build, export, neighbourhood

    whole = build(here.store.endpoints.points(), here.store.routes.list(), here.store.gateways.list())
    node = _node(here, whole, of) if of else None
    lines: list[str]
    if show == "near":
        part = neighbourhood(whole, node, distance) if node else whole
        lines = [_named(whole, one) for one in sorted(part)]
    elif show == "paths" and node:
        paths = reach.ways_in(whole, node)
        part = whole.subgraph({one for path in paths for one in path.nodes} | {node})
        lines = [" -> ".join([path.zone, *(_named(whole, one) for one in path.nodes)]) for path in paths]
    else:
        if show == "blast" and node:
            of_route = node.startswith("route:")
            nodes = reach.touched_by(whole, node) if of_route else reach.blast_radius(whole, node)
        else:
            nodes = frozenset(reach.orphans(whole) if show == "orphans" else reach.bridges(whole))
        part = whole.subgraph(nodes)
        lines = [_named(whole, one) for one in sorted(nodes)]
    if form == "text":
        write_text("\n".join(lines))
        narrate(f"{len(lines)} {'way' if show == 'paths' else 'node'}{'' if len(lines) == 1 else 's'}")
    else:
        typer.echo(edges_csv(part) if form == "csv" else export(part, form), nl=False)


def _node(here: "Workspace", whole: "Graph", of: str) -> str:
    if not of.startswith("route:"):
        return f"endpoint:{here.store.endpoints.get(of).id}"
    if of not in whole:
        raise CommandError(f"there is no {of.replace(':', ' ')}: `gnomon routes` lists them")
    return of


def _named(whole: "Graph", node: str) -> str:
    label = str(whole.nodes[node].get("label", node))
    return f"{label} ({node.partition(':')[2][:8]})" if node.startswith("endpoint:") else label
