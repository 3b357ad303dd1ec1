"""``routes``, ``route``: what is desired of the gateway, and what it has."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import Backend, GatewayStatus, Revision, RouteSpec, Sample, ShadowEvidence

COLUMNS = (
    Column("ROUTE", "name"),
    Column("HOST", "host", rank=4),
    Column("LIVE", "live"),
    Column("SHADOW", "shadowing", rank=1),
    Column("AGREEMENT", "agreement"),
    Column("PAIRS", "pairs", numeric=True, rank=2),
    Column("REVISION", "revision", numeric=True, rank=3),
    Column("GATEWAY", "gateway"),
)
SHOWN_DISAGREEMENTS = 10
RECENT_MINUTES = 5
SHOWN_METHODS = 3
SHOWN_SWAPS = 3
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The route's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (routes, route):
        app.command(command.__name__)(command)


def routes(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the routes.

    Live split, shadow, agreement of its answers, and whether the gateways have what is desired.
    """
    with workspace(context.obj) as here:
        gateways = here.store.gateways.list()
        rows = [_row(here, revision, gateways) for revision in here.store.routes.list()]
    write_rows(rows, COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(rows)} route{'' if len(rows) == 1 else 's'}")


def route(
    context: typer.Context,
    name: NameArgument,
    disagreements: Annotated[
        bool, typer.Option("--disagreements", help="Only where the shadow's answers differ, side by side.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything about one route.

    Backends, shadow evidence, disagreements, traffic, revisions, and what gateways say of it.

    Examples:
      gnomon route iris

      gnomon route iris --disagreements

    """
    from inventory.model import utc_now

    with workspace(context.obj) as here:
        revision = existing(here, name)
        if disagreements:
            _disagreements([one for one in here.store.shadow.of(name) if one.primary != one.shadow], form)
            return
        spec = spec_of(revision)
        row = _row(here, revision, here.store.gateways.of(name))
        history = here.store.routes.history(name)
        evidence = here.store.shadow.of(name)
        series = here.store.traffic.series(name, utc_now() - timedelta(minutes=RECENT_MINUTES))
        seals = here.store.seals.of_route(name, limit=5)
    if form is not Format.TABLE:
        row["history"] = [one.model_dump(mode="json") for one in history]
        row["seals"] = [one.model_dump(mode="json") for one in seals]
        write_json(row | {"series": [one.model_dump(mode="json") for one in series]})
        return
    lines = [describe(spec), f"  gateway    {row['gateway']}"]
    lines += [line for one in evidence for line in _evidence_lines(one)]
    lines += [f"  traffic    {t['backend']}: {t['requests']} live, {t['failures']} failed" for t in row["traffic"]]
    lines += [f"  lately     {line}" for line in lately(series, RECENT_MINUTES * 60)]
    lines += [
        f"  {'seal':10} {one.at:%Y-%m-%d %H:%M:%S}  {one.verdict}, from {one.vantage}: {one.reason}" for one in seals
    ]
    lines += [f"  revision   {one.number}  {one.at:%Y-%m-%d %H:%M:%S}  {one.who}: {one.why}" for one in history[:10]]
    write_text("\n".join(lines))


def _servers(backend: "Backend") -> str:
    more = f" and {len(backend.servers)} more" if backend.servers else ""
    return more + ("  HTTP/2" if backend.protocol == "http2" else "")


def lately(series: Sequence["Sample"], seconds: float) -> Iterator[str]:
    """What passed in the last so many seconds, one line for each backend."""
    from inventory.traffic import joined, percentile

    for name in dict.fromkeys(one.backend for one in series):
        own = [one for one in series if one.backend == name]
        passed = joined(own, 10**9)[-1]
        if not passed.requests:
            continue
        failed = 100 * passed.failures / passed.requests
        shares = ((share, percentile(passed.latency, share / 100)) for share in (50, 90, 99))
        times = ", ".join(f"p{share} {value:.3g} ms" for share, value in shares if value is not None)
        yield (
            f"{name}: {passed.requests / seconds:.3g} requests/s in {seconds / 60:g} min, {failed:.2g} % failed, "
            f"{times}, at most {passed.in_flight} at once"
        )


def _disagreements(evidence: "list[ShadowEvidence]", form: Format) -> None:
    from tui.disagreements import lines_of, rows_of

    if form is Format.TABLE:
        write_text("\n".join(line for one in evidence for line in lines_of(one)))
        if not any(one.paths for one in evidence):
            narrate("no disagreement is on record")
    else:
        write_rows([row for one in evidence for row in rows_of(one)], (), form)


def _evidence_lines(one: "ShadowEvidence") -> Iterator[str]:
    if one.primary == one.shadow:
        yield f"  baseline   {one.primary} with itself: {one.agreed} of {one.compared} pairs agree"
        return
    bound = "too few to say" if one.lower_bound is None else f"at least {100 * one.lower_bound:.1f} %"
    yield (
        f"  agreement  {one.shadow} with {one.primary}: {one.agreed} of {one.compared} compared pairs agree ({bound}), "
        f"{one.incomparable} incomparable, {one.lost} lost"
    )
    for reasons in (one.incomparable_reasons, one.lost_reasons):
        yield from (f"    {count} x {reason}" for reason, count in reasons.items())
    yield from (f"    {count} x by status and size alone: {reason}" for reason, count in one.unread.items())
    for group, count in list(one.paths.items())[:SHOWN_DISAGREEMENTS]:
        swaps = ", ".join(f"{times} x {swap}" for swap, times in list(one.swaps.get(group, {}).items())[:SHOWN_SWAPS])
        yield f"    {group} differs in {count} pairs{': ' if swaps else ''}{swaps}"
    if one.paths:
        yield f"    side by side: gnomon route {one.route} --disagreements"


def describe(spec: "RouteSpec") -> str:
    """A route in words."""
    lines = [f"route {spec.name}", f"  {'paths ' if spec.path else 'hosts '}     {', '.join(spec.names)}"]
    lines += [f"  backend    {b.name}  {b.weight} %  {b.url}{_servers(b)}" for b in spec.backends]
    if spec.sticky:
        ways = (("header", spec.sticky.header), ("cookie", spec.sticky.cookie))
        named = [f"{way} {name}" for way, name in ways if name] + ["address"] * spec.sticky.address
        lines.append(f"  sticky     callers are told apart by {', then '.join(named)}")
    lines += [f"  override   {o.header}: {o.value} goes to {o.backend}" for o in spec.overrides]
    if spec.health:
        lines.append(f"  health     GET {spec.health.path} of each server every {spec.health.interval_seconds:g} s")
    if spec.shadow:
        methods = ", ".join(spec.shadow.methods)
        lines.append(
            f"  shadow     {spec.shadow.percent:g} % of {methods} requests are copied to {spec.shadow.backend}"
        )
    if spec.descriptor:
        lines.append(f"  messages   {_described(spec.descriptor)}")
    return "\n".join(lines)


def _described(descriptor: str) -> str:
    from router.errors import RouteError
    from router.shadow.descriptor import unpack

    try:
        methods = list(unpack(descriptor).methods)
    except RouteError as error:
        return f"compared by status and size: {error}"
    more = f" and {len(methods) - SHOWN_METHODS} more" if len(methods) > SHOWN_METHODS else ""
    return f"answers of {', '.join(methods[:SHOWN_METHODS])}{more} are compared by their messages"


def existing(here: Workspace, name: str) -> "Revision":
    """The latest revision of a route that is not removed. Raises CommandError."""
    revision = here.store.routes.get(name)
    if revision is None or revision.spec is None:
        raise CommandError(f"there is no route {name!r}: `gnomon routes` lists them")
    return revision


def spec_of(revision: "Revision") -> "RouteSpec":
    """What a revision desires. Raises CommandError where that is that there be no route."""
    if revision.spec is None:
        raise CommandError(f"the route {revision.route!r} was removed")
    return revision.spec


def _row(here: Workspace, revision: "Revision", gateways: Sequence["GatewayStatus"]) -> dict[str, Any]:
    from tui.convergence import words_of

    spec = spec_of(revision)
    # A row of a backend with itself is the baseline of a split: it says nothing of the shadow.
    evidence = [one for one in here.store.shadow.of(spec.name) if one.primary != one.shadow]
    shown = max(evidence, key=lambda one: one.updated_at, default=None)
    bound = f" (≥ {100 * shown.lower_bound:.1f} %)" if shown and shown.lower_bound is not None else ""
    agreement = f"{100 * shown.agreement:.1f} %{bound}" if shown and shown.agreement is not None else None
    return spec.model_dump(mode="json") | {
        "host": spec.names[0],
        "live": " / ".join(f"{b.name} {b.weight} %" for b in spec.backends),
        "shadowing": f"{spec.shadow.percent:g} % to {spec.shadow.backend}" if spec.shadow else None,
        "agreement": agreement,
        "pairs": shown.pairs if shown else 0,
        "revision": revision.number,
        "gateway": words_of(gateways, revision),
        "evidence": [one.model_dump(mode="json") for one in evidence],
        "traffic": [one.model_dump(mode="json") for one in here.store.shadow.traffic(spec.name)],
    }
