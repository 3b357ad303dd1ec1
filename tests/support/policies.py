"""The same policies in Cedar and in Rego, and the questions that both are asked."""

from inventory.model import Engine, PolicySet, utc_now
from router.policy import Question

CEDAR = """\
@id("analysts-read-production")
permit(principal in Group::"analysts", action == Action::"call", resource)
when { resource has environment && resource.environment == "production" };

@id("own-department")
permit(principal, action, resource)
when { principal has department && resource has department && principal.department == resource.department };

@id("robot")
permit(principal == Principal::"spiffe://example/robot", action, resource == Route::"iris");

@id("grade-seven")
permit(principal, action, resource)
when { principal.hasTag("grade") && principal.getTag("grade").contains("7") };

@id("nothing-large")
forbid(principal, action, resource)
when { context has size && context.size > 1000 };

@id("not-at-night")
forbid(principal, action, resource)
when { resource has data_class && resource.data_class == "personal" && context.hour < 6 };
"""

REGO = """\
package gnomon

import rego.v1

permit contains "analysts-read-production" if {
    "analysts" in input.principal.groups
    input.resource.environment == "production"
}

permit contains "own-department" if input.principal.department == input.resource.department

permit contains "robot" if {
    input.principal.id == "spiffe://example/robot"
    input.resource.id == "iris"
}

permit contains "grade-seven" if input.principal.grade == "7"

forbid contains "nothing-large" if input.context.size > 1000

forbid contains "not-at-night" if {
    input.resource.data_class == "personal"
    input.context.hour < 6
}
"""

DAY = {"now": 1_800_000_000, "hour": 12, "weekday": 2}
NIGHT = {**DAY, "hour": 3}
FRAUD = {"department": "fraud"}
ANALYST = {"groups": ("analysts", "staff")}


def version(engine: Engine, text: str, schema_text: str = "") -> PolicySet:
    """A version that is in no store."""
    fields = {"engine": engine, "text": text, "schema_text": schema_text}
    return PolicySet.model_validate({"number": 1, "at": utc_now(), "who": "ana", "why": "a test", **fields})


CASES = (
    (Question("a", ANALYST, "iris", {"environment": "production"}, DAY), True, ("analysts-read-production",)),
    (Question("a", ANALYST, "iris", {"environment": "test"}, DAY), False, ()),
    (Question("a", {"groups": ("staff",)}, "iris", {"environment": "production"}, DAY), False, ()),
    (Question("a", FRAUD, "iris", FRAUD, DAY), True, ("own-department",)),
    (Question("a", FRAUD, "iris", {"department": "sales"}, DAY), False, ()),
    (Question("a", FRAUD, "iris", {}, DAY), False, ()),
    (Question("spiffe://example/robot", {}, "iris", {}, DAY), True, ("robot",)),
    (Question("spiffe://example/robot", {}, "wine", {}, DAY), False, ()),
    (Question("", {}, "iris", {}, DAY), False, ()),
    (Question("a", {"grade": "7"}, "iris", {}, DAY), True, ("grade-seven",)),
    (
        Question("a", ANALYST | FRAUD, "iris", {"environment": "production"} | FRAUD, DAY),
        True,
        ("analysts-read-production", "own-department"),
    ),
    (Question("a", FRAUD, "iris", FRAUD, {**DAY, "size": 1000}), True, ("own-department",)),
    (Question("a", FRAUD, "iris", FRAUD, {**DAY, "size": 1001}), False, ("nothing-large",)),
    (Question("a", FRAUD, "iris", FRAUD | {"data_class": "personal"}, DAY), True, ("own-department",)),
    (Question("a", FRAUD, "iris", FRAUD | {"data_class": "personal"}, NIGHT), False, ("not-at-night",)),
    (
        Question("a", {}, "iris", {"data_class": "personal"}, {**NIGHT, "size": 5000}),
        False,
        ("not-at-night", "nothing-large"),
    ),
)
