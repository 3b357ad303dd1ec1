"""Pure: cases that a policy set must decide as written, as YAML for a repository and its CI."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, ValidationError

from inventory.model import ANONYMOUS, Attribute, Decision
from inventory.model.base import Value
from inventory.model.governance import AttributeName
from router.policy import PolicyEngine, Question
from router.policy.effective import context_at
from router.policy.errors import PolicyError

_LONGEST = 10_000_000


class Side(Value):
    """A caller or a route of a case: its id and its attributes."""

    id: str = ANONYMOUS
    attributes: dict[AttributeName, Attribute] = Field(default_factory=dict)


class Case(Value):
    """A question and what is expected: ``by``, where it is given, are the ids of exactly the policies that decide."""

    name: str = Field(min_length=1)
    principal: Side = Side()
    route: Side
    context: dict[str, bool | int | str] = Field(default_factory=dict)
    expect: Literal["allow", "deny"]
    by: tuple[str, ...] | None = None


class Outcome(NamedTuple):
    """A case, what was decided, and whether it is as expected."""

    case: Case
    decision: Decision
    passed: bool

    @property
    def why(self) -> str:
        """Why it is not as expected, in words; empty where it is."""
        if self.passed:
            return ""
        if self.decision.errors:
            return f"it could not be evaluated: {self.decision.errors[0]}"
        by = f" by {', '.join(self.decision.policies)}" if self.decision.policies else ", as no policy spoke"
        return f"it was {'allowed' if self.decision.allowed else 'denied'}{by}"


class _Cases(Value):
    cases: tuple[Case, ...] = Field(min_length=1)


def read_cases(text: str) -> tuple[Case, ...]:
    """The cases of a file. PolicyError with one sentence that names what cannot be used."""
    if len(text) > _LONGEST:
        raise PolicyError("the cases are longer than ten megabytes")
    try:
        return _Cases.model_validate(yaml.safe_load(text)).cases
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"the cases are not YAML: {' '.join(str(error).split())[:200]}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise PolicyError(f"the cases: {where + ': ' if where else ''}{problem['msg']}") from error


def run_cases(engine: PolicyEngine, cases: Sequence[Case], now: datetime) -> list[Outcome]:
    """Put every case to an engine. A context has the time ``now`` unless the case says another."""
    questions = [
        Question(
            case.principal.id,
            case.principal.attributes,
            case.route.id,
            case.route.attributes,
            {**context_at(now), **case.context},
        )
        for case in cases
    ]
    decided = engine.decide(questions)
    return [Outcome(case, one, _as_expected(case, one)) for case, one in zip(cases, decided, strict=True)]


def _as_expected(case: Case, decision: Decision) -> bool:
    right = decision.allowed == (case.expect == "allow")
    return right and (case.by is None or sorted(case.by) == sorted(decision.policies))
