"""``endpoints``, ``endpoint``, ``triage``: the inventory, and decisions about it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.history import change_row, event_row
from tui.commands.options import FilterArgument, FormatOption, WhyOption, filter_text
from tui.exits import CommandError
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import workspace

if TYPE_CHECKING:
    from datetime import datetime

    from inventory.listing import Order
    from inventory.model import Change, Endpoint, InferenceRoute, Membership
    from inventory.store.links import Link

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


HISTORY = (
    Column("WHEN", "when"),
    Column("WHAT", "what"),
    Column("WHO", "who", rank=2),
    Column("DETAIL", "detail"),
    Column("URL", "url", rank=1),
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
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a page of --limit ended: what it said on stderr.")
    ] = None,
    sort: Annotated[
        str, typer.Option(metavar="FIELD", help="Sort by risk, endpoint, kind, seen, new ...; -FIELD the other way.")
    ] = "-risk",
) -> None:
    """List what was found, the riskiest first.

    Examples:
      gnomon endpoints kind:notebook posture:open

      gnomon endpoints 'risk>60' -- -owner:*

      gnomon endpoints --format json | jq '.[].url'

      gnomon endpoints --sort -new --limit 100

    """
    from inventory.listing import CursorError

    text = filter_text(terms)
    try:
        order = _order(sort)
        with workspace(context.obj) as here:
            if limit is None and after is None:
                found, more = here.store.endpoints.list(text, order=order), None
            else:
                page = here.store.endpoints.page(text, order=order, limit=limit or PAGE, after=after)
                found, more = list(page.rows), page.after
    except CursorError as error:
        raise CommandError(f"--after {error}") from error
    write_rows([as_row(one, form) for one in found], COLUMNS, form)
    if form is Format.TABLE:
        narrate(f"{len(found)} endpoint{'' if len(found) == 1 else 's'}")
    if more:
        narrate(f"there are more: --after {more}")


PAGE = 1000
"""Rows of a page where none is asked for by --limit."""


def _order(text: str) -> "Order":
    from inventory.listing import Order

    try:
        return Order(text.removeprefix("-"), descending=text.startswith("-"))
    except ValueError as error:
        raise CommandError(f"--sort {text}: {error}") from error


def as_row(endpoint: "Endpoint", form: Format) -> dict[str, Any]:
    """An endpoint as a row of a listing; tables show the beginning of its id, which suffices to name it."""
    row = endpoint.model_dump(mode="json", exclude={"inference_routes": {"__all__": {"takes"}}})
    row["inputs"] = sorted({name for route in endpoint.inference_routes for name in route.takes})
    return row | {"short_id": endpoint.id[:8]} if form is Format.TABLE else row


def _called(route: "InferenceRoute") -> str:
    takes = f"  takes {', '.join(route.takes)}" if route.takes else ""
    return f"{route.method} {route.path}{takes}"


def endpoint(
    context: typer.Context,
    endpoint_id: Annotated[str, typer.Argument(metavar="ID", help="An endpoint's id, or its beginning.")],
    history: Annotated[bool, typer.Option("--history", help="How it came to be what it is, oldest first.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show everything about one endpoint.

    Evidence, exposures, risk and its reasons, what was asked of it, and every decision about it.

    Examples:
      gnomon endpoint p34w5uwj

      gnomon endpoint p34w5uwj --history

    """
    with workspace(context.obj) as here:
        one = here.store.endpoints.get(endpoint_id)
        changes = here.store.changes.list(subject=one.id)
        if history:
            rows = [event_row(event) for event in here.store.history(one)] + [change_row(change) for change in changes]
            rows.sort(key=lambda row: row["at"])
            shown = [row | {"when": row["at"][:19].replace("T", " ")} for row in rows] if form is Format.TABLE else rows
            write_rows(shown, HISTORY, form)
            return
        links = here.store.identities.of(one.id)
    if form is Format.TABLE:
        write_text(describe(one, changes, links))
    elif form is Format.CSV:
        write_rows([as_row(one, form)], COLUMNS, form)
    else:
        decided = [change.model_dump(mode="json") for change in changes]
        write_json(as_row(one, form) | {"changes": decided, "links": [link.model_dump(mode="json") for link in links]})


def describe(one: "Endpoint", changes: "list[Change]", links: "list[Link]") -> str:
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
        f"  routing     {one.routing}" + (f", shown at {_moment(one.sealed_at)}" if one.sealed_at else ""),
        f"  owner       {one.owner or 'nobody is known to own it'}",
        f"  risk        {one.risk} of 100",
        *(f"              {reason.weight:+3d}  {reason.why}" for reason in one.risk_reasons),
    ]
    lines += _cluster(one.cluster) if one.cluster else []
    lines += _section("inference", [_called(route) for route in one.inference_routes])
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
    lines += _section("also at", [f"{p.url}  ({p.id[:8]}) last seen {_moment(p.last_seen)}" for p in one.places])
    lines += _section("identity", [_identity(one, link) for link in links])
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


def _identity(one: "Endpoint", link: "Link") -> str:
    other = link.place if link.endpoint == one.id else link.endpoint
    words = {"proposed": "may be", "split": "is not"}.get(link.state.value, "is")
    decide = "decide by gnomon triage --confirm or --split" if link.state.value == "proposed" else link.state.value
    return f"{words} {other[:8]}: {'; '.join(link.reasons)} ({decide})"


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
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The proposed identity is right: they are one application.")
    ] = False,
    same_as: Annotated[
        str | None, typer.Option(metavar="ID", help="It is the same application as this endpoint.")
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help="It is an application of its own, whatever it was joined with.")
    ] = False,
) -> None:
    """Decide about endpoints.

    Name an owner, exempt until a date, set their governance, or say which are one application; each with a
    reason, on record. --split takes a --confirm back, and the other way round.

    Examples:
      gnomon triage p34w5uwj --owner team-churn --why "their repository"

      gnomon triage p34w5uwj --exempt-until 2027-01-31 --why "moves with the new cluster"

      gnomon triage p34w5uwj --confirm --why "same process, new address"

    """
    from inventory.model import Governance

    if confirm or split or same_as is not None:
        others = [split, owner is not None, exempt_until is not None, decide is not None]
        if sum(others) + (confirm or same_as is not None) > 1:
            raise CommandError("--confirm, --same-as and --split are decisions of their own: give one of them alone")
        _decide_identity(context, ids, same_as, why, split=split)
        return
    if owner is None and exempt_until is None and decide is None:
        raise CommandError("say what to decide: --owner, --exempt-until, --decide, --confirm, --same-as or --split")
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


def _decide_identity(context: typer.Context, ids: list[str], same_as: str | None, why: str, *, split: bool) -> None:
    with workspace(context.obj) as here:
        identities, who = here.store.identities, here.settings.actor
        other = here.store.endpoints.get(same_as).id if same_as else None
        for given in ids:
            place = identities.named(given)
            one = identities.split(place, who=who, why=why) if split else (
                identities.confirm(place, other, who=who, why=why)
            )  # fmt: skip
            undo = f"gnomon triage {place[:8]} {'--confirm' if split else '--split'}"
            narrate(f"{one.url} is {one.id[:8]}{' again' if split else ''}; {undo} takes it back")


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
