"""``access``: what the callers of a route are held to."""

from typing import TYPE_CHECKING, Annotated

import typer

from tui.commands.moves import DryRunOption, WaitOption, change
from tui.commands.options import WhyOption
from tui.commands.routes import NameArgument, existing, spec_of
from tui.exits import CommandError
from tui.output import narrate, write_text
from tui.wiring import workspace

if TYPE_CHECKING:
    from inventory.model import Access, RouteSpec

REASON = "by command line"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("access")(access)


EnforceOption = Annotated[
    bool | None,
    typer.Option("--enforce/--observe", help="Enforce policies here, or only evaluate and record them."),
]
AttributeOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="What policies know of the route; again for more.")
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(metavar="BY=N/TIME", help="A limit, like principal=60/1m, team=1000/1h, route=50/1s,shared."),
]
CandidateLimitOption = Annotated[
    list[str] | None, typer.Option(metavar="BY=N/TIME", help="A limit that is counted and refuses nobody.")
]
AskOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="never; open or closed: ask for each request, and let it pass or not where none answers.",
    ),
]
RecordedOption = Annotated[
    bool | None,
    typer.Option("--recorded/--unrecorded", help="Refuse a call that cannot be recorded, or let it pass."),
]


def access(
    context: typer.Context,
    name: NameArgument,
    enforce: EnforceOption = None,
    off: Annotated[bool, typer.Option("--off", help="Hold callers to nothing, and record nothing.")] = False,
    attribute: AttributeOption = None,
    limit: LimitOption = None,
    candidate_limit: CandidateLimitOption = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Drop the limits that there are.")] = False,
    ask: AskOption = None,
    recorded: RecordedOption = None,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Say what the callers of a route are held to; without options, show it.

    With any option the route's calls are recorded (`gnomon audit`). Start by --observe: policies and candidate limits
    are evaluated on live traffic, and nobody is refused. Each gateway counts an equal part of a limit by itself; of a
    shared limit all gateways that joined count together, which costs a question for each request.

    Examples:
      gnomon access iris --observe --attribute department=research --candidate-limit principal=60/1m

      gnomon access iris --enforce --limit principal=60/1m

      gnomon access iris --limit team=1000/1h,shared

      gnomon access iris --off

    """
    from router import desired

    with workspace(context.obj) as here:
        spec = spec_of(existing(here, name))
        if off:
            change(here, desired.hold(spec, None), why, wait, dry_run=dry_run)
            return
        told = _told(spec, attribute or (), limit or (), candidate_limit or (), drop=no_limits)
        told |= {
            key: value
            for key, value in (("enforce", enforce), ("ask", ask), ("recorded", recorded))
            if value is not None
        }
        if not told:
            write_text(describe(spec.access))
            return
        if told.get("enforce") and here.store.policies.state().enforced is None:
            narrate("no version of the policies is enforced, so everybody may call: `gnomon policy promote` changes it")
        change(here, desired.hold(spec, told), why, wait, dry_run=dry_run)


def _told(
    spec: "RouteSpec", attributes: "list[str] | tuple[()]", limits: "list[str] | tuple[()]",
    candidates: "list[str] | tuple[()]", *, drop: bool,
) -> dict[str, object]:  # fmt: skip
    from router.desired import limited, parse_limit

    told: dict[str, object] = {}
    if attributes:
        known = dict(spec.access.attributes) if spec.access else {}
        for word in attributes:
            key, equals, value = word.partition("=")
            if not (key and equals):
                raise CommandError(f"{word!r} is not NAME=VALUE")
            if value:
                known[key] = tuple(value.split(",")) if "," in value else value
            else:
                known.pop(key, None)
        told["attributes"] = known
    more = [parse_limit(text, candidate=False) for text in limits]
    more += [parse_limit(text, candidate=True) for text in candidates]
    if more or drop:
        before = spec.access.limits if spec.access and not drop else ()
        told["limits"] = limited(before, more)
    return told


def describe(access: "Access | None") -> str:
    """What callers are held to, in lines."""
    if access is None:
        return "callers are held to nothing, and calls are not recorded"
    lines = ["policies are enforced" if access.enforce else "policies are evaluated and recorded, and refuse nobody"]
    lines += [
        f"{name} = {value if isinstance(value, str) else ', '.join(value)}" for name, value in access.attributes.items()
    ]
    lines += [
        f"{limit.requests} requests in {limit.seconds} s by {limit.by}"
        f"{', over all gateways' if limit.shared else ''}{', as a candidate' if limit.candidate else ''}"
        for limit in access.limits
    ]
    if access.ask != "never":
        lines.append(
            f"each request is asked for; where nobody answers, it {'passes' if access.ask == 'open' else 'is refused'}"
        )
    if access.recorded:
        lines.append("a call that cannot be recorded is refused")
    return "\n".join(lines)
