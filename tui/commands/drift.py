"""``drift`` and ``declared``: what runs against what is supposed to, and what a person says of it."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tui.commands.options import FormatOption, WhyOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.drift import Item, Report
    from inventory.model import Registered

ITEMS = (
    Column("LIST", "list"),
    Column("WHAT", "title"),
    Column("ID", "subject", rank=2),
    Column("RISK", "risk", numeric=True, rank=1),
    Column("OWNER", "owner"),
    Column("DAYS", "days", numeric=True),
    Column("SURE", "sure", rank=1),
    Column("WHY", "why", rank=3),
)
DECLARED = (
    Column("SOURCE", "source"),
    Column("KEY", "key"),
    Column("KIND", "kind"),
    Column("STATE", "state"),
    Column("MODEL", "model", rank=2),
    Column("OWNER", "owner", rank=1),
    Column("WHERE", "where", rank=1),
    Column("ENDPOINT", "endpoint"),
    Column("BY", "by", rank=3),
)
SCANS_READ = 1000


class DriftFormat(StrEnum):
    """How the lists are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    SARIF = "sarif"


group = typer.Typer(name="declared", help="What registries, lists and gateways declare.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("drift")(drift)
    group.command("list")(declared)
    group.command("confirm")(confirm)
    group.command("reject")(reject)
    group.command("withdraw")(withdraw)
    app.add_typer(group)


def drift(
    context: typer.Context,
    lists: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LIST]...", help="shadow, zombie, orphan, ghost, bypass, unseen; without one, all."),
    ] = None,
    form: Annotated[
        DriftFormat, typer.Option("--format", "-f", help="How to write the answer to stdout.")
    ] = DriftFormat.TABLE,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="What `--format json` wrote before: say what is new, and gone."
        ),
    ] = None,
) -> None:
    """Compare what runs with what is declared.

    A shadow runs and nothing declares it; a zombie was retired and still answers; an orphan has no owner; a
    ghost is declared and no complete scan sees it; a bypass answers beside the gateway that leads to it. What no
    scan could have seen is unseen, not a ghost. The exit code is 3 where a source was not read to the end.

    Examples:
      gnomon scan mlflow:http://mlflow.example:5000 && gnomon drift

      gnomon drift shadow zombie --format json > drift.json

      gnomon drift shadow zombie --against drift.json --format sarif

    """
    from inventory.drift import Drift

    wanted = _lists(lists or [name.value for name in Drift])
    before = _before(against, wanted) if against is not None else None
    with workspace(context.obj) as here:
        report = _report(here)
    items = [item for item in report.items if item.drift.value in wanted]
    _write(items, report, before, form)
    _tell(report, wanted)
    if report.incomplete:
        raise typer.Exit(Exit.INCOMPLETE)


def _write(items: "list[Item]", report: "Report", before: "dict[str, Item] | None", form: DriftFormat) -> None:
    """Write the lists, with what is new and what is gone where there is an earlier state."""
    from inventory.exports import drift_sarif, key_of

    now = datetime.now(UTC)
    known = before or {}
    present = {key_of(item) for item in items}
    gone = [item for key, item in known.items() if key not in present]
    if form is DriftFormat.SARIF:
        write_text(drift_sarif(items, version("gnomon"), gone=gone, known=before).rstrip("\n"))
        return
    rows = [_row(item, now) for item in items]
    columns: tuple[Column, ...] = ITEMS
    if before is not None:
        states = ["same" if key_of(item) in known else "new" for item in items]
        rows = [{"change": state, **row} for state, row in zip(states, rows, strict=True)]
        rows += [{"change": "gone", **_row(item, now)} for item in gone]
        columns = (Column("CHANGE", "change"), *ITEMS)
        narrate(f"{states.count('new')} new, {len(gone)} gone")
    if form is DriftFormat.JSON:
        write_json({"items": rows, "proposals": _proposals(report), "incomplete": report.incomplete})
    else:
        write_rows(rows, columns, Format(form.value))


