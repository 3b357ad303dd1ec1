"""``serve`` and ``doctor``: the daemon, and what is missing on this machine."""

from typing import Annotated

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, log_to_stderr, narrate, write_rows
from tui.wiring import daemon, settings_of, workspace


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("doctor")(doctor)


def serve(
    context: typer.Context,
    gateway: Annotated[bool, typer.Option(help="Run the gateway and its controller.")] = True,
    schedules: Annotated[bool, typer.Option(help="Run the schedules.")] = True,
    clusters: Annotated[bool, typer.Option(help="Watch the clusters of stored scopes.")] = True,
) -> None:
    """Run schedules, watches of clusters, controller and gateway, until Ctrl-C.

    Clusters are those of stored scopes, as by `gnomon scope add prod k8s:production`; what is new in one,
    and what has ended, is in the inventory within seconds. It ends cleanly, and the next start goes on.

    Example: gnomon serve
    """
    if not gateway and not schedules and not clusters:
        raise CommandError("without the gateway, the schedules and the clusters there is nothing to run")
    log_to_stderr()
    with workspace(context.obj) as here:
        if gateway:
            where = f"{here.settings.gateway_address}:{here.settings.gateway_port}"
            name = f"NAME.{here.settings.gateway_domain}:{here.settings.gateway_port}"
            narrate(f"gateway on http://{where}, routes as http://{name}")
        if schedules:
            narrate(f"{len(here.store.schedules.list())} schedules")
        if clusters:
            named = sum(scope.targets[0].startswith("k8s:") for scope in here.store.scopes.list())
            narrate(f"{named} scopes of clusters")
        narrate("press Ctrl-C to stop")
        daemon(here, gateway=gateway, schedules=schedules, clusters=clusters)
    narrate("stopped")


def doctor(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Say what works on this machine, and what does not.

    Each finding says what to do about it. The exit code is 1 where something does not work.
    """
    from tui.doctor import examine

    findings = examine(settings_of(context.obj))
    rows = [{"check": one.check, "works": one.works, "finding": one.finding} for one in findings]
    write_rows(rows, (Column("CHECK", "check"), Column("WORKS", "works"), Column("FINDING", "finding")), form)
    if not all(one.works for one in findings):
        raise typer.Exit(Exit.FAILED)
