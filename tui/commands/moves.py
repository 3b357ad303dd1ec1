"""``adopt``, ``shift``, ``rollback``, ``release``: the life of a route.

These commands write what is desired; the controller in ``gnomon serve`` brings it about, and these
wait for its word. Where no gateway answers, the desire stays on record, and the exit code says that
the work is incomplete.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.options import WhyOption
from tui.commands.routes import NameArgument, describe, existing, spec_of
from tui.exits import CommandError, Exit
from tui.output import narrate, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import Endpoint, Revision, RouteSpec

WaitOption = Annotated[
    float | None,
    typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for a gateway's word; 10 if one runs."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
REASON = "by command line"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (adopt, shift, rollback, release):
        app.command(command.__name__)(command)


def adopt(
    context: typer.Context,
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="The endpoint, by id or its beginning.")],
    name: Annotated[str | None, typer.Option(help="The route's name; it becomes part of its host.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="URL|ID", help="A managed replacement, which gets no live request yet.")
    ] = None,
    percent: Annotated[
        float, typer.Option("--shadow", metavar="PERCENT", min=0, max=100, help="Copy so many requests to it.")
    ] = 0.0,
    host: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A further name of the route.")] = None,
    path: Annotated[
        str,
        typer.Option(metavar="/PATH", help="Serve it below a path of --host, or of the domain."),
    ] = "",
    sticky: Annotated[
        list[str] | None,
        typer.Option(metavar="BY", help="What tells callers apart: header:NAME, cookie:NAME, address."),
    ] = None,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Put an endpoint behind the gateway.

    Callers get the same answers, from a name that is governed; nothing changes for those who stay.

    Examples:
      gnomon adopt p34w5uwj --name iris

      gnomon adopt p34w5uwj --name iris --to http://10.0.0.8:8000 --shadow 10

      gnomon adopt p34w5uwj --name iris --host iris.example --sticky header:x-user

      gnomon adopt p34w5uwj --name iris --path /models/iris

    """
    from router import desired

    with workspace(context.obj) as here:
        endpoint = here.store.endpoints.get(endpoint_id)
        replacement, known = _replacement(here, to)
        spec = desired.adopt(
            endpoint,
            name=name or _default_name(endpoint),
            domain=here.settings.gateway_domain,
            to=replacement,
            to_endpoint=known,
            shadow_percent=percent,
            hosts=host or (),
            path=path,
            sticky=desired.parse_sticky(sticky or ()),
        )
        _must_be_new(here, spec.name)
        if dry_run:
            write_text(describe(spec))
            return
        converge(here, _adopted(here, endpoint, spec, why), wait)


