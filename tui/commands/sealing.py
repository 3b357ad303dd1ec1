"""``seal``: a proof that an endpoint is reached through the gateway alone, and the rules that make it so."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption, WhyOption
from tui.commands.routes import existing, spec_of
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import Endpoint, Path, Revision, RouteSpec, Seal
    from tui.sealing import Sealer

REASON = "by command line"
_COLUMNS = (
    Column("ROUTE", "route"),
    Column("ENDPOINT", "endpoint"),
    Column("VIA", "via"),
    Column("PATH", "path"),
    Column("DID", "did"),
    Column("FROM", "source"),
    Column("VERDICT", "verdict"),
)


class Rules(StrEnum):
    """What rules are written for."""

    NFTABLES = "nftables"
    NETWORK_POLICY = "networkpolicy"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("seal")(seal)


def seal(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Routes.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every route.")] = False,
    gateway: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the gateway is reached from this machine.")
    ] = None,
    rules: Annotated[Rules | None, typer.Option(help="Write rules that shut the direct paths; try nothing.")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="CIDR|namespace:NAME", help="Rules let this in too; may be given again."),
    ] = None,
    selector: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=VALUE", help="The pods that a NetworkPolicy is about.")
    ] = None,
    why: WhyOption = REASON,
    form: FormatOption = Format.TABLE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be tried, and send nothing.")] = False,
) -> None:
    """Show that the endpoints of a route are reached through the gateway alone.

    Every direct path is tried from this machine without credentials, and the gateway beside it as a control. Run it
    where callers are, not where the gateway runs: the gateway's own way has to stay open. The exit code is 0 where all
    is sealed, 1 where a path around the gateway answers, 3 where nothing was proved. `gnomon serve` tries seals again.

    Examples:
      gnomon seal iris --rules nftables | ssh root@10.0.0.5 nft -f -

      gnomon seal iris --rules networkpolicy --selector app=iris --from namespace:gateway | kubectl apply -f -

      gnomon seal iris --gateway 10.0.0.2:8780

      gnomon seal --all --format json

    """
    with workspace(context.obj) as here:
        from tui.sealing import Sealer

        revisions = _chosen(here, names or [], every=every)
        sealer = Sealer(here.store, here.settings, gateway=_door(gateway) if gateway else None)
        if rules is not None:
            for revision in revisions:
                write_text(_rules(sealer, spec_of(revision), rules, source or [], selector or []))
            return
        if dry_run:
            write_rows([row for one in revisions for row in _planned(sealer, spec_of(one))], _COLUMNS[:4], form)
            return
        seals = [one for revision in revisions for one in asyncio.run(_try(sealer, revision, why))]
        write_rows([row for one in seals for row in _rows(one)], _COLUMNS, form)
        for one in seals:
            narrate(f"{one.route}: {one.endpoint} is {_SAID[one.verdict.value]}: {one.reason}")
        raise typer.Exit(_exit(seals))


_SAID = {"sealed": "sealed", "bypass": "not sealed", "unproved": "not shown to be sealed"}


async def _try(sealer: "Sealer", revision: "Revision", why: str) -> "list[Seal]":
    seals = await sealer.attempt(spec_of(revision), why)
    if not seals:
        narrate(f"{revision.route}: leads to no endpoint of the inventory, so there is no direct path to try")
    return await asyncio.to_thread(sealer.keep, revision, seals)


def _exit(seals: "Sequence[Seal]") -> int:
    verdicts = {one.verdict.value for one in seals}
    if "bypass" in verdicts:
        return Exit.FAILED
    return Exit.DONE if verdicts == {"sealed"} else Exit.INCOMPLETE


def _chosen(here: Workspace, names: Sequence[str], *, every: bool) -> "list[Revision]":
    if every == bool(names):
        raise CommandError("name the routes to seal, or say --all")
    if every:
        return [one for one in here.store.routes.list() if one.spec is not None]
    return [existing(here, name) for name in names]


def _door(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"{text!r} is no HOST:PORT of a gateway, such as 10.0.0.2:8780")
    return host.strip("[]"), int(port)


def _rows(seal: "Seal") -> list[dict[str, Any]]:
    about = {"route": seal.route, "endpoint": seal.endpoint, "verdict": seal.verdict.value, "reason": seal.reason}
    about |= {"at": seal.at.isoformat(), "vantage": seal.vantage}
    control = seal.control.model_dump(mode="json") if seal.control else None
    return [
        {**about, "via": one.path.via, "path": str(one.path), "did": one.did.value, "words": one.words,
         "source": one.source, "control": control}
        for one in seal.tried
    ]  # fmt: skip


def _planned(sealer: "Sealer", spec: "RouteSpec") -> list[dict[str, Any]]:
    return [
        {"route": spec.name, "endpoint": endpoint, "via": path.via, "path": str(path)}
        for endpoint, paths in sealer.paths(spec).items()
        for path in paths
    ]


def _rules(sealer: "Sealer", spec: "RouteSpec", form: Rules, source: Sequence[str], selector: Sequence[str]) -> str:
    from router import closing

    paths = sealer.paths(spec)
    try:
        let_in = closing.sources_of(sealer.machines(spec), source)
        if form is Rules.NFTABLES:
            return closing.nftables(spec.name, [path for its in paths.values() for path in its], let_in).rstrip()
        return "---\n".join(
            closing.network_policy(spec.name, _namespace(one), _labels(selector), _ports(paths[one.id]), let_in)
            for one in sealer.of(spec)
        ).rstrip()
    except closing.ClosingError as error:
        raise CommandError(f"{spec.name}: {error}") from error


def _namespace(endpoint: "Endpoint") -> str:
    if endpoint.cluster is None:
        raise CommandError(f"{endpoint.id} runs in no cluster that gnomon has read: use --rules nftables")
    return endpoint.cluster.workload.namespace


def _ports(paths: "Sequence[Path]") -> list[int]:
    """The ports of the pods themselves: what a Service or a node translates never reaches a policy."""
    return [one.port for one in paths if one.via in {"address", "pod"}]


def _labels(selector: Sequence[str]) -> dict[str, str]:
    labels = dict(one.partition("=")[::2] for one in selector)
    if not all(key and value for key, value in labels.items()):
        raise CommandError("a selector is LABEL=VALUE, such as app=iris")
    return labels
