"""``policy``: policies as code, from a file that is checked and tested to the version that is enforced.

These commands write what is desired; `gnomon serve` has the gateways enforce it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui.commands.options import FormatOption, WhyOption
from tui.exits import CommandError, Exit
from tui.output import Column, Format, narrate, write_json, write_rows, write_text
from tui.wiring import Workspace, workspace

if TYPE_CHECKING:
    from inventory.model import PolicySet, PolicyState
    from router.policy import PolicyEngine, Question

REASON = "by command line"
FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", dir_okay=False, help="Policies: .cedar, .rego, or .opa with the URL of a decision."),
]
SchemaOption = Annotated[
    Path | None, typer.Option("--schema", metavar="FILE", dir_okay=False, help="A Cedar schema instead of gnomon's.")
]
NumberArgument = Annotated[int, typer.Argument(metavar="N", min=1, help="A version; `gnomon policy list` has them.")]
VERSIONS = (
    Column("N", "number", numeric=True),
    Column("ENGINE", "engine"),
    Column("STATE", "state"),
    Column("AT", "at", rank=1),
    Column("WHO", "who"),
    Column("WHY", "why"),
)
FAILURES = (
    Column("CASE", "case"),
    Column("EXPECTED", "expected"),
    Column("DECIDED", "decided"),
    Column("BY", "by"),
    Column("ERRORS", "errors"),
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Policies as code: who may call what, tried first.")
    commands = (check, explain, add, candidate, promote, rollback, show)
    for command in commands:
        group.command(command.__name__)(command)
    group.command("test")(try_cases)
    group.command("list")(list_)
    app.add_typer(group, name="policy")


def check(file: FileArgument, schema: SchemaOption = None) -> None:
    """Check the syntax and the types of a file of policies. Nothing is stored.

    Examples:
      gnomon policy check policies.cedar

      gnomon policy check policies.cedar --schema own.cedarschema

    """
    version = _read(file, schema)
    engine = _load(version)
    for warning in _warnings(engine):
        narrate(f"{file}: {warning}")
    narrate(f"{file}: {version.engine}, no problem found")


def try_cases(
    file: FileArgument,
    cases: Annotated[Path, typer.Argument(metavar="CASES", dir_okay=False, help="Cases, in YAML.")],
    schema: SchemaOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Put cases to a file of policies; exits 1 where one is not decided as expected, and lists those.

    Example: gnomon policy test policies.cedar cases.yaml
    """
    from inventory.model import utc_now
    from router.policy.cases import read_cases, run_cases

    outcomes = run_cases(_load(_read(file, schema)), read_cases(_text(cases)), utc_now())
    failures = [
        {
            "case": one.case.name,
            "expected": one.case.expect + (f" by {', '.join(one.case.by)}" if one.case.by is not None else ""),
            "decided": _verdict(one.decision.allowed),
            "by": ", ".join(one.decision.policies),
            "errors": "; ".join(one.decision.errors),
        }
        for one in outcomes
        if not one.passed
    ]
    write_rows(failures, FAILURES, form)
    said = f"{len(outcomes) - len(failures)} of {len(outcomes)} cases are decided as expected"
    if failures:
        raise CommandError(said, Exit.FAILED)
    narrate(said)


def explain(
    context: typer.Context,
    principal: Annotated[str, typer.Argument(metavar="PRINCIPAL", help="A caller's id; '' is whoever says none.")],
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.")],
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", metavar="NAME=VALUE", help="Of the caller; again for several values."),
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say what both versions decide for a caller on a route, by which policies, and which of them binds the caller.

    The time is now, and nothing else is known of the request.

    Example: gnomon policy explain "https://login.example|ana" iris --attribute department=fraud
    """
    from router.policy.cohort import cohort

    with workspace(context.obj) as here:
        state = here.store.policies.state()
        question = _question(here, principal, route, attribute or [])
        answers = [
            _explained(here, role, number, question)
            for role, number in (("enforced", state.enforced), ("candidate", state.candidate))
            if number is not None
        ]
        binding = _binding(state, principal)
    if form is not Format.TABLE:
        write_json({"principal": principal, "route": route, "bound_by": binding, "versions": answers})
        return
    held = f"cohort {cohort(principal)} of 100, {state.percent} % are held to the candidate"
    write_text(f"{principal or 'a caller who says no name'} on {route}: bound by {binding} ({held})")
    for answer in answers:
        write_text("\n".join(_lines(answer)))


def add(context: typer.Context, file: FileArgument, schema: SchemaOption = None, why: WhyOption = REASON) -> None:
    """Store a file of policies as a new version, once it is checked. It binds nobody until it is promoted.

    Example: gnomon policy add policies.cedar --why "fraud may use iris"
    """
    version = _read(file, schema)
    for warning in _warnings(_load(version)):
        narrate(f"{file}: {warning}")
    with workspace(context.obj) as here:
        text, schema_text = version.text, version.schema_text
        added = here.store.policies.add(version.engine, text, schema_text, who=here.settings.actor, why=why)
    narrate(f"{file} is version {added.number}: `gnomon policy candidate {added.number}` tries it")


def list_(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List every version of the policies, newest first, and which are enforced or tried."""
    with workspace(context.obj) as here:
        state = here.store.policies.state()
        rows = [
            {
                "number": one.number,
                "engine": one.engine,
                "state": _role(state, one.number),
                "at": f"{one.at:%Y-%m-%d %H:%M}",
                "who": one.who,
                "why": one.why,
            }
            for one in here.store.policies.list()
        ]
    write_rows(rows, VERSIONS, form)


def show(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[N]", min=1, help="The latest, by default.")] = None,
) -> None:
    """Write the text of a version, as it was added."""
    with workspace(context.obj) as here:
        versions = here.store.policies.list()
        if number is None and not versions:
            raise CommandError("there are no policies yet: `gnomon policy add FILE` adds some")
        write_text((versions[0] if number is None else _version(here, number)).text)


def candidate(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="The version to try; 0 ends the trial.")],
    why: WhyOption = REASON,
) -> None:
    """Evaluate a version beside the enforced one, on the same traffic. It changes no answer.

    Example: gnomon policy candidate 4 --why "what would break?"
    """
    from router.policy import moves

    with workspace(context.obj) as here:
        if number:
            _load(_version(here, number))
        before = here.store.policies.state()
        _move(here, before, moves.candidate(before, number or None), why)


