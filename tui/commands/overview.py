"""``coverage``, ``graph``: how much is known and governed, and how it hangs together."""

from typing import Annotated, Any

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_json, write_rows
from tui.wiring import workspace

METRICS = (
    Column("COVERAGE", "title"),
    Column("PART", "part", numeric=True),
    Column("OF", "whole", numeric=True),
    Column("UNIT", "unit", rank=1),
    Column("%", "percent", numeric=True),
    Column("AS OF", "as_of", rank=2),
    Column("MEANING", "why", rank=3),
)
GAPS = (Column("RISK", "risk", numeric=True), Column("GAP", "title"), Column("WHY", "why"))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("coverage")(coverage)
    app.command("graph")(graph)


def coverage(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Show how much is known and governed, and the gaps.

    Each figure has its denominator. JSON holds metrics and gaps; CSV holds the metrics.
    """
    from inventory.coverage import coverage as measure

    with workspace(context.obj) as here:
        report = measure(here.store.endpoints.list(), here.store.scans.list(limit=1000))
    metrics = [_metric_row(metric) for metric in report.metrics]
    gaps = [{"subject": g.subject, "title": g.title, "why": g.why, "risk": g.risk} for g in report.gaps]
    if form is Format.JSON:
        write_json({"metrics": metrics, "gaps": gaps})
        return
    if form is Format.TABLE:
        metrics = [_for_people(row) for row in metrics]
    write_rows(metrics, METRICS, form)
    if form is Format.TABLE:
        typer.echo()
        write_rows(gaps, GAPS, form)
        narrate(f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}")


def _metric_row(metric: Any) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "part": metric.part,
        "whole": metric.whole,
        "unit": metric.unit,
        "percent": None if metric.percent is None else round(metric.percent, 1),
        "as_of": metric.as_of.isoformat() if metric.as_of else None,
        "why": metric.why,
    }


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    percent = "unknown" if row["percent"] is None else f"{row['percent']:.0f}"
    as_of = row["as_of"][:16].replace("T", " ") if row["as_of"] else "never"
    return row | {"percent": percent, "as_of": as_of}


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
