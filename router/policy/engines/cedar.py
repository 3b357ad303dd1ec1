"""Cedar (https://www.cedarpolicy.com), read once and asked in batches.

Policies are checked strictly against the schema (Cedar's validator), so that what can fail at a request is found
before. They are put to a request only where they can concern it (``cedar_tree.key_of``).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import cedarpy

from inventory.model import Attribute, Decision, PolicySet
from router.policy import Context, Question
from router.policy.engines.cedar_schema import SCHEMA, Types, ambiguous, entity_of, types_of
from router.policy.engines.cedar_tree import Key, key_of, mentions_of
from router.policy.errors import PolicyError

ACTION = {"type": "Action", "id": "call"}
_NEEDED = 'permit(principal is Principal, action == Action::"call", resource is Route);'
# As many combinations of policies are kept ready; more would be more callers and routes than ever differ so.
_KEPT = 4096


class CedarEngine:
    """One Cedar policy set."""

    def __init__(self, text: str, schema_text: str = "") -> None:
        """Read and check it. PolicyError with every problem, each with the policy that it is in."""
        schema, self._types = _schema(schema_text)
        trees = _read(text)
        self.names = _names(trees)
        self.texts = _texts(text, self.names)
        _validate(text, schema, self.names)
        self._trees = trees
        self._mentions = _mentions(trees, self.names)
        self._always: list[str] = []
        self._keyed: dict[Key, list[str]] = {}
        for policy, tree in trees.items():
            key = key_of(tree)
            (self._always if key is None else self._keyed.setdefault(key, [])).append(policy)
        self._compared = {key.what for key in self._keyed}
        self._slices: dict[frozenset[str], cedarpy.PolicySet] = {}

    def mentions(self) -> frozenset[str] | None:
        """What the policies look at; None where a policy uses a caller, a route or the context as a whole."""
        return self._mentions

    def decide(self, questions: Sequence[Question]) -> list[Decision]:
        """A decision for each question, in their order."""
        decided: dict[int, Decision] = {}
        for part in _consistent(questions):
            known = {at: self._unclear(questions[at]) for at in part}
            decided |= {at: Decision(allowed=False, errors=errors) for at, errors in known.items() if errors}
            decided |= self._decide({at: questions[at] for at, errors in known.items() if not errors})
        return [decided[at] for at in range(len(questions))]

    def _decide(self, questions: Mapping[int, Question]) -> dict[int, Decision]:
        """The decisions of questions in which each caller and each route is always the same."""
        entities = cedarpy.Entities.from_json_str(json.dumps(self._entities(questions.values())))
        by_policies: dict[frozenset[str], list[int]] = {}
        for at, question in questions.items():
            by_policies.setdefault(self._concerned(question), []).append(at)
        decided: dict[int, Decision] = {}
        for concerned, places in by_policies.items():
            answers = cedarpy.is_authorized_batch(
                [_request(questions[at]) for at in places], self._slice(concerned), entities
            )
            decided |= {at: self._decision(answer) for at, answer in zip(places, answers, strict=True)}
        return decided

    def _unclear(self, question: Question) -> tuple[str, ...]:
        sides = (("principal", "Principal", question.attributes), ("resource", "Route", question.route_attributes))
        return tuple(
            f"{side}.{name} has several values, and the schema says one"
            for side, kind, attributes in sides
            for name in ambiguous(attributes, self._types.get(kind, {}))
            if self._mentions is None or f"{side}.{name}" in self._mentions
        )

    def _concerned(self, question: Question) -> frozenset[str]:
        """The policies that can speak or fail at a question."""
        found = set(self._always)
        for what in self._compared:
            for value in _values(what, question):
                found.update(self._keyed.get(Key(what, value), ()))
        return frozenset(found)

    def _slice(self, concerned: frozenset[str]) -> cedarpy.PolicySet:
        found = self._slices.get(concerned)
        if found is None:
            if len(self._slices) >= _KEPT:
                self._slices.clear()
            chosen = {policy: self._trees[policy] for policy in sorted(concerned)}
            found = cedarpy.PolicySet.from_json_str(json.dumps(_document(chosen)))
            self._slices[concerned] = found
        return found

    def _entities(self, questions: Collection[Question]) -> list[dict[str, Any]]:
        callers = {one.principal: one.attributes for one in questions}
        routes = {one.route: one.route_attributes for one in questions}
        return [
            *(entity_of("Principal", name, known, self._types["Principal"]) for name, known in callers.items()),
            *(entity_of("Route", name, known, self._types["Route"]) for name, known in routes.items()),
        ]

    def _decision(self, answer: cedarpy.AuthzResult) -> Decision:
        # Cedar leaves a policy that failed aside; here a forbidding one must not be lost so.
        errors = tuple(sorted(self._named(one) for one in answer.diagnostics.errors))
        policies = tuple(sorted(self.names.get(one, one) for one in answer.diagnostics.reasons))
        return _decision(answer.allowed and not errors, policies, errors)

    def _named(self, error: str) -> str:
        for policy, name in self.names.items():
            error = error.replace(f"`{policy}`", f"`{name}`")
        return error


@lru_cache(maxsize=4096)
def _decision(allowed: bool, policies: tuple[str, ...], errors: tuple[str, ...]) -> Decision:
    """Few decisions differ, and to make one costs as much as to reach it."""
    return Decision(allowed=allowed, policies=policies, errors=errors)


def load(version: PolicySet) -> CedarEngine:
    """The engine of a version. PolicyError where it cannot be used."""
    return CedarEngine(version.text, version.schema_text)


def _schema(text: str) -> tuple[cedarpy.Schema, Types]:
    try:
        made = cedarpy.Schema.from_str(text or SCHEMA)
    except ValueError as error:
        raise PolicyError(f"the schema is not Cedar: {_one_line(error)}") from error
    result = cedarpy.validate_policies(_NEEDED, made)
    if not result.validation_passed:
        raise PolicyError(
            "the schema must have the entity types Principal and Route and an action call that applies to them: "
            f"{_one_line(result.errors[0].error)}"
        )
    types = types_of(str(made))
    return made, {kind: types.get(kind, {}) for kind in ("Principal", "Route")}


def _read(text: str) -> dict[str, Any]:
    try:
        cedarpy.PolicySet.from_str(text)
        document = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyError(f"the policies are not Cedar: {_one_line(error)}") from error
    if document["templates"]:
        raise PolicyError("a template (?principal or ?resource) allows nobody anything: name callers, routes or groups")
    trees: dict[str, Any] = document["staticPolicies"]
    return trees


def _names(trees: Mapping[str, Any]) -> dict[str, str]:
    """What people call each policy: its annotation @id, else its place in the text."""
    names = {policy: tree.get("annotations", {}).get("id") or policy for policy, tree in trees.items()}
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if twice:
        raise PolicyError(f"several policies have the id {twice[0]}: an id names one policy")
    return names


def _texts(text: str, names: Mapping[str, str]) -> dict[str, str]:
    """Each policy as text, by the name that people call it."""
    trees = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return {
        names[policy]: cedarpy.policies_from_json_str(json.dumps(_document({policy: tree}))).strip()
        for policy, tree in trees.items()
    }


def _validate(text: str, schema: cedarpy.Schema, names: Mapping[str, str]) -> None:
    result = cedarpy.validate_policies(text, schema)
    if result.validation_passed:
        return
    problems = [
        f"{names.get(one.policy_id, one.policy_id)}: "
        + _one_line(one.error).removeprefix(f"for policy `{one.policy_id}`, ")
        for one in result.errors
    ]
    raise PolicyError(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'}; {problems[0]}", problems)


def _mentions(trees: Mapping[str, Any], names: Mapping[str, str]) -> frozenset[str] | None:
    found: frozenset[str] | None = frozenset()
    for policy, tree in trees.items():
        try:
            mentions = mentions_of(tree)
        except PolicyError as error:
            raise PolicyError(f"{names[policy]}: {error}") from error
        found = None if found is None or mentions is None else found | mentions
    return found


def _document(trees: Mapping[str, Any]) -> dict[str, Any]:
    return {"templates": {}, "staticPolicies": trees, "templateLinks": []}


def _values(what: str, question: Question) -> tuple[str, ...]:
    """What a question has of that which policies are told apart by."""
    if what in {"principal", "resource"}:
        return (question.principal if what == "principal" else question.route,)
    side, _, name = what.partition(".")
    known = question.route_attributes if side == "resource" else question.attributes
    value = known.get(name or "groups", ())
    return (value,) if isinstance(value, str) else value


def _consistent(questions: Sequence[Question]) -> list[list[int]]:
    """The places of the questions in parts, within which each caller and each route is always the same."""
    seen: dict[tuple[str, str], Mapping[str, Attribute]] = {}
    parts: list[list[int]] = [[]]
    for at, one in enumerate(questions):
        sides = {("principal", one.principal): one.attributes, ("route", one.route): one.route_attributes}
        if any(seen.get(key, known) != known for key, known in sides.items()):
            seen = {}
            parts.append([])
        seen |= sides
        parts[-1].append(at)
    return parts


def _request(question: Question) -> dict[str, Any]:
    return {
        "principal": {"type": "Principal", "id": question.principal},
        "action": ACTION,
        "resource": {"type": "Route", "id": question.route},
        "context": _context(question.context),
    }


def _context(context: Context) -> str:
    """The context as Cedar's JSON; an address is one, not a word."""
    given: dict[str, Any] = dict(context)
    if "network" in given:
        given["network"] = {"__extn": {"fn": "ip", "arg": given["network"]}}
    return json.dumps(given)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
