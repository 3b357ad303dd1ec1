"""``policy``: policies as code. Checked and tested in files, kept as versions, tried as a candidate, then enforced."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands import policy_impact
from tui.commands.options import FormatOption, WhyOption
from tui.commands.policy_files import engine_of, read_text, version_of
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import Workspace, policy_loader, workspace

if TYPE_CHECKING:
    from inventory.model import Decision, PolicySet, PolicyState, Principal
    from router.policy import PolicyEngine

group = typer.Typer(name="policy", help="Who may call what: policies as code.", no_args_is_help=True)
REASON = "by command line"
VERSIONS = (
    Column("VERSION", "number", numeric=True),
    Column("ENGINE", "engine"),
    Column("COUNTS", "counts"),
    Column("AT", "at", rank=1),
    Column("WHO", "who", rank=1),
    Column("WHY", "why"),
)
OUTCOMES = (Column("CASE", "case"), Column("EXPECTED", "expected"), Column("DECIDED", "decided"), Column("WHY", "why"))
EXPLAINED = (
    Column("VERSION", "version"), Column("DECISION", "decision"), Column("BY", "by"), Column("BINDS", "binds"),
)  # fmt: skip
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", dir_okay=False, help="Policies: .cedar, .rego, or .opa with a decision's URL.")
]
SchemaOption = Annotated[
    Path | None,
    typer.Option("--schema", metavar="FILE", dir_okay=False, help="A Cedar schema instead of gnomon's own."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, explain, add, candidate, promote, rollback, show):
        group.command(command.__name__)(command)
    group.command("test")(try_cases)
    group.command("list")(versions)
    policy_impact.register(group)
    app.add_typer(group)


def check(file: FileArgument, schema: SchemaOption = None) -> None:
    """Read policies and check them: their language, and Cedar's types against the schema.

    Example: gnomon policy check access.cedar
    """
    from router.policy.effective import needs_request

    engine = engine_of(version_of(file, schema))
    mentions = engine.mentions()
    names = getattr(engine, "names", {})
    narrate(f"{file} can be used" + (f": {len(names)} polic{'y' if len(names) == 1 else 'ies'}" if names else ""))
    if mentions is None:
        narrate("what these policies look at is not known, so each caller is asked about by itself")
    for name in sorted(needs_request(mentions)):
        narrate(
            f"context.{name} is known of a request alone: only routes that ask for each (`gnomon access --ask`) decide"
        )


def try_cases(
    file: FileArgument,
    cases: Annotated[Path, typer.Argument(metavar="CASES", dir_okay=False, help="Cases in YAML.")],
    schema: SchemaOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Put the cases of a file to policies. The exit code is 1 where one is not answered as expected.

    docs/policies.md shows a file of cases.

    Example: gnomon policy test access.cedar cases.yaml
    """
    from router.policy.cases import read_cases, run_cases

    engine = engine_of(version_of(file, schema))
    outcomes = run_cases(engine, read_cases(read_text(cases)), datetime.now(UTC))
    failed = [one for one in outcomes if not one.passed]
    rows = [
        {
            "case": one.case.name,
            "expected": one.case.expect,
            "decided": _said(one.decision),
            "by": list(one.decision.policies) if form is Format.JSON else ", ".join(one.decision.policies),
            "why": one.why,
        }
        for one in (failed if form is Format.TABLE else outcomes)
    ]
    if rows or form is not Format.TABLE:
        write_rows(rows, OUTCOMES, form)
    narrate(f"{len(outcomes) - len(failed)} of {len(outcomes)} cases are as expected")
    if failed:
        raise typer.Exit(Exit.FAILED)


def explain(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="A caller's id; '' for anonymous ones.")],
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="A route's name.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Say which policy decides about a caller on a route, in the enforced and in the candidate version.

    Example: gnomon policy explain 'https://idp.example|ana' iris
    """
    from inventory.model import ANONYMOUS
    from router.policy import Question
    from router.policy.effective import binding, context_at, decide_one

    with workspace(context.obj) as here:
        caller = None if principal == ANONYMOUS else here.store.principals.get(principal)
        spec = _spec(here, route)
        state = here.store.policies.state()
        enforced, tried = (_stored(here, number) for number in (state.enforced, state.candidate))
    access = spec.access
    attributes = access.attributes if access else {}
    question = Question(principal, _known(caller), route, attributes, context_at(datetime.now(UTC)))
    binds = binding(principal, enforced, tried, state.percent)
    rows = []
    for name, number, engine in (("enforced", state.enforced, enforced), ("candidate", state.candidate, tried)):
        if number is None and name == "candidate":
            continue
        decision = decide_one(engine, question)
        rows.append(_explained(f"{name} {number or '(none)'}", decision, binds=engine is binds))
    if form is Format.JSON:
        write_json({"principal": principal, "attributes": _known(caller), "route": route, "decisions": rows})
        return
    write_rows(rows, EXPLAINED, form)
    for text in _texts(rows, enforced, tried):
        narrate(text)
    if access is None or not access.enforce:
        narrate(f"{route} enforces no policies: `gnomon access {route} --enforce` has it do so")


def _known(caller: "Principal | None") -> dict[str, Any]:
    return dict(caller.attributes) if caller is not None else {}


def _explained(version: str, decision: "Decision", *, binds: bool) -> dict[str, Any]:
    by = ", ".join(decision.policies) or ("; ".join(decision.errors) if decision.errors else "no policy spoke")
    return {"version": version, "decision": _said(decision), "by": by, "binds": "yes" if binds else "no"}


def _texts(rows: list[dict[str, Any]], *engines: "PolicyEngine | None") -> list[str]:
    """The policies that decided, as they are written."""
    named = {name for row in rows for name in str(row["by"]).split(", ")}
    known: dict[str, str] = {}
    for engine in engines:
        known |= getattr(engine, "texts", {})
    return [known[name] for name in sorted(named) if name in known]


def add(context: typer.Context, file: FileArgument, schema: SchemaOption = None, why: WhyOption = REASON) -> None:
    """Keep policies as a new version. Nobody is held to it before it is enforced.

    Example: gnomon policy add access.cedar --why 'risk may call churn'
    """
    version = version_of(file, schema)
    engine_of(version)
    with workspace(context.obj) as here:
        added = here.store.policies.add(
            version.engine, version.text, version.schema_text, who=here.settings.actor, why=why
        )
    narrate(f"version {added.number} is kept: `gnomon policy candidate {added.number}` tries it on live traffic")


def versions(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List the versions of the policies, and which count.

    Example: gnomon policy list
    """
    with workspace(context.obj) as here:
        state = here.store.policies.state()
        rows = [
            {
                "number": one.number,
                "engine": one.engine,
                "counts": _counts(one.number, state),
                "at": f"{one.at:%Y-%m-%d %H:%M}" if form is Format.TABLE else one.at.isoformat(),
                "who": one.who,
                "why": one.why,
            }
            for one in here.store.policies.list()
        ]
    write_rows(rows, VERSIONS, form)


