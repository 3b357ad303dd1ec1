"""``serve``, ``gateway`` and ``doctor``: the daemon, a gateway alone, and what is missing on this machine."""

from typing import Annotated

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, log_to_stderr, narrate, write_rows
from tui.wiring import daemon, gateway_alone, settings_of, workspace


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(serve)
    app.command("gateway")(gateway)
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


def gateway(context: typer.Context) -> None:
    """Run the gateway alone, with the last good configuration, until Ctrl-C.

    For a machine whose database is away, or where gnomon must not run: it changes nothing and asks nobody. When
    `gnomon serve` starts with the same state folder, it takes the gateway over without a failed request, and this
    ends.

    Example: gnomon gateway
    """
    log_to_stderr()
    settings = settings_of(context.obj)
    narrate(f"gateway on {settings.gateway_address}:{settings.gateway_port}, with what was served last")
    narrate("press Ctrl-C to stop")
    gateway_alone(settings)
    narrate("stopped")


def doctor(
    context: typer.Context,
    target: Annotated[
        str | None, typer.Argument(metavar="[k8s:CONTEXT]", help="A cluster to check, instead of this machine.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say what works on this machine, or may be read of a cluster, and what does not.

    Each finding says what to do about it, or what a missing permission hides; deploy/ has manifests that
    grant them. The exit code is 1 where something does not work.

    Examples:
      gnomon doctor

      gnomon doctor k8s:production#risk,pricing

    """
    from tui.doctor import examine, examine_cluster

    settings = settings_of(context.obj)
    findings = examine(settings) if target is None else examine_cluster(settings, target)
    rows = [{"check": one.check, "works": one.works, "finding": one.finding} for one in findings]
    write_rows(rows, (Column("CHECK", "check"), Column("WORKS", "works"), Column("FINDING", "finding")), form)
    if not all(one.works for one in findings):
        raise typer.Exit(Exit.FAILED)
