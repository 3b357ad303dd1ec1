"""``shadow``: copies of live requests to another backend, how their answers are compared, and replays offline."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from router.errors import RouteError
from tui.commands.moves import DryRunOption, WaitOption, change, converge
from tui.commands.options import FormatOption, WhyOption
from tui.commands.routes import NameArgument, existing, spec_of
from tui.exits import CommandError, Exit
from tui.output import Format, narrate, progress, write_rows, write_text
from tui.wiring import Workspace, switch_off_shadow, workspace

if TYPE_CHECKING:
    from inventory.model import Revision, RouteSpec, ShadowEvidence

REASON = "by command line"
BASELINE_PERCENT = 100.0
LEARN_SECONDS = 600.0
SHOWN_METHODS = 5
_LOOK_EVERY = 0.25


class ShadowGroup(TyperGroup):
    """``gnomon shadow NAME`` is ``gnomon shadow set NAME``: the first word is a command only where there is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in front of a route's name."""
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["set", *args]
        return super().parse_args(ctx, args)


shadow = typer.Typer(
    cls=ShadowGroup,
    no_args_is_help=True,
    help="Copy live requests to another backend, and compare the answers.",
    epilog="`gnomon shadow NAME --percent 10` is `gnomon shadow set NAME --percent 10`.",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    shadow.command("set")(set_shadow)
    shadow.command("replay")(replay)
    app.add_typer(shadow, name="shadow")


PercentOption = Annotated[
    float | None, typer.Option(min=0, max=100, help="Of the live requests; 0 turns it off, at once.")
]
PathOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATH", help="A path without side effects, * for a segment; may be given again."),
]
MethodOption = Annotated[
    list[str] | None, typer.Option(metavar="METHOD", help="A method without side effects; may be given again.")
]
RulesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Compare by the rules in this YAML file.")
]
DescriptorOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Compare gRPC by its messages, which this descriptor set names."),
]
NoDescriptorOption = Annotated[
    bool, typer.Option("--no-descriptor", help="Compare gRPC by status and size, as without a descriptor.")
]
LearnOption = Annotated[
    bool, typer.Option("--learn", help="Compare the primary with itself, and make rules of what differs.")
]
KeepOption = Annotated[
    int | None, typer.Option(min=0, max=10_000, help="Keep so many requests with answers for replays; 0 for none.")
]
RedactOption = Annotated[
    list[str] | None, typer.Option(metavar="PATH", help="For --keep: a JSON path that is never written down.")
]