def promote(
    context: typer.Context,
    percent: Annotated[
        int, typer.Option(metavar="PERCENT", min=0, max=100, help="So many of the callers; 100 makes it the enforced.")
    ] = 100,
    why: WhyOption = REASON,
) -> None:
    """Hold callers to the candidate: a share of them, always the same ones, or all.

    Examples:
      gnomon policy promote --percent 10

      gnomon policy promote --why "no caller breaks"

    """
    from router.policy import moves

    with workspace(context.obj) as here:
        before = here.store.policies.state()
        _move(here, before, moves.promote(before, percent), why)


def rollback(context: typer.Context, why: WhyOption = "rolled back by command line") -> None:
    """Go back to what counted before the latest change. Doing it twice undoes it."""
    from inventory.model import PolicyState
    from router.policy import moves

    with workspace(context.obj) as here:
        past = here.store.policies.states(2)
        before = past[0] if past else PolicyState()
        earlier = past[1] if len(past) > 1 else PolicyState() if past else None
        _move(here, before, moves.rollback(before, earlier), why)


def _move(here: Workspace, before: "PolicyState", after: "PolicyState", why: str) -> None:
    moved = here.store.policies.move(before, after, who=here.settings.actor, why=why)
    if moved is None:
        raise CommandError("somebody else decided on the policies at the same time: try again", Exit.FAILED)
    enforced = f"version {moved.enforced} is enforced" if moved.enforced else "no version is enforced"
    tried = f", version {moved.candidate} is tried, {moved.percent} % of callers are held to it"
    narrate(enforced + (tried if moved.candidate else ""))


def _read(file: Path, schema: Path | None) -> "PolicySet":
    """A file as a version that is not stored."""
    from inventory.model import PolicySet, utc_now

    engine = file.suffix.removeprefix(".")
    if engine not in {"cedar", "rego", "opa"}:
        raise CommandError(f"what language is {file}? Its name should end in .cedar, .rego or .opa")
    text, schema_text = _text(file), _text(schema) if schema else ""
    fields = {"engine": engine, "text": text, "schema_text": schema_text}
    return PolicySet.model_validate({"number": 1, "at": utc_now(), "who": "nobody", "why": "", **fields})


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error


def _load(version: "PolicySet") -> "PolicyEngine":
    from router.policy.engines import PolicyError, load

    try:
        return load(version)
    except PolicyError as error:
        for problem in error.problems[1:]:
            narrate(problem)
        raise


def _warnings(engine: "PolicyEngine") -> Iterator[str]:
    from router.policy.effective import request_parts

    mentions = engine.mentions()
    if mentions is None:
        yield "what these policies look at cannot be told: only routes that ask per request can follow them for sure"
    for part in request_parts(mentions):
        yield f"depends on {part}: only routes that ask per request can decide this"


def _version(here: Workspace, number: int) -> "PolicySet":
    found = here.store.policies.get(number)
    if found is None:
        raise CommandError(f"there is no version {number} of the policies: `gnomon policy list` lists them")
    return found


def _role(state: "PolicyState", number: int) -> str:
    if number == state.enforced:
        return "enforced"
    return f"candidate, {state.percent} %" if number == state.candidate else ""


def _binding(state: "PolicyState", principal: str) -> str:
    from router.policy.effective import held

    tried = state.candidate is not None and held(principal, state.percent)
    number = state.candidate if tried else state.enforced
    return f"version {number}" if number is not None else "nothing: no version is enforced"


def _question(here: Workspace, principal: str, route: str, given: list[str]) -> "Question":
    from inventory.model import utc_now
    from router.policy import Question
    from router.policy.matrix import at_time

    revision = here.store.routes.get(route)
    if revision is None or revision.spec is None:
        raise CommandError(f"there is no route {route!r}: `gnomon routes` lists them")
    access = revision.spec.access
    attributes: dict[str, Any] = {}
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise CommandError(f"not an attribute: {pair!r}; write NAME=VALUE")
        attributes[name] = (*attributes.get(name, ()), value)
    attributes = {name: values[0] if len(values) == 1 else values for name, values in attributes.items()}
    described = access.attributes if access else {}
    return Question(principal, attributes, route, described, at_time(utc_now()))


def _explained(here: Workspace, role: str, number: int, question: "Question") -> dict[str, Any]:
    version = _version(here, number)
    engine = _load(version)
    decision = engine.decide([question])[0]
    texts: dict[str, str] = getattr(engine, "texts", {})
    return {
        "role": role,
        "version": number,
        "allowed": decision.allowed,
        "policies": [{"id": one, "text": texts.get(one, "")} for one in decision.policies],
        "errors": list(decision.errors),
    }


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield f"{answer['role']}, version {answer['version']}: {_verdict(answer['allowed'])}"
    if not answer["policies"] and not answer["errors"]:
        yield "  no policy allows it"
    for policy in answer["policies"]:
        yield f"  by {policy['id']}"
        yield from (f"    {line}" for line in policy["text"].splitlines())
    for error in answer["errors"]:
        yield f"  error: {error}"


def _verdict(allowed: bool) -> str:
    return "allow" if allowed else "deny"
