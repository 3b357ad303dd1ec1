"""Pure: what Rego is told of a question and how its answer is read, embedded or by OPA.

A package says either who is allowed by sets of policy ids, ``permit`` and ``forbid`` (allowed is what some permit and
none forbid, as in Cedar), or by a boolean ``allow``, beside which ``policies`` may name what decided.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from inventory.model import Attribute, Decision
from router.policy import Question

_KNOWN = ("permit", "forbid", "allow", "policies")


def input_of(question: Question) -> dict[str, Any]:
    """The document ``input``: principal and resource with their ``id`` and attributes, and the context."""
    return {
        "action": "call",
        "principal": _described(question.principal, question.attributes),
        "resource": _described(question.route, question.route_attributes),
        "context": dict(question.context),
    }


def _described(name: str, attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    return {key: value if isinstance(value, str) else list(value) for key, value in attributes.items()} | {"id": name}


def decision_of(answer: Any) -> Decision:
    """The decision that an answer is. One that cannot be read is a denial with its error."""
    if isinstance(answer, bool):
        return Decision(allowed=answer)
    if not isinstance(answer, dict) or not any(name in answer for name in _KNOWN):
        return failed(f"the answer is neither true, false, nor an object with {', '.join(_KNOWN)}")
    sets = {name: answer.get(name, []) for name in ("permit", "forbid", "policies")}
    if any(not isinstance(one, list) or not all(isinstance(it, str) for it in one) for one in sets.values()):
        return failed("permit, forbid and policies are sets of words")
    allow = answer.get("allow", bool(sets["permit"]))
    if not isinstance(allow, bool):
        return failed("allow is true or false")
    allowed = allow and not sets["forbid"]
    deciding = sets["forbid"] or sets["permit"] or sets["policies"]
    return Decision(allowed=allowed, policies=tuple(sorted(set(deciding))))


def failed(error: str) -> Decision:
    """A denial because something went wrong."""
    return Decision(allowed=False, errors=(error,))


_TOKEN = re.compile(
    r"""#[^\n]*|\$["`]|`[^`]*`|"(?:[^"\\\n]|\\.)*"|\binput\b(?:\.\w+|\["\w+"\])*|\b\w+\b|\S""", re.DOTALL
)
_STEP = re.compile(r'\.(\w+)|\["(\w+)"\]')
# What makes an answer depend on more than the question.
_OUTSIDE = frozenset({"time", "http", "rand", "opa", "uuid", "net", "with"})


def mentions_of(text: str) -> frozenset[str] | None:
    """What a Rego module looks at of its input, told by its words; None where it uses more than named attributes."""
    found: set[str] = set()
    for token in _TOKEN.findall(text):
        if token in {'$"', "$`"} or token in _OUTSIDE:
            return None
        if not re.match(r"input\b", token):
            continue
        steps = [dotted or quoted for dotted, quoted in _STEP.findall(token)]
        if len(steps) < 2 or steps[0] not in {"principal", "resource", "context"}:
            if steps[:1] != ["action"]:
                return None
            continue
        found.add(steps[0] if steps[1] == "id" and steps[0] != "context" else f"{steps[0]}.{steps[1]}")
    return frozenset(found)


def dump(value: object) -> bytes:
    """A value as one line of JSON."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
