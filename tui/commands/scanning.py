"""``scan``: asks what listens in some targets, and records what answers. The work is in ``scanner.runner``."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.endpoints import COLUMNS, as_row
from tui.commands.limits import (
    ExcludeFileOption,
    ExcludeOption,
    HostRateOption,
    QuietOption,
    RateOption,
    SubnetRateOption,
    changed,
    excluded,
)
from tui.commands.options import FormatOption, SignaturesOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, Report, narrate, progress, write_json, write_rows
from tui.wiring import Workspace, check_scope, explain_questions, scan_until_done, workspace

if TYPE_CHECKING:
    from inventory.model import Endpoint, Loss, Scan, Scope
    from scanner.plan import Shard
    from scanner.sources import Progress

LONGEST_NAME = 40
ON_THE_WIRE = {"subnet", "kubernetes", "listening"}
"""Sources whose scans account for what they probed; the others read what is declared."""
EXPLAINED_PORTS = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("scan")(scan)


TargetsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TARGET]...", help="CIDRs, addresses, host:port, URLs or k8s:CONTEXT."),
]
AllowPublicOption = Annotated[
    bool, typer.Option("--allow-public", help="You are authorised to scan the public addresses among them.")
]
ShardOption = Annotated[
    str | None,
    typer.Option(metavar="PART/PARTS", help="Only this part of the addresses, such as 2/8: others scan the rest."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the latest scan of the same targets, if it was interrupted.")
]
ListenOption = Annotated[
    str | None,
    typer.Option(metavar="IFACE", help="Send nothing: record the HTTP and TLS services heard in use there."),
]
ListenForOption = Annotated[
    str | None, typer.Option("--for", metavar="AGE", help="How long to listen, such as 30s, 10m or 8h.")
]
ExplainOption = Annotated[bool, typer.Option("--explain", help="Say what would be asked and why, and send nothing.")]


def scan(
    context: typer.Context,
    targets: TargetsArgument = None,
    scope: Annotated[str | None, typer.Option(metavar="NAME", help="Scan a stored scope instead of targets.")] = None,
    ports: Annotated[str | None, typer.Option(help="model, all, or a list such as 80,8000-8100.")] = None,
    exclude: ExcludeOption = None,
    exclude_file: ExcludeFileOption = None,
    rate: RateOption = None,
    rate_per_host: HostRateOption = None,
    rate_per_subnet: SubnetRateOption = None,
    quiet: QuietOption = None,
    site: Annotated[str, typer.Option(help="The address space that the targets are in.")] = "default",
    allow_public: AllowPublicOption = False,
    shard: ShardOption = None,
    resume: ResumeOption = False,
    listen: ListenOption = None,
    listen_for: ListenForOption = None,
    explain: ExplainOption = False,
    signatures: SignaturesOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Find what listens, identify it, and record it.

    What is found goes into the inventory. What is scanned gets only GET, HEAD and OPTIONS, never a credential,
    never an inference. Ctrl-C ends the scan and keeps what was found; the exit code is 3 then.

    Examples:
      gnomon scan 10.20.0.0/22 --exclude 10.20.1.7 --rate 500 --rate-per-host 10

      gnomon scan --scope lab --format json

      gnomon scan --listen eth0 --for 10m

      gnomon scan 'k8s:*'

      gnomon scan catalogue:approved.csv

    """
    part = _part(shard)
    with workspace(context.obj, signatures=signatures) as here:
        if listen is not None or listen_for is not None:
            targets = [_post(listen, listen_for, scope, targets)]
        chosen = _stored(here, scope, targets) if scope else _ad_hoc(here, targets, site, allow_public=allow_public)
        chosen = changed(
            chosen,
            {
                "ports": ports,
                "exclude": (*chosen.exclude, *excluded(exclude, exclude_file)),
                "rate": rate,
                "rate_per_host": rate_per_host,
                "rate_per_subnet": rate_per_subnet,
                "quiet": tuple(quiet) if quiet else None,
            },
        )
        if explain:
            _explain(here, chosen, form)
            return
        with progress(f"scan {chosen.name}") as report:
            scans = scan_until_done(here, chosen, lambda state: _tell(report, state), shard=part, resume=resume)
        _tell_end(here, scans, form)


def _tell_end(here: Workspace, scans: "list[Scan]", form: Format) -> None:
    """Write what was found. typer.Exit where a scan did not end complete."""
    declared = Counter(one.declaration.scan for one in here.store.declarations.list())
    _write(scans, _found(here, scans), declared, form)
    ends = {scan.status.value for scan in scans}
    if ends != {"complete"}:
        raise typer.Exit(Exit.FAILED if ends == {"failed"} else Exit.INCOMPLETE)


def _found(here: Workspace, scans: "list[Scan]") -> "list[Endpoint]":
    """The endpoints that these scans saw."""
    return [
        one
        for scan in scans
        for one in here.store.endpoints.list(f"scope:{scan.scope}")
        if one.last_seen >= scan.started_at and one.site == scan.site
    ]


def _post(listen: str | None, listen_for: str | None, scope: str | None, targets: list[str] | None) -> str:
    """The target that stands for listening; networks among the arguments are what is listened for."""
    if listen is None:
        raise CommandError("--for says how long to listen: name the interface by --listen")
    if scope is not None:
        raise CommandError("listening is a scope of its own: name the networks of interest instead of --scope")
    return ",".join([f"listen:{listen}", f"for={listen_for or '10m'}", *(f"in={network}" for network in targets or ())])


