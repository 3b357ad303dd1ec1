"""``scope`` and ``schedule``: what may be scanned, and when."""

from typing import Annotated

import typer

from tui.commands.limits import (
    ExcludeFileOption,
    ExcludeOption,
    HostRateOption,
    QuietOption,
    RateOption,
    SubnetRateOption,
    excluded,
)
from tui.commands.options import FormatOption, WhyOption
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_json, write_rows
from tui.wiring import check_scope, workspace

SCOPES = (
    Column("SCOPE", "name"),
    Column("SITE", "site"),
    Column("TARGETS", "shown_targets"),
    Column("EXCLUDE", "shown_exclude"),
    Column("PORTS", "ports"),
    Column("RATE", "rate", numeric=True),
    Column("QUIET", "shown_quiet"),
    Column("PUBLIC", "allow_public"),
)
SCHEDULES = (
    Column("SCHEDULE", "name"),
    Column("SCOPE", "scope"),
    Column("WHEN", "when"),
    Column("PAUSED", "paused"),
    Column("LAST RUN", "last_run_at"),
    Column("NEXT RUN", "next_run_at"),
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Lower case, digits and hyphens.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    scope = typer.Typer(no_args_is_help=True, help="Say what may be scanned.")
    scope.command("add")(scope_add)
    scope.command("list")(scope_list)
    scope.command("show")(scope_show)
    scope.command("remove")(scope_remove)
    schedule = typer.Typer(no_args_is_help=True, help="Say when scopes are scanned, by `gnomon serve`.")
    schedule.command("add")(schedule_add)
    schedule.command("list")(schedule_list)
    schedule.command("pause")(schedule_pause)
    schedule.command("resume")(schedule_resume)
    schedule.command("remove")(schedule_remove)
    app.add_typer(scope, name="scope")
    app.add_typer(schedule, name="schedule")


def scope_add(
    context: typer.Context,
    name: NameArgument,
    targets: Annotated[list[str], typer.Argument(metavar="TARGET...", help="CIDRs, addresses, host:port.")],
    exclude: ExcludeOption = None,
    exclude_file: ExcludeFileOption = None,
    ports: Annotated[str, typer.Option(help="model, all, or a list such as 80,8000-8100.")] = "model",
    rate: RateOption = None,
    rate_per_host: HostRateOption = None,
    rate_per_subnet: SubnetRateOption = None,
    quiet: QuietOption = None,
    site: Annotated[str, typer.Option(help="The address space that the targets are in.")] = "default",
    allow_public: Annotated[
        bool, typer.Option("--allow-public", help="You are authorised to scan its public addresses.")
    ] = False,
    why: WhyOption = "authorised by command line",
) -> None:
    """Authorise a scope: what `gnomon scan --scope NAME` and schedules may ask.

    Examples:
      gnomon scope add lab 10.20.0.0/22 --exclude 10.20.1.7 --ports model --rate 500

      gnomon scope add plant 10.8.0.0/16 --rate-per-host 2 --quiet "mon-fri 06:00-20:00 Europe/Berlin"

    """
    from inventory.model import Scope, utc_now

    with workspace(context.obj) as here:
        scope = Scope(
            name=name,
            site=site,
            targets=tuple(targets),
            exclude=excluded(exclude, exclude_file),
            ports=ports,
            rate=rate or here.settings.scan_rate,
            rate_per_host=rate_per_host,
            rate_per_subnet=rate_per_subnet,
            quiet=tuple(quiet or ()),
            allow_public=allow_public,
            created_at=utc_now(),
        )
        check_scope(here.settings, scope)
        replaced = here.store.scopes.get(name) is not None
        here.store.scopes.save(scope, who=here.settings.actor, why=why)
    narrate(f"scope {name} {'replaced' if replaced else 'added'}: scan it by `gnomon scan --scope {name}`")


def scope_list(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the scopes."""
    with workspace(context.obj) as here:
        scopes = here.store.scopes.list()
    rows = [scope.model_dump(mode="json") for scope in scopes]
    if form is Format.TABLE:
        rows = [
            row
            | {
                "shown_targets": " ".join(row["targets"]),
                "shown_exclude": " ".join(row["exclude"]) or None,
                "shown_quiet": ", ".join(row["quiet"]) or None,
            }
            for row in rows
        ]
    write_rows(rows, SCOPES, form)


def scope_show(context: typer.Context, name: NameArgument) -> None:
    """Show one scope, its latest scans and who authorised it, as JSON."""
    with workspace(context.obj) as here:
        scope = here.store.scopes.get(name)
        if scope is None:
            raise CommandError(f"there is no scope {name!r}: `gnomon scope list` lists them")
        scans = here.store.scans.list(scope=name, limit=10)
        changes = here.store.changes.list(subject=f"scope:{name}")
    write_json(
        scope.model_dump(mode="json")
        | {
            "scans": [one.model_dump(mode="json") for one in scans],
            "changes": [one.model_dump(mode="json") for one in changes],
        }
    )


def scope_remove(context: typer.Context, name: NameArgument, why: WhyOption = "withdrawn by command line") -> None:
    """Forget a scope and its schedules. What was found in it stays in the inventory."""
    with workspace(context.obj) as here:
        if not here.store.scopes.remove(name, who=here.settings.actor, why=why):
            raise CommandError(f"there is no scope {name!r}: `gnomon scope list` lists them")
    narrate(f"scope {name} removed")


def schedule_add(
    context: typer.Context,
    name: NameArgument,
    scope: Annotated[str, typer.Option(help="The scope to scan.")],
    cron: Annotated[str | None, typer.Option(help="Five fields, in UTC: minute hour day month weekday.")] = None,
    every: Annotated[str | None, typer.Option(metavar="AGE", help="An interval such as 30m, 6h or 1d.")] = None,
) -> None:
    """Scan a scope again and again, while `gnomon serve` runs. What was missed meanwhile is done once.

    Examples:
      gnomon schedule add nightly --scope lab --cron "0 3 * * *"

      gnomon schedule add often --scope lab --every 30m

    """
    from inventory.model import Schedule, utc_now
    from scanner.triggers import first_run

    if (cron is None) == (every is None):
        raise CommandError("say when: either --cron or --every")
    with workspace(context.obj) as here:
        if here.store.scopes.get(scope) is None:
            raise CommandError(f"there is no scope {scope!r}: add it by `gnomon scope add {scope} TARGET`")
        schedule = Schedule(name=name, scope=scope, cron=cron, interval_seconds=_seconds(every))
        schedule = schedule.model_copy(update={"next_run_at": first_run(schedule, utc_now())})
        here.store.schedules.save(schedule)
    narrate(f"schedule {name} added: next at {schedule.next_run_at:%Y-%m-%d %H:%M:%S} UTC, run by `gnomon serve`")


def schedule_list(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the schedules."""
    with workspace(context.obj) as here:
        rows = [schedule.model_dump(mode="json") for schedule in here.store.schedules.list()]
    if form is Format.TABLE:
        rows = [row | {"when": row["cron"] or f"every {row['interval_seconds']} s"} for row in rows]
    write_rows(rows, SCHEDULES, form)


def schedule_pause(context: typer.Context, name: NameArgument) -> None:
    """Keep a schedule, and do not run it."""
    _pause(context, name, paused=True)


def schedule_resume(context: typer.Context, name: NameArgument) -> None:
    """Run a paused schedule again."""
    _pause(context, name, paused=False)


def schedule_remove(context: typer.Context, name: NameArgument) -> None:
    """Forget a schedule."""
    with workspace(context.obj) as here:
        if not here.store.schedules.remove(name):
            raise CommandError(f"there is no schedule {name!r}: `gnomon schedule list` lists them")
    narrate(f"schedule {name} removed")


def _pause(context: typer.Context, name: str, *, paused: bool) -> None:
    with workspace(context.obj) as here:
        schedule = here.store.schedules.get(name)
        if schedule is None:
            raise CommandError(f"there is no schedule {name!r}: `gnomon schedule list` lists them")
        here.store.schedules.save(schedule.model_copy(update={"paused": paused}))
    narrate(f"schedule {name} {'paused' if paused else 'resumed'}")


def _seconds(age: str | None) -> int | None:
    from inventory.query import QueryError, seconds_of

    if age is None:
        return None
    try:
        return seconds_of(age)
    except QueryError as error:
        raise CommandError(f"--every takes an interval such as 30m, 6h or 1d, not {age!r}") from error
