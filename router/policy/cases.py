"""Pure: test cases of policies, from YAML, and what became of them. A case says who, where and what to expect."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from inventory.model import Attribute, Decision, Value
from router.policy import PolicyEngine, Question
from router.policy.errors import PolicyError

_KEYS = {"cases"}


class Case(Value):
    """One question and what it is to be answered. ``by`` are ids of policies that must be among those that decide."""

    name: str = Field(min_length=1)
    principal: str = ""
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    route: str = Field(min_length=1)
    resource: dict[str, Attribute] = Field(default_factory=dict)
    context: dict[str, str | int | bool] = Field(default_factory=dict)
    expect: Literal["allow", "deny"]
    by: tuple[str, ...] = ()


class Outcome(Value):
    """What a case was answered. ``why`` is empty where it is as expected."""

    case: Case
    decision: Decision
    why: str = ""


def parse(text: str, source: str) -> tuple[Case, ...]:
    """The cases of a document. PolicyError, with the source and the case, for one that cannot be read."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: {getattr(error, 'problem', error)}" if mark is not None else str(error)
        raise PolicyError(f"{source} is not YAML: {' '.join(where.split())}") from error
    if not isinstance(document, dict) or set(document) != _KEYS or not isinstance(document["cases"], list):
        raise PolicyError(f"{source} holds no list named cases")
    cases = []
    for number, entry in enumerate(document["cases"], 1):
        named = {"name": f"case {number}", **entry} if isinstance(entry, Mapping) else entry
        try:
            cases.append(Case.model_validate(named))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise PolicyError(f"{source}: case {number}: {f'{where}: ' if where else ''}{problem['msg']}") from error
    return tuple(cases)


def run(engine: PolicyEngine, cases: Sequence[Case], now: Mapping[str, Any]) -> tuple[Outcome, ...]:
    """What each case is answered. ``now`` is what of the context a case does not say itself: the time."""
    questions = [
        Question(one.principal, one.attributes, one.route, one.resource, {**now, **one.context}) for one in cases
    ]
    decisions = engine.decide(questions)
    return tuple(
        Outcome(case=case, decision=decision, why=_against(case, decision))
        for case, decision in zip(cases, decisions, strict=True)
    )


def _against(case: Case, decision: Decision) -> str:
    if decision.errors:
        return f"it could not be evaluated: {decision.errors[0]}"
    if decision.allowed != (case.expect == "allow"):
        by = f" by {', '.join(decision.policies)}" if decision.policies else " as no policy spoke"
        return f"it was {'allowed' if decision.allowed else 'denied'}{by}"
    missing = sorted(set(case.by) - set(decision.policies))
    return f"{', '.join(missing)} did not decide, but {', '.join(decision.policies) or 'none'} did" if missing else ""