def _explain(here: Workspace, scope: "Scope", form: Format) -> None:
    """What the scan would ask; ports beyond the first few are asked alike, but for their products' hints."""
    from scanner.targets import Addresses, can_be_walked, parse_target

    run = check_scope(here.settings, scope)
    if not run.ports:
        raise CommandError("--explain is about addresses; what is asked in a cluster depends on what runs there")
    shown = run.ports[:EXPLAINED_PORTS]
    rows = explain_questions(here.settings, " ".join(scope.targets), shown)
    columns = (Column("PART", "part"), Column("ABOUT", "about"), Column("REQUEST", "request"), Column("WHY", "why"))
    write_rows(rows, columns, form)
    pairs = run.account.planned - run.account.excluded - run.account.forbidden
    targets = {text: parse_target(text) for text in scope.targets}
    large = [text for text, one in targets.items() if isinstance(one, Addresses) and not can_be_walked(one.network)]
    further = f" and those of the neighbours found in {', '.join(large)}" if large else ""
    narrate(
        f"nothing was sent: {pairs} address-port pairs{further} would be probed, "
        f"and what is open asked as above (shown for port {', '.join(map(str, shown))} of {len(run.ports)})"
    )


def _stored(here: Workspace, name: str, targets: list[str] | None) -> "Scope":
    if targets:
        raise CommandError("name either targets or a scope, not both")
    scope = here.store.scopes.get(name)
    if scope is None:
        raise CommandError(f"there is no scope {name!r}: `gnomon scope list` lists them")
    return scope


def _part(shard: str | None) -> "Shard | None":
    from scanner.plan import parse_shard

    try:
        return None if shard is None else parse_shard(shard)
    except ValueError as error:
        raise CommandError(str(error)) from error


def _ad_hoc(here: Workspace, targets: list[str] | None, site: str, *, allow_public: bool) -> "Scope":
    """A scope of the targets on the command line. The same targets are the same scope, so that presence holds."""
    from inventory.model import Scope, utc_now

    if not targets:
        raise CommandError("name a target, such as 10.20.0.0/22, or a stored scope by --scope")
    return Scope(
        name=_name_of(targets),
        site=site,
        targets=tuple(targets),
        rate=here.settings.scan_rate,
        allow_public=allow_public,
        created_at=utc_now(),
    )


def _name_of(targets: list[str]) -> str:
    whole = " ".join(sorted(targets))
    words = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    if words and len(words) <= LONGEST_NAME:
        return words
    return f"{words[:LONGEST_NAME].strip('-') or 'scope'}-{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def _tell(report: Report, state: "Progress") -> None:
    words = [f"{state.rate:.0f} probes/s", f"{state.open} open", f"{state.identified} identified"]
    if state.loss is not None:
        words.append(f"{state.loss:.1%} lost")
    if state.quiet_until is not None:
        words.append(f"quiet until {state.quiet_until:%H:%M} UTC")
    elif state.seconds_left:
        words.append(f"{_duration(state.seconds_left)} left")
    report(int(state.percent), 100, ", ".join(words))


def _duration(seconds: float) -> str:
    """About how long that is: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _write(scans: "list[Scan]", found: "list[Endpoint]", declared: Mapping[str, int], form: Format) -> None:
    rows = [as_row(one, form) for one in found]
    if form is Format.JSON:
        told = [_counted(one) for one in scans]
        write_json({"scan": told[0], "endpoints": rows} if len(told) == 1 else {"scans": told, "endpoints": rows})
    else:
        write_rows(rows, COLUMNS, form)
    for scan in scans:
        narrate(
            f"scan {scan.id}{f' of {scan.scope}' if len(scans) > 1 else ''} {scan.status}: "
            f"{_told(scan, declared[scan.id])}; {scan.requests} requests" + (f" ({scan.reason})" if scan.reason else "")
        )
        if scan.loss is not None and scan.account.probed:
            narrate(_in_words(scan.loss))
    if any(declared.values()):
        narrate("`gnomon drift` holds what is declared against what runs")


def _told(scan: "Scan", declared: int) -> str:
    """What a scan came to: the account of its probes, or what its sources declare."""
    account = scan.account
    if scan.source in ON_THE_WIRE:
        return (
            f"{account.planned} planned, {account.answered} answered, "
            f"{account.refused} refused, {account.silent} silent, {account.lost} lost, {account.excluded} excluded, "
            f"{account.forbidden} forbidden, {account.unprobed} not reached"
        )
    return f"{declared} declared, read from {account.answered} of {account.planned} sources"


def _counted(scan: "Scan") -> dict[str, Any]:
    counts = scan.account.model_dump() | {"probed": scan.account.probed, "unprobed": scan.account.unprobed}
    return scan.model_dump(mode="json") | {"account": counts, "loss": _measured(scan)}


def _measured(scan: "Scan") -> dict[str, Any] | None:
    """The loss with what follows from it, for programs."""
    if scan.loss is None:
        return None
    low, high = scan.loss.bounds
    derived = {"rate": scan.loss.rate, "low": low, "high": high, "missed_at_most": scan.loss.missed}
    return asdict(scan.loss) | derived


def _in_words(loss: "Loss") -> str:
    if loss.rate is None or loss.missed is None:
        return "loss: not measured, because nothing answered: what was silent may have been lost"
    low, high = loss.bounds
    return (
        f"loss: {loss.rate:.2%} of {loss.asked} probes that should have been answered ({low:.2%} to {high:.2%} with "
        f"95 % confidence); with repetitions an open port was missed with a probability of {loss.missed:.2%} at most"
    )
