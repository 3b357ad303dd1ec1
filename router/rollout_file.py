"""A rollout's steps as code: YAML in, validated steps out, and back. Pure but for the parsing library.

```yaml
candidate: replacement          # by default the shadow's backend, or the only other one
gate: {agreement: 0.99}         # before each step that names none
windows: [{cron: "0 22 * * mon-thu", minutes: 120}]
steps:
  - shadow: 1
  - shadow: 10
  - split: 5
    approval: true
    after: 10m                  # the step before lasts at least so long
  - split: 100
    gate: {agreement: 0.999, minimum_pairs: 1000}
```
"""

import re
from typing import Any

import yaml
from pydantic import Field, ValidationError

from inventory.cron import ScheduleError
from inventory.model import Gate, MaintenanceWindow, Moment, Slug, Stage, Step, Value
from router.errors import RouteError
from router.rollout import check_ladder, ladder

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,6})([smhd]?)")
_KEYS = {"candidate", "incumbent", "gate", "windows", "starts_at", "steps"}
_STEP_KEYS = {"shadow", "split", "gate", "approval", "after"}
_LONGEST = 1_000_000


class RolloutPlan(Value):
    """What a rollout is to do, before it is started."""

    steps: tuple[Step, ...]
    windows: tuple[MaintenanceWindow, ...] = ()
    starts_at: Moment | None = None
    candidate: Slug | None = None
    incumbent: Slug | None = Field(default=None)


def default_plan(gate: Gate | None = None) -> RolloutPlan:
    """The usual ladder: front, shadow 1, 10 and 50 %, split 5, 25, 50 and 100 %, done."""
    return RolloutPlan(steps=ladder(gate or Gate()))


def read_plan(text: str) -> RolloutPlan:
    """The plan that a file describes. RouteError with one sentence that names what cannot be read."""
    if len(text) > _LONGEST:
        raise RouteError("the rollout's file is longer than a megabyte")
    try:
        given = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise RouteError(f"the rollout's file is not YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(given, dict):
        raise RouteError("the rollout's file must hold keys such as steps, gate and windows")
    _only(given, _KEYS, "a rollout")
    try:
        gate = Gate.model_validate(given.get("gate") or {})
        listed = given.get("steps")
        steps = ladder(gate) if listed is None else _steps(listed, gate)
        return RolloutPlan.model_validate(
            {
                "steps": steps,
                "windows": given.get("windows") or (),
                **{key: given[key] for key in ("candidate", "incumbent", "starts_at") if key in given},
            }
        )
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        what = problem["msg"].removeprefix("Value error, ")
        raise RouteError(f"the rollout's {where or 'file'}: {what}") from error
    except (ValueError, ScheduleError) as error:
        raise RouteError(str(error)) from error


def _steps(listed: Any, gate: Gate) -> tuple[Step, ...]:
    """The steps between the front and the end, which need not be written down."""
    if not isinstance(listed, list):
        raise RouteError("the rollout's steps must be a list, like [{shadow: 10}, {split: 100}]")
    steps = [_step(number, one, gate) for number, one in enumerate(listed, 1)]
    # The first copies need no evidence, and the next ones no proof: neither touches a live request.
    for at, step in enumerate(steps):
        if step.stage is Stage.SHADOW and "gate" not in listed[at]:
            seen = gate.model_copy(update={"prove": False, "minimum_pairs": min(gate.minimum_pairs, 20)})
            steps[at] = step.model_copy(update={"gate": seen if at else None})
    last_gate = steps[-1].gate if steps else gate
    whole = (Step(stage=Stage.FRONT), *steps, Step(stage=Stage.DONE, gate=last_gate))
    check_ladder(whole)
    return whole


def _step(number: int, given: Any, gate: Gate) -> Step:
    if not isinstance(given, dict):
        raise RouteError(f"step {number} must be written like `shadow: 10` or `split: 5`")
    _only(given, _STEP_KEYS, f"step {number}")
    stages = [stage for stage in (Stage.SHADOW, Stage.SPLIT) if stage.value in given]
    if len(stages) != 1:
        raise RouteError(f"step {number} needs either shadow or split, with a percentage")
    own = given.get("gate") or {}
    if not isinstance(own, dict):
        raise RouteError(f"the gate of step {number} must hold keys, like {{agreement: 0.99}}")
    return Step.model_validate(
        {
            "stage": stages[0],
            "percent": given[stages[0].value],
            "gate": {**gate.model_dump(), **own},
            "approval": given.get("approval", False),
            "after_seconds": _seconds(given.get("after", 0), number),
        }
    )


def _seconds(given: Any, number: int) -> float:
    match = _DURATION.fullmatch(str(given))
    if match is None:
        raise RouteError(f"step {number}: {given!r} is no duration: write it like 90s, 10m, 2h or 1d")
    return float(int(match[1]) * _UNITS[match[2] or "s"])


def _only(given: dict[Any, Any], known: set[str], what: str) -> None:
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        raise RouteError(f"{what} has no key {unknown[0]!r}: it has {', '.join(sorted(known))}")
