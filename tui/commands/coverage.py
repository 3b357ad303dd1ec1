"""``coverage``: how much is known and governed, by what, since when, and a gate for a pipeline."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_json, write_rows
from tui.wiring import workspace

if TYPE_CHECKING:
    from inventory.coverage import Metric, Trend
    from inventory.store.coverage import Report

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
SPACE = (
    Column("SCOPE", "scope"),
    Column("ADDRESSES", "authorised", numeric=True),
    Column("SCANNED", "scanned", numeric=True),
    Column("PARTLY", "partly", numeric=True),
    Column("NEVER", "never", numeric=True),
    Column("PORTS", "ports", numeric=True, rank=2),
    Column("LOST PROBES", "lost", numeric=True, rank=3),
    Column("AS OF", "as_of", rank=1),
)
UNKNOWNS = (Column("KNOWN UNKNOWN", "what"), Column("COUNT", "count", numeric=True), Column("MEANING", "why", rank=1))
TIMINGS = (Column("TIME", "title"), Column("MEDIAN", "median"), Column("CASES", "count", numeric=True),
           Column("MEANING", "why", rank=1))  # fmt: skip
_SHOWN_BY = ("identified", "posture", "owned", "managed", "shadowed", "governed", "sealed")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("coverage")(coverage)


def coverage(
    context: typer.Context,
    by: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="By site, scope, owner, product, cluster, namespace or kind."),
    ] = None,
    trend: Annotated[bool, typer.Option("--trend", help="What it was after each of the latest scans.")] = False,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PERCENT", help="End with 1 where a metric is lower, or not known; may be repeated."),
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show how much is known and governed, the gaps, and what is known to be unknown.

    Each figure has its denominator and its date. JSON holds everything; CSV holds the metrics.

    Examples:
      gnomon coverage --by owner

      gnomon coverage --trend

      gnomon coverage --fail-under owned=80 --fail-under governed=50

    """
    bars = _bars(fail_under or [])
    with workspace(context.obj) as here:
        if by is not None:
            _show_by(here.store.coverage.by(_grouping(by)), by, form)
        elif trend:
            _show_trend(here.store.coverage.trend(), form)
        else:
            _show(here.store.coverage.report(), form)
        if bars:
            _judge(here.store.coverage.metrics(), bars)


def _grouping(by: str) -> str:
    from inventory.store.coverage import GROUPINGS

    if by not in GROUPINGS:
        raise CommandError(f"--by takes {', '.join(GROUPINGS)}, not {by!r}")
    return by


def _bars(texts: Iterable[str]) -> dict[str, float]:
    from inventory.coverage import coverage as measure

    known = [metric.name for metric in measure([], []).metrics]
    bars = {}
    for text in (part for one in texts for part in one.split(",")):
        name, equals, value = text.strip().partition("=")
        if name not in known:
            raise CommandError(f"--fail-under takes NAME=PERCENT with a name of {', '.join(known)}, not {text!r}")
        try:
            bars[name] = float(value.removesuffix("%"))
        except ValueError as error:
            raise CommandError(f"--fail-under {text!r}: write a number after the =, such as {name}=80") from error
        if not equals or not 0 <= bars[name] <= 100:
            raise CommandError(f"--fail-under {text!r}: a percentage is from 0 to 100")
    return bars


def _judge(metrics: Sequence["Metric"], bars: dict[str, float]) -> None:
    failed = False
    for metric in metrics:
        bar = bars.get(metric.name)
        if bar is None or (metric.percent is not None and metric.percent >= bar):
            continue
        failed = True
        stands = "not known: there is nothing to count" if metric.percent is None else f"{metric.percent:.1f} %"
        narrate(f"{metric.name} is {stands}, and should be {bar:g} % or more")
    if failed:
        raise typer.Exit(Exit.FAILED)


def _show(report: "Report", form: Format) -> None:
    from dataclasses import asdict

    metrics = [_metric_row(metric) for metric in report.coverage.metrics]
    gaps = [asdict(gap) for gap in report.coverage.gaps]
    rest = {
        "spaces": [asdict(one) for one in report.spaces],
        "red_flags": [asdict(one) for one in report.red_flags],
        "timings": [asdict(one) for one in report.timings],
        "unknowns": [asdict(one) for one in report.unknowns],
    }
    if form is Format.JSON:
        write_json({"metrics": metrics, "gaps": gaps, **rest})
        return
    write_rows([_for_people(row) for row in metrics] if form is Format.TABLE else metrics, METRICS, form)
    if form is not Format.TABLE:
        return
    sections = (
        (SPACE, [row | {"as_of": _moment(row["as_of"])} for row in rest["spaces"]]),
        (TIMINGS, [row | {"median": _duration(row["seconds"])} for row in rest["timings"]]),
        (UNKNOWNS, rest["unknowns"]),
        (GAPS, gaps),
    )
    for columns, rows in sections:
        if rows:
            typer.echo()
            write_rows(rows, columns, form)
    narrate(f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'}")


def _show_by(groups: "dict[str | None, tuple[Metric, ...]]", by: str, form: Format) -> None:
    rows: list[dict[str, Any]] = []
    for group, metrics in groups.items():
        named = {metric.name: metric for metric in metrics}
        row: dict[str, Any] = {by: group, "endpoints": named["identified"].whole, "ml_endpoints": named["owned"].whole}
        row |= {name: _percent(named[name], form) for name in _SHOWN_BY}
        rows.append(row | ({by: "(nothing known)"} if group is None and form is Format.TABLE else {}))
    columns = (
        Column(by.upper(), by), Column("ENDPOINTS", "endpoints", numeric=True),
        Column("ML", "ml_endpoints", numeric=True),
        *(Column(f"{name.upper()} %", name, numeric=True, rank=n) for n, name in enumerate(_SHOWN_BY)),
    )  # fmt: skip
    write_rows(rows, columns, form)


def _show_trend(trends: "Sequence[Trend]", form: Format) -> None:
    rows = []
    for one in trends:
        row: dict[str, Any] = {"at": _moment(one.at) if form is Format.TABLE else one.at.isoformat()}
        row |= {"scope": one.scope, "scan": one.scan}
        for standing in one.standings:
            if form is Format.JSON:
                row[standing.name] = {"part": standing.part, "whole": standing.whole}
            else:
                row[standing.name] = f"{100 * standing.part / standing.whole:.0f}" if standing.whole else "unknown"
        rows.append(row)
    columns = (
        Column("AT", "at"), Column("SCOPE", "scope"),
        *(Column(f"{name.upper()} %", name, numeric=True, rank=n) for n, name in enumerate(_SHOWN_BY)),
    )  # fmt: skip
    write_rows(rows, columns, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} scan{'' if len(rows) == 1 else 's'}")


def _percent(metric: "Metric", form: Format) -> object:
    if form is Format.TABLE:
        return "unknown" if metric.percent is None else f"{metric.percent:.0f}"
    return None if metric.percent is None else round(metric.percent, 1)


def _metric_row(metric: "Metric") -> dict[str, Any]:
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
    return row | {"percent": percent, "as_of": _moment(row["as_of"])}


def _moment(value: object) -> str:
    return str(value)[:16].replace("T", " ") if value else "never"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