def _before(file: Path, wanted: set[str]) -> "dict[str, Item]":
    """The entries of an earlier answer in JSON, by what makes them the same. CommandError where it is not one."""
    from inventory.drift import Drift, Item
    from inventory.exports import key_of

    try:
        rows = json.loads(file.read_bytes())["items"]
        items = [
            Item(
                drift=Drift(row["list"]),
                subject=row["subject"],
                title=row["title"],
                owner=row["owner"],
                since=datetime.fromisoformat(row["since"]),
                why=row["why"],
                risk=int(row["risk"]),
                sure=bool(row["sure"]),
            )
            for row in rows
            if row["list"] in wanted and row.get("change") != "gone"
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CommandError(f"{file} is not what `gnomon drift --format json` wrote: {error}") from error
    return {key_of(item): item for item in items}


def _lists(names: list[str]) -> set[str]:
    from inventory.drift import Drift

    known = {name.value for name in Drift}
    for name in names:
        if name not in known:
            raise CommandError(f"there is no list {name!r}: the lists are {', '.join(sorted(known))}")
    return set(names)


def _report(here: Workspace) -> "Report":
    from inventory.drift import drift as compare

    store = here.store
    scans = store.scans.latest(SCANS_READ)
    return compare(store.endpoints.list(), store.declarations.list(), store.declarations.rulings(), scans)


def _row(item: "Item", now: datetime) -> dict[str, Any]:
    return {
        "list": item.drift.value,
        "subject": item.subject,
        "title": item.title,
        "owner": item.owner,
        "since": item.since.isoformat(),
        "days": (now - item.since).days,
        "risk": item.risk,
        "sure": item.sure,
        "why": item.why,
    }


def _proposals(report: "Report") -> list[dict[str, Any]]:
    return [
        {
            "source": one.declaration.source,
            "key": one.declaration.key,
            "endpoint": one.endpoint.id,
            "url": one.endpoint.url,
            "why": one.why,
        }
        for one in report.proposals
    ]


def _tell(report: "Report", wanted: set[str]) -> None:
    from inventory.drift import Drift

    counts = [f"{sum(item.drift is name for item in report.items)} {name.value}" for name in Drift if name in wanted]
    narrate(f"{', '.join(counts)}; by {report.sources} source{'' if report.sources == 1 else 's'} of declarations")
    if not report.sources:
        narrate("nothing declares anything yet: scan a source, such as mlflow:URL, catalogue:FILE or nginx:FILE")
    for reason in report.incomplete:
        narrate(f"not read to the end: {reason}; what rests on it is not sure")
    for one in report.proposals[:5]:
        narrate(
            f"perhaps {one.declaration.name} is {one.endpoint.url} ({one.why}): "
            f"gnomon declared confirm {one.declaration.source} {one.declaration.key} {one.endpoint.id[:8]} --why …"
        )


def declared(
    context: typer.Context,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also what its source no longer has.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """List what is declared, and the endpoint that it is, where one is known.

    Example: gnomon declared list --format csv
    """
    from inventory.counterparts import match

    with workspace(context.obj) as here:
        known = here.store.declarations.list(withdrawn=withdrawn)
        endpoints, rulings = here.store.endpoints.list(), here.store.declarations.rulings()
    matching = match([one.declaration for one in known], endpoints, rulings)
    rows = []
    for one in known:
        matches = matching.of_declaration.get(one.declaration.id, [])
        rows.append(_declared_row(one, form) | {
            "endpoint": ", ".join(found.endpoint.id[:8] for found in matches) or None,
            "by": matches[0].why if matches else None,
        })  # fmt: skip
    write_rows(rows, DECLARED, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} declaration{'' if len(rows) == 1 else 's'}")


def _declared_row(one: "Registered", form: Format) -> dict[str, Any]:
    declaration = one.declaration
    if form is Format.JSON:
        moments = {"first_seen": one.first_seen, "last_seen": one.last_seen, "withdrawn_at": one.withdrawn_at}
        return declaration.model_dump(mode="json") | moments
    return {
        "source": declaration.source,
        "key": declaration.key,
        "kind": declaration.kind.value,
        "state": "withdrawn" if one.withdrawn_at else declaration.state.value,
        "model": declaration.model,
        "owner": declaration.owner,
        "where": ", ".join(declaration.running) or None,
    }


SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="As `gnomon declared list` shows it.")]
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="As `gnomon declared list` shows it.")]
EndpointArgument = Annotated[str, typer.Argument(metavar="ID", help="An endpoint's id, or how it begins.")]


def confirm(
    context: typer.Context, source: SourceArgument, key: KeyArgument, endpoint: EndpointArgument, why: WhyOption = ""
) -> None:
    """Say that a declaration and an endpoint are the same. Kept, with who and why, until you say otherwise.

    Example: gnomon declared confirm catalogue:approved.csv iris jdnu67pq --why "asked the team"
    """
    _rule(context, source, key, endpoint, why, "confirmed")


def reject(
    context: typer.Context, source: SourceArgument, key: KeyArgument, endpoint: EndpointArgument, why: WhyOption = ""
) -> None:
    """Say that a declaration and an endpoint are not the same, whatever they have in common.

    Example: gnomon declared reject mlflow:http://mlflow.example:5000 iris/3 jdnu67pq --why "another iris"
    """
    _rule(context, source, key, endpoint, why, "rejected")


def withdraw(context: typer.Context, source: SourceArgument, why: WhyOption = "") -> None:
    """Say that a source rightly declares nothing any more. What it declares later is kept as ever.

    A scan does not believe it by itself: a registry that answers with nothing may be broken, or the wrong one.

    Example: gnomon declared withdraw mlflow:http://mlflow.example:5000 --why "moved to the new server"
    """
    from inventory.model import utc_now

    _check_reason(why)
    with workspace(context.obj) as here:
        found = here.store.declarations.withdraw_all(source, here.settings.actor, why, utc_now())
    narrate(f"withdrawn: {found} declaration{'' if found == 1 else 's'} of {source}")


def _check_reason(why: str) -> None:
    if not why.strip():
        raise CommandError("a decision needs a reason: say it by --why")


def _rule(
    context: typer.Context,
    source: str,
    key: str,
    endpoint: str,
    why: str,
    verdict: Literal["confirmed", "rejected"],
) -> None:
    from inventory.model import Ruling, utc_now

    _check_reason(why)
    with workspace(context.obj) as here:
        known = here.store.endpoints.get(endpoint)
        ruling = Ruling(
            source=source, key=key, endpoint=known.id, verdict=verdict,
            who=here.settings.actor, why=why, at=utc_now(),
        )  # fmt: skip
        here.store.declarations.rule(ruling)
    narrate(f"{verdict}: {key} of {source} is {'' if verdict == 'confirmed' else 'not '}{known.url}")