def set_shadow(
    context: typer.Context,
    name: NameArgument,
    percent: PercentOption = None,
    to: Annotated[str | None, typer.Option(metavar="BACKEND", help="The backend that gets the copies.")] = None,
    off: Annotated[bool, typer.Option("--off", help="No more copies, within milliseconds.")] = False,
    path: PathOption = None,
    method: MethodOption = None,
    max_rate: Annotated[float | None, typer.Option(metavar="N", help="Budget: requests a second.")] = None,
    max_bytes: Annotated[float | None, typer.Option(metavar="N", help="Budget: bytes a second.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(metavar="N", help="Budget: copies under way at once.")] = None,
    rules: RulesOption = None,
    show_rules: Annotated[bool, typer.Option("--show-rules", help="Write the rules to stdout, to be edited.")] = False,
    descriptor: DescriptorOption = None,
    no_descriptor: NoDescriptorOption = False,
    learn: LearnOption = False,
    pairs: Annotated[int, typer.Option(min=10, help="For --learn: how many pairs to look at.")] = 200,
    keep: KeepOption = None,
    keep_days: Annotated[float, typer.Option(min=0.01, max=90, help="For --keep: days until they are deleted.")] = 7.0,
    redact: RedactOption = None,
    why: WhyOption = REASON,
    wait: WaitOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Copy live requests to another backend, and compare.

    The copies' answers reach no caller; `gnomon route NAME --disagreements` shows where they differ. A shadow that
    exceeds its budget is switched off.

    Examples:
      gnomon shadow iris --to replacement --percent 10

      gnomon shadow iris --learn

      gnomon shadow iris --show-rules > rules.yaml

      gnomon shadow iris --rules rules.yaml

      protoc --include_imports --descriptor_set_out=iris.pb iris.proto && gnomon shadow iris --descriptor iris.pb

    """
    with workspace(context.obj) as here:
        spec = spec_of(existing(here, name))
        if show_rules:
            from router.shadow.rules_file import write_rules

            write_text(write_rules(spec.comparison))
        elif off or percent == 0:
            _off(here, spec, why, wait, dry_run=dry_run)
        elif learn:
            _learn(here, spec, pairs, percent or BASELINE_PERCENT)
        else:
            told = _told(path, method, max_rate, max_bytes, max_in_flight, spec)
            others = rules is not None or keep is not None or descriptor is not None or no_descriptor
            spec = spec if keep is None else _keeping(spec, keep, keep_days, redact)
            if to is not None or percent is not None or told or not others:
                spec = _edited(here, spec, to, percent, told)
            spec = _compared(spec, rules, descriptor, no_descriptor=no_descriptor)
            change(here, spec, why, wait, dry_run=dry_run)


def declared_paths(here: Workspace, spec: "RouteSpec") -> tuple[str, ...]:
    """The paths of a route's endpoint that run a model and nothing else, as far as the inventory knows."""
    from router.desired import declared

    if spec.endpoint is None:
        return ()
    try:
        paths = declared(here.store.endpoints.get(spec.endpoint))
    except LookupError:
        return ()
    if paths:
        narrate(f"only requests for {', '.join(paths)} are copied: these are known to run the model and nothing else")
    return paths


def _told(
    path: list[str] | None,
    method: list[str] | None,
    max_rate: float | None,
    max_bytes: float | None,
    max_in_flight: int | None,
    spec: "RouteSpec",
) -> dict[str, object]:
    """What the options say about a shadow, beside its share."""
    budget = {"requests_per_second": max_rate, "bytes_per_second": max_bytes, "in_flight": max_in_flight}
    given = {key: value for key, value in budget.items() if value is not None}
    told: dict[str, object] = {}
    if path:
        told["paths"] = tuple(path)
    if method:
        told["methods"] = tuple(one.upper() for one in method)
    if given:
        before = spec.shadow.budget.model_dump() if spec.shadow else {}
        told["budget"] = before | given
    return told


def _compared(spec: "RouteSpec", rules: Path | None, descriptor: Path | None, *, no_descriptor: bool) -> "RouteSpec":
    """The route with other rules or another descriptor, which has to describe what is copied by now."""
    if rules is not None:
        spec = _ruled(spec, rules)
    if descriptor is not None or no_descriptor:
        spec = _described(spec, None if no_descriptor else descriptor)
    return spec


def _ruled(spec: "RouteSpec", rules: Path) -> "RouteSpec":
    from router.shadow.rules_file import read_rules

    try:
        text = rules.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the rules in {rules} cannot be read: {error}") from error
    return spec.model_copy(update={"comparison": read_rules(text)})


def _described(spec: "RouteSpec", file: Path | None) -> "RouteSpec":
    """The route with the descriptor in this file; without one where there is none."""
    from router.shadow.descriptor import MOST_BYTES, pack, unpack

    if file is None:
        return spec.model_copy(update={"descriptor": ""})
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        text = pack(raw)
    except OSError as error:
        raise CommandError(f"the descriptor set in {file} cannot be read: {error.strerror}") from error
    except RouteError as error:
        raise CommandError(f"{file}: {error}") from error
    described = unpack(text)
    paths = spec.shadow.paths if spec.shadow else ()
    unknown = described.undescribed(paths)
    if unknown:
        known = ", ".join(list(described.methods)[:SHOWN_METHODS])
        if len(unknown) == len(paths):
            raise CommandError(f"{file} describes no method that is copied, {unknown[0]} say, but {known}")
        narrate(f"answers of {', '.join(unknown)} are compared by status and size: {file} describes {known}")
    return spec.model_copy(update={"descriptor": text})


def _keeping(spec: "RouteSpec", count: int, days: float, redact: list[str] | None) -> "RouteSpec":
    from inventory.model import Comparison, Samples
    from router.shadow.rules import compile_rules

    if count == 0:
        return spec.model_copy(update={"samples": None})
    compile_rules(Comparison(ignore=tuple(redact or ())))
    return spec.model_copy(update={"samples": Samples(count=count, days=days, redact=tuple(redact or ()))})


def replay(
    context: typer.Context,
    name: NameArgument,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Where the candidate answers.")],
    allow_public: Annotated[
        bool, typer.Option("--allow-public", help="The candidate may be at an address that is not private.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Send the kept requests of a route to another candidate, and compare.

    The gateway and its live traffic are not touched. `gnomon shadow NAME --keep 500` has requests kept.

    Example: gnomon shadow replay iris --to http://10.0.0.9:8000
    """
    from router.gateways import samples_folder
    from router.shadow.replay import is_public, send_all
    from router.shadow.samples import load
    from tui.disagreements import lines_of, rows_of

    with workspace(context.obj) as here:
        spec = spec_of(existing(here, name))
    samples = load(samples_folder(here.settings.state_folder), name)
    if not samples:
        raise CommandError(
            f"no request of {name} is kept on this machine: `gnomon shadow {name} --keep 500` has some kept while it "
            "is shadowed"
        )
    if is_public(to) and not allow_public:
        raise CommandError(f"{to} is at a public address: --allow-public sends the kept requests there", Exit.REFUSED)
    with progress(f"replaying {len(samples)} requests") as report:
        seen = send_all(samples, spec, to, report=lambda done: report(done, len(samples), "answered"))
    if seen is None:
        raise CommandError("no request could be replayed", Exit.FAILED)
    if form is not Format.TABLE:
        write_rows(rows_of(seen), (), form)
        return
    bound = f"at least {seen.lower_bound:.1%} with 95 % confidence" if seen.lower_bound is not None else "no bound"
    write_text(
        f"{seen.agreed} of {seen.compared} answers agree ({bound}), {seen.incomparable} incomparable, "
        f"{seen.new_errors} failed; median {seen.shadow_p50 or 0:.1f} ms, and {seen.primary_p50 or 0:.1f} ms when kept"
    )
    write_text("\n".join(lines_of(seen)))


def _edited(
    here: Workspace,
    spec: "RouteSpec",
    to: str | None,
    percent: float | None,
    told: dict[str, object],
) -> "RouteSpec":
    from router import desired

    share = percent if percent is not None else spec.shadow.percent if spec.shadow else None
    if share is None:
        raise CommandError("say how many of the live requests are copied with --percent, or see --help")
    backend = to or (spec.shadow.backend if spec.shadow else None)
    if backend is None:
        names = ", ".join(b.name for b in spec.backends if b.weight < 100) or "none: it has one backend"
        raise CommandError(f"say where the copies go with --to; the backends that can shadow: {names}")
    if spec.shadow is None and "paths" not in told:
        told = {**told, "paths": declared_paths(here, spec)}
    return desired.shadow(spec, backend, share, told)


def _off(here: Workspace, spec: "RouteSpec", why: str, wait: float | None, *, dry_run: bool) -> None:
    """Off on record, then at once at the gateway of this machine, then as every gateway acknowledges it."""
    after = spec.model_copy(update={"shadow": None})
    if dry_run:
        change(here, after, why, wait, dry_run=True)
        return
    revision = here.store.routes.put(after, who=here.settings.actor, why=why)
    if switch_off_shadow(here.settings, spec.name):
        narrate(f"the gateway of this machine copies no more requests of {spec.name}")
    converge(here, revision, wait)


def _learn(here: Workspace, spec: "RouteSpec", pairs: int, percent: float) -> None:
    """Compare the primary with itself for a while, make rules of what differs, and put the shadow back."""
    from router import desired
    from router.shadow.learn import learn

    baseline = desired.baseline(spec, percent)
    who, why = here.settings.actor, "the primary is compared with itself, to learn what differs by chance"
    learning = here.store.routes.put(baseline, who=who, why=why)
    comparison = spec.comparison
    reasons: tuple[str, ...] = ("nothing was learnt",)
    try:
        converge(here, learning, None)
        seen = _baseline(here, learning, spec.primary.name, pairs)
        comparison, reasons = learn(seen, spec.comparison)
        narrate(f"{seen.agreed} of {seen.compared} pairs of {spec.primary.name} with itself agree")
    finally:
        # Whatever happened, the shadow is put back as it was, unless somebody changed the route meanwhile.
        latest = here.store.routes.get(spec.name)
        if latest is not None and latest.number == learning.number:
            after = spec.model_copy(update={"comparison": comparison})
            here.store.routes.put(after, who=who, why=f"learnt from {spec.primary.name}: {'; '.join(reasons)}"[:2000])
    write_text("\n".join(reasons) or "nothing differs by chance: no rule is needed")
    converge(here, existing(here, spec.name), None)


def _baseline(here: Workspace, learning: "Revision", primary: str, pairs: int) -> "ShadowEvidence":
    from router.shadow.span import since

    def row() -> "ShadowEvidence | None":
        rows = here.store.shadow.of(learning.route)
        return next((one for one in rows if one.primary == one.shadow == primary), None)

    before, deadline = row(), time.monotonic() + LEARN_SECONDS
    with progress(f"comparing {primary} with itself") as report:
        while True:
            seen = since(before, row())
            compared = seen.compared if seen else 0
            report(min(compared, pairs), pairs, f"{compared} pairs")
            if seen is not None and compared >= pairs:
                return seen
            if time.monotonic() > deadline:
                raise CommandError(
                    f"only {compared} of {pairs} pairs came in {LEARN_SECONDS:.0f} s: send more requests to "
                    f"{learning.route}, or ask for fewer with --pairs",
                    Exit.INCOMPLETE,
                )
            time.sleep(_LOOK_EVERY)
