"""``endpoints``, ``endpoint``, ``triage``: the inventory, and decisions about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FilterArgument, FormatOption, WhyOption, filter_text
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import workspace

if TYPE_CHECKING:
    from datetime import datetime

    from inventory.model import Change, Endpoint, Membership

SHOWN_PODS = 5
COLUMNS = (
    Column("ID", "short_id"),
    Column("URL", "url"),
    Column("KIND", "kind"),
    Column("PRODUCT", "product"),
    Column("CONF", "confidence", numeric=True, rank=2),
    Column("POSTURE", "posture"),
    Column("PRESENCE", "presence", rank=4),
    Column("GOVERNANCE", "governance", rank=1),
    Column("ROUTING", "routing", rank=3),
    Column("RISK", "risk", numeric=True),
    Column("OWNER", "owner", rank=5),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("endpoints")(endpoints)
    app.command("endpoint")(endpoint)
    app.command("triage")(triage)


def endpoints(
    context: typer.Context,
    terms: FilterArgument = None,
    form: FormatOption = Format.TABLE,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the riskiest first.")] = None,
) -> None:
    """List what was found, the riskiest first.

    Examples:
      gnomon endpoints kind:notebook posture:open

      gnomon endpoints 'risk>60' -- -owner:*

      gnomon endpoints --format json | jq '.[].url'

    """
    with workspace(context.obj) as here:
        found = here.store.endpoints.list(filter_text(terms), limit=limit)
    write_rows([as_row(one, form) for one in found], COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(found)} endpoint{'' if len(found) == 1 else 's'}")


def as_row(endpoint: "Endpoint", form: Format) -> dict[str, Any]:
    """An endpoint as a row of a listing; tables show the beginning of its id, which suffices to name it."""
    row = endpoint.model_dump(mode="json")
    return row | {"short_id": endpoint.id[:8]} if form is Format.TABLE else row


def endpoint(
    context: typer.Context,
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="An endpoint's id, or its beginning.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything about one endpoint.

    Evidence, exposures, risk and its reasons, what was asked of it, and every decision about it.

    Example: gnomon endpoint p34w5uwj
    """
    with workspace(context.obj) as here:
        one = here.store.endpoints.get(endpoint_id)
        changes = here.store.changes.list(subject=one.id)
    if form is Format.TABLE:
        write_text(describe(one, changes))
    elif form is Format.CSV:
        write_rows([as_row(one, form)], COLUMNS, form)
    else:
        write_json(as_row(one, form) | {"changes": [change.model_dump(mode="json") for change in changes]})


def describe(one: "Endpoint", changes: "list[Change]") -> str:
    """An endpoint in words, for a person."""
    product = " ".join(filter(None, (one.product or "unidentified", one.version)))
    lines = [
        f"{one.url}",
        f"  id          {one.id}  (site {one.site}, scope {one.scope})",
        f"  what        {one.kind or 'unidentified'}: {product}, confidence {one.confidence:.2f}",
        f"  server      {one.server or 'unknown'}",
        f"  posture     {one.posture}" + (f", decided by {one.posture_evidence}" if one.posture_evidence else ""),
        f"  presence    {one.presence}, first seen {_moment(one.first_seen)}, last seen {_moment(one.last_seen)}",
        f"  governance  {one.governance}" + (f" until {_moment(one.exempt_until)}" if one.exempt_until else ""),
        f"  routing     {one.routing}",
        f"  owner       {one.owner or 'nobody is known to own it'}",
        f"  risk        {one.risk} of 100",
        *(f"              {reason.weight:+3d}  {reason.why}" for reason in one.risk_reasons),
    ]
    lines += _cluster(one.cluster) if one.cluster else []
    lines += _section("inference", [f"{route.method} {route.path}" for route in one.inference_routes])
    lines += _section("exposures", [f"{exposure.via}  {exposure.url}" for exposure in one.exposures])
    lines += _section(
        "evidence",
        [f"{e.weight:+5.1f}  {e.signal}" + (f"  ({e.request})" if e.request else "") for e in one.evidence],
    )
    lines += _section(
        "asked",
        [
            f"{asked.method:7} {asked.path}  ->  {asked.status or asked.outcome}  {asked.bytes} bytes  "
            f"{(asked.digest or '')[:12]}".rstrip()
            for asked in one.asked
        ],
    )
    lines += _section("changes", [f"{_moment(c.at)}  {c.who}  {c.action}: {c.why}" for c in changes])
    return "\n".join(lines)


def _cluster(place: "Membership") -> list[str]:
    """An endpoint's place in a cluster: how it stands, and the path that proves it, a hop a line."""
    workload = place.workload
    pods = ", ".join(f"{pod.name} {pod.address}" for pod in place.pods[:SHOWN_PODS])
    more = f" and {len(place.pods) - SHOWN_PODS} more" if len(place.pods) > SHOWN_PODS else ""
    return [
        f"  workload    {workload}  (uid {workload.uid}, cluster {workload.cluster})",
        f"  pods        {pods or 'none'}{more}",
        f"  standing    {place.standing}: {place.why}",
        *(f"              {'-> ' if number else ''}{hop} ({hop.leads})" for number, hop in enumerate(place.path)),
    ]


def _section(title: str, rows: list[str]) -> list[str]:
    return [f"  {title}", *(f"    {row}" for row in rows)] if rows else []


def _moment(moment: "datetime") -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def triage(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Endpoints, by id or its beginning.")],
    why: WhyOption,
    owner: Annotated[str | None, typer.Option(help="Who owns it; empty for nobody.")] = None,
    exempt_until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Exempt until this day (YYYY-MM-DD, UTC).")
    ] = None,
    decide: Annotated[str | None, typer.Option(metavar="WORD", help="unreviewed, managed, blocked or retired.")] = None,
) -> None:
    """Decide about endpoints.

    Name an owner, exempt until a date, or set their governance; each with a reason, on record.

    Examples:
      gnomon triage p34w5uwj --owner team-churn --why "their repository"

      gnomon triage p34w5uwj --exempt-until 2027-01-31 --why "moves with the new cluster"

    """
    from inventory.model import Governance

    if owner is None and exempt_until is None and decide is None:
        raise CommandError("say what to decide: --owner, --exempt-until or --decide")
    if exempt_until is not None and decide is not None:
        raise CommandError("--exempt-until is a decision of its own: leave --decide out")
    governance = Governance.EXEMPT if exempt_until else _governance(decide)
    with workspace(context.obj) as here:
        known = [here.store.endpoints.get(one).id for one in ids]
        changed = here.store.triage.apply(
            known,
            governance=governance,
            exempt_until=_day(exempt_until),
            owner=owner,
            who=here.settings.actor,
            why=why,
        )
    for one in changed:
        narrate(f"{one.url}: {one.governance}, owner {one.owner or 'nobody'}, risk {one.risk}")


def _governance(word: str | None) -> Any:
    from inventory.model import Governance

    allowed = [one.value for one in Governance if one is not Governance.EXEMPT]
    if word is None:
        return None
    if word not in allowed:
        raise CommandError(f"--decide takes {', '.join(allowed)}, not {word!r}")
    return Governance(word)


def _day(text: str | None) -> "datetime | None":
    from datetime import UTC, datetime

    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        raise CommandError(f"{text!r} is not a day such as 2027-01-31") from error
