"""``serve``, ``gateway`` and ``doctor``: the daemon, a gateway alone, and what is missing on this machine."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.options import FormatOption, WhyOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, log_to_stderr, narrate, write_rows, write_text
from tui.wiring import daemon, gateway_alone, has_joined, settings_of, workspace

if TYPE_CHECKING:
    from inventory.settings import Settings


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


def gateway(
    context: typer.Context,
    join: Annotated[
        str | None, typer.Option(metavar="HOST[:PORT]", help="Join the gnomon of another machine, by a token.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN|-", help="What --invite printed there; - reads it from standard input.")
    ] = None,
    invite: Annotated[
        str | None, typer.Option(metavar="NAME", help="Print a token by which a gateway of that name may join once.")
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, max=10_080, help="How long the token of --invite is good.")] = 60,
    expel: Annotated[
        str | None, typer.Option(metavar="NAME", help="Refuse a gateway that joined, from now on.")
    ] = None,
    members: Annotated[bool, typer.Option("--members", help="List the gateways that joined.")] = False,
    why: WhyOption = "by command line",
    form: FormatOption = Format.TABLE,
) -> None:
    """Run the gateway alone, until Ctrl-C: with what was served last, or as one that joined another machine's gnomon.

    Alone, it is for a machine whose database is away, or where gnomon must not run: it changes nothing and asks
    nobody. When `gnomon serve` starts with the same state folder, it takes the gateway over without a failed
    request, and this ends.

    Joined, it serves what the other machine's gnomon says, over connections on which both prove who they are, and
    goes on with what it has while that is away; started again later, it needs no token. For this, set join_address
    there, and invite. One that is expelled ends.

    Examples:
      gnomon gateway

      gnomon gateway --invite paris

      gnomon gateway --join 10.0.0.4 --token gnomon-join-...

      gnomon gateway --expel paris --why "the machine was sold"

    """
    from tui.joining import end_membership, invitation, join_by, list_members

    _check({"--join": join, "--invite": invite, "--expel": expel, "--members": members or None}, token)
    if invite is not None:
        with workspace(context.obj) as here:
            write_text(invitation(here, invite, minutes, why))
        return
    if expel is not None:
        with workspace(context.obj) as here:
            end_membership(here, expel, why)
        return
    if members:
        with workspace(context.obj) as here:
            list_members(here, form)
        return
    log_to_stderr()
    settings = settings_of(context.obj)
    if join is not None and token is not None:
        join_by(settings, join, token)
    _serve_alone(settings)


def _check(options: Mapping[str, object], token: str | None) -> None:
    """Raises CommandError where more than one was given, or a token without what it is for."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise CommandError(f"{given[0]} and {given[1]} cannot be given at once")
    if (token is not None) != ("--join" in given):
        raise CommandError("--join and --token go together: `gnomon gateway --invite NAME` there prints the token")


def _serve_alone(settings: "Settings") -> None:
    where = f"{settings.gateway_address}:{settings.gateway_port}"
    joined = has_joined(settings)
    narrate(f"gateway on {where}, " + (f"for the gnomon of {joined}" if joined else "with what was served last"))
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