def _counts(number: int, state: "PolicyState") -> str:
    if number == state.enforced:
        return "enforced"
    if number == state.candidate:
        return f"candidate, binds {state.percent} %" if state.percent else "candidate"
    return ""


def show(
    context: typer.Context,
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", help="The enforced version where none is named.")
    ] = None,
) -> None:
    """Write the text of a version to stdout.

    Example: gnomon policy show 2 > access.cedar
    """
    with workspace(context.obj) as here:
        wanted = number if number is not None else here.store.policies.state().enforced
        if wanted is None:
            raise CommandError("no version is enforced: name one, as `gnomon policy list` shows them")
        write_text(_stored_version(here, wanted).text.rstrip("\n"))


def candidate(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="A version; 0 for no candidate.")],
    why: WhyOption = REASON,
) -> None:
    """Evaluate a version beside the enforced one, on the same traffic. It refuses nobody.

    Example: gnomon policy candidate 3
    """
    with workspace(context.obj) as here:
        state = here.store.policies.state()
        if number:
            engine_of(_stored_version(here, number))
        _move(here, state, state.model_copy(update={"candidate": number or None, "percent": 0}), why)
    narrate(
        f"version {number} is the candidate: `gnomon policy impact` shows whom it would deny"
        if number
        else "there is no candidate any more"
    )


def promote(
    context: typer.Context,
    percent: Annotated[int, typer.Option(min=1, max=100, help="Of the callers; the same ones stay held.")] = 100,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="IDENTITY", help="A caller whose denial you answer for; * is a wildcard. Repeatable."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Enforce it though the evidence is against it.")] = False,
    why: WhyOption = REASON,
) -> None:
    """Hold callers to the candidate, a share at a time; at 100 percent it is the enforced version.

    Refused, with the reasons, while the record does not show that nobody breaks; `gnomon policy rollback` is the way
    back.

    Examples:
      gnomon policy promote --percent 10

      gnomon policy promote --accept 'https://idp.example|old-job'

    """
    from datetime import timedelta

    from inventory.model import utc_now
    from router.audit.evidence import DAYS, against, evidence
    from router.policy.effective import promoted

    now = utc_now()
    with workspace(context.obj) as here:
        state = here.store.policies.state()
        try:
            after = promoted(state, percent)
        except ValueError as error:
            raise CommandError(str(error)) from error
        found = evidence(here.store, policy_loader(), now, timedelta(days=DAYS))
        reasons = against(found, now, accept or [])
        for reason in reasons:
            narrate(f"{'against it' if force else 'not to be enforced yet'}: {reason}")
        if reasons and not force:
            raise typer.Exit(Exit.REFUSED)
        _move(here, state, after, why)
    narrate(
        f"version {after.enforced} is enforced"
        if percent == 100
        else f"{percent} % of the callers are held to version {after.candidate}"
    )


def rollback(context: typer.Context, why: WhyOption = "rolled back by command line") -> None:
    """Go back to what counted before, at once.

    Example: gnomon policy rollback
    """
    from router.policy.effective import before

    with workspace(context.obj) as here:
        states = here.store.policies.states()
        earlier = before(states)
        if earlier is None:
            raise CommandError("nothing counted before: there is nothing to go back to")
        _move(here, states[0], earlier.model_copy(update={"version": states[0].version}), why)
    held = f"version {earlier.enforced} is enforced" if earlier.enforced else "no version is enforced"
    tried = f", version {earlier.candidate} is the candidate" if earlier.candidate else ""
    narrate(held + tried + (f" and binds {earlier.percent} % of the callers" if earlier.percent else ""))


def _move(here: Workspace, state: "PolicyState", after: "PolicyState", why: str) -> None:
    if here.store.policies.move(state, after, who=here.settings.actor, why=why) is None:
        raise CommandError("somebody else decided at the same moment: look again by `gnomon policy list`")


def _stored_version(here: Workspace, number: int) -> "PolicySet":
    found = here.store.policies.get(number)
    if found is None:
        raise CommandError(f"there is no version {number} of the policies: `gnomon policy list` lists them")
    return found


def _stored(here: Workspace, number: int | None) -> "PolicyEngine | None":
    return None if number is None else policy_loader()(_stored_version(here, number))


def _spec(here: Workspace, route: str) -> Any:
    from tui.commands.routes import existing, spec_of

    return spec_of(existing(here, route))


def _said(decision: "Decision") -> str:
    return "allow" if decision.allowed else "deny"