def shift(
    context: typer.Context,
    name: NameArgument,
    weights: Annotated[list[str], typer.Argument(metavar="BACKEND=PERCENT...", help="Weights that add up to 100.")],
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Move live requests between a route's backends.

    Example: gnomon shift iris origin=90 replacement=10
    """
    from router import desired

    with workspace(context.obj) as here:
        spec = desired.shift(spec_of(existing(here, name)), desired.parse_weights(weights))
        change(here, spec, why, wait, dry_run=dry_run)


def rollback(
    context: typer.Context,
    name: NameArgument,
    to: Annotated[
        int | None, typer.Option(metavar="REVISION", min=1, help="The last one that was another, by default.")
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Take back every route that changed together with it.")
    ] = False,
    why: WhyOption = "rolled back by command line",
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Go back to an earlier revision of a route.

    It becomes a new revision, so that this can be undone too.

    Examples:
      gnomon rollback iris --to 2

      gnomon rollback iris --whole

    """
    from router import desired

    with workspace(context.obj) as here:
        latest = here.store.routes.get(name)
        if latest is None:
            raise CommandError(f"there is no route {name!r}: `gnomon routes` lists them")
        if whole and to is not None:
            raise CommandError("--whole takes back one change of many routes, and --to one route: give one of them")
        if whole and not latest.change:
            raise CommandError(f"revision {latest.number} of {name!r} changed no other route: leave out --whole")
        names = [name]
        if whole:
            names = [one.route for one in here.store.routes.since(0).revisions if one.change == latest.change]
        wanted = {one: desired.earlier(one, here.store.routes.history(one), to) for one in names}
        if dry_run:
            write_text("\n".join(describe(spec) if spec else f"route {one} goes" for one, spec in wanted.items()))
            return
        converge_all(here, here.store.routes.change(wanted, who=here.settings.actor, why=why), wait)


def release(
    context: typer.Context,
    name: NameArgument,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Take a route off the gateway. Callers that still use its name get 404, so this asks first."""
    with workspace(context.obj) as here:
        spec = spec_of(existing(here, name))
        if dry_run:
            write_text(f"route {name} goes: callers of {', '.join(spec.names)} get 404")
            return
        if not yes:
            narrate(f"callers of {', '.join(spec.names)} will get 404")
            typed = typer.prompt("type the route's name to go on", default="", show_default=False, err=True)
            if typed != name:
                raise CommandError("nothing was changed", Exit.REFUSED)
        converge(here, here.store.routes.remove(name, who=here.settings.actor, why=why), wait)


def _replacement(here: Workspace, to: str | None) -> tuple[str | None, str | None]:
    """The URL that is meant, and the id of the endpoint there where the inventory knows one."""
    if to is None:
        return None, None
    if "://" not in to:
        endpoint = here.store.endpoints.get(to)
        return endpoint.url, endpoint.id
    known = [one.id for one in here.store.endpoints.list() if one.url == to.rstrip("/")]
    return to, known[0] if known else None


def _adopted(here: Workspace, endpoint: "Endpoint", spec: "RouteSpec", why: str) -> "Revision":
    """Put the route on record, and say how callers move."""
    from router.advice import advice

    revision = here.store.routes.put(spec, who=here.settings.actor, why=why)
    _manage(here, endpoint.id, why)
    for sentence in advice(endpoint, spec, here.settings):
        narrate(sentence)
    return revision


def _must_be_new(here: Workspace, name: str) -> None:
    """Raises CommandError where a route of that name is there."""
    current = here.store.routes.get(name)
    if current is not None and current.spec is not None:
        raise CommandError(f"there is a route {name!r} already: choose another --name, or change it by `gnomon shift`")


def _default_name(endpoint: "Endpoint") -> str:
    """What an endpoint is called on the gateway unless somebody says: product, address and port."""
    words = f"{endpoint.product or 'app'}-{endpoint.address}-{endpoint.port}{endpoint.base_path}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:63].rstrip("-")


def _manage(here: Workspace, endpoint_id: str, why: str) -> None:
    from inventory.model import Governance

    here.store.triage.apply([endpoint_id], governance=Governance.MANAGED, who=here.settings.actor, why=why)


def change(here: Workspace, spec: "RouteSpec", why: str, wait: float | None, *, dry_run: bool) -> None:
    """Put a route on record and wait for a gateway's word; or, for a dry run, describe it."""
    if dry_run:
        write_text(describe(spec))
        return
    converge(here, here.store.routes.put(spec, who=here.settings.actor, why=why), wait)


def converge(here: Workspace, revision: "Revision", wait: float | None) -> None:
    """Wait for a gateway's word, and tell it. CommandError where it was refused, or where none came in time."""
    converge_all(here, [revision], wait)


def converge_all(here: Workspace, revisions: Sequence["Revision"], wait: float | None) -> None:
    """Wait for a gateway's word on revisions that were made together, and tell it. Raises CommandError."""
    from tui.convergence import Outcome, await_gateways, taken_back

    first = revisions[0]
    said = f"route {first.route} revision {first.number}" if len(revisions) == 1 else f"{len(revisions)} routes"
    verb = "is" if len(revisions) == 1 else "are"
    result = await_gateways(here.store, revisions, wait)
    if result.outcome is Outcome.REFUSED:
        was = "was" if len(revisions) == 1 else "were all"
        if taken_back(here.store, revisions):
            raise CommandError(f"{said} {was} rolled back, because a gateway refused: {result.words}", Exit.FAILED)
        # The gateway beside gnomon decides; one of another machine only says.
        undo = f"`gnomon rollback {first.route}` takes it back"
        raise CommandError(f"{said} {verb} on record, but a gateway refused: {result.words}; {undo}", Exit.FAILED)
    if result.outcome is Outcome.PENDING:
        raise CommandError(f"{said} {verb} on record, but {result.words}", Exit.INCOMPLETE)
    narrate(f"{said} {verb} in force on {result.words}")
