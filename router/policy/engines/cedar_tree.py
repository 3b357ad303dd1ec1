"""Pure: what a Cedar policy looks at and whom it can concern, read off its syntax tree.

The trees are those of Cedar's JSON policy format
(https://docs.cedarpolicy.com/policies/json-format.html). Asking only the policies that can concern a request is policy
slicing; it and its proof are in Cutler et al., "Cedar: A New Language for Expressive, Fast, Safe, and Analyzable
Authorization", OOPSLA 2024.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from router.policy.effective import TIME
from router.policy.errors import PolicyError

Tree = Mapping[str, Any]

_VARIABLES = ("principal", "resource", "context")
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_EQUALITIES = frozenset({"==", "!=", "contains", "containsAny", "containsAll"})


class Key(NamedTuple):
    """What a request must have for a policy to concern it.

    ``what`` is ``principal``, ``resource`` (their ids), ``group``, or ``principal.NAME``, ``resource.NAME``.
    """

    what: str
    value: str


class Unbounded(Exception):  # noqa: N818 - an answer, not an error
    """What a policy looks at cannot be told from its text."""


def mentions_of(policy: Tree) -> frozenset[str] | None:
    """What one policy looks at, in the words of ``PolicyEngine.mentions``; None where that cannot be told.

    PolicyError for a policy that looks at another entity than those of the request: of such, nothing is known.
    """
    found: set[str] = set()
    bounded = True
    for name in ("principal", "resource"):
        _in_scope(policy[name], name, found)
    for condition in policy["conditions"]:
        try:
            found.update(_in(condition["body"]))
        except Unbounded:
            bounded = False
        _only_in_comparisons(condition["body"])
    return frozenset(found) if bounded else None


def _in_scope(scope: Tree, name: str, found: set[str]) -> None:
    within = scope.get("in", scope)
    for entity in [*within.get("entities", ()), *([within["entity"]] if "entity" in within else [])]:
        found.add(_mention_of_entity(name, entity))


def _mention_of_entity(name: str, entity: Tree) -> str:
    if name == "principal" and entity["type"] == "Group":
        return "principal.groups"
    return f"{name}={entity['id']}"


def _in(tree: Any) -> Iterator[str]:
    """Everything that an expression looks at. Raises Unbounded at a use of a variable that says nothing of it."""
    if isinstance(tree, list):
        for part in tree:
            yield from _in(part)
        return
    if not isinstance(tree, Mapping) or "Value" in tree:
        return
    [(operator, operands)] = tree.items()
    if operator == "Var":
        if operands != "action":
            raise Unbounded
    elif operator == "Record":
        yield from _in(list(operands.values()))
    elif operator in _EQUALITIES:
        yield from _of_equality(operands)
    elif (variable := _variable(operands)) is not None:
        yield from _of_variable(operator, operands, variable)
    else:
        yield from _in(list(operands.values()) if isinstance(operands, Mapping) else operands)


def _variable(operands: Any) -> str | None:
    """The variable that an operator is applied to, on its left."""
    left = operands.get("left") if isinstance(operands, Mapping) else None
    name = left.get("Var") if isinstance(left, Mapping) else None
    return name if name in _VARIABLES else None


def _of_variable(operator: str, operands: Tree, variable: str) -> Iterator[str]:
    if operator in {".", "has"}:
        yield f"{variable}.{operands['attr']}"
    elif operator in {"hasTag", "getTag"} and isinstance(operands["right"].get("Value"), str):
        yield f"{variable}.{operands['right']['Value']}"
    elif operator in {"in", "is"} and variable != "context":
        within = operands.get("right") if operator == "in" else operands.get("in")
        listed = within.get("Set", [within]) if isinstance(within, Mapping) else []
        for one in listed:
            entity = _entity(one)
            if entity is None:
                raise Unbounded
            yield _mention_of_entity(variable, entity)
    else:
        raise Unbounded


def _of_equality(operands: Tree) -> Iterator[str]:
    """Both sides; a principal or a resource as a whole counts by its id."""
    left, right = operands["left"], operands["right"]
    for side, other in ((left, right), (right, left)):
        name = side.get("Var") if isinstance(side, Mapping) else None
        if name in {"principal", "resource"}:
            entity = _entity(other)
            yield f"{name}={entity['id']}" if entity is not None else name
        else:
            yield from _in(side)


def _entity(tree: Any) -> Tree | None:
    value = tree.get("Value") if isinstance(tree, Mapping) else None
    found = value.get("__entity") if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _only_in_comparisons(tree: Any, *, compared: bool = False) -> None:
    """Refuse a named entity whose attributes or groups are asked for: only those of the request are known."""
    if isinstance(tree, list):
        for part in tree:
            _only_in_comparisons(part, compared=compared)
        return
    if not isinstance(tree, Mapping):
        return
    entity = _entity(tree)
    if entity is not None:
        if not compared:
            raise PolicyError(
                f'a condition asks for what {entity["type"]}::"{entity["id"]}" is; only the caller and the route of '
                "the request are known: compare with it instead"
            )
        return
    for operator, operands in tree.items():
        if operator == "in" and isinstance(operands, Mapping) and "left" in operands:
            _only_in_comparisons(operands["left"])
            _only_in_comparisons(operands["right"], compared=True)
        else:
            inside = operator in _EQUALITIES or (operator == "Set" and compared)
            parts = list(operands.values()) if isinstance(operands, Mapping) else operands
            _only_in_comparisons(parts, compared=inside)


def key_of(policy: Tree) -> Key | None:
    """What a request must have for this policy to be satisfied, or to fail; None where nothing as simple is needed.

    It is read off the scope, or off what the first condition begins with. Whatever comes later in a condition is not
    evaluated where this does not hold, so a policy that is left out for it can neither speak nor fail. What comes
    before it must not fail either: only comparisons of the time with a number are passed over.
    """
    for name in ("principal", "resource"):
        entity = policy[name].get("in", policy[name]).get("entity")
        if entity is not None:
            return Key("group" if entity["type"] == "Group" else name, entity["id"])
    conditions = policy["conditions"]
    if not conditions or conditions[0]["kind"] != "when":
        return None
    known: set[str] = set()
    for part in _conjuncts(conditions[0]["body"]):
        [(operator, operands)] = part.items()
        variable = _variable(operands)
        if operator == "has" and variable in {"principal", "resource"}:
            known.add(f"{variable}.{operands['attr']}")
        elif operator == "is" and variable in {"principal", "resource"} and "in" not in operands:
            continue
        elif variable in {"principal", "resource"}:
            return _of_conjunct(operator, operands, variable)
        elif operator in _COMPARISONS and _is_certain(operands.get("left")) and _is_certain(operands.get("right")):
            continue
        else:
            return _of_attribute(operator, operands, known)
    return None


def _is_certain(tree: Any) -> bool:
    """Whether this always has a value of its type: a literal, or the time, which every request has."""
    if not isinstance(tree, Mapping):
        return False
    if "Value" in tree:
        return isinstance(tree["Value"], int | str)
    return _variable(tree.get(".")) == "context" and tree["."]["attr"] in TIME


def _of_conjunct(operator: str, operands: Tree, variable: str) -> Key | None:
    entity = _entity(operands.get("right"))
    if operator in {"==", "in"} and entity is not None:
        return Key("group" if entity["type"] == "Group" else variable, entity["id"])
    return None


def _of_attribute(operator: str, operands: Tree, known: set[str]) -> Key | None:
    """The attribute that a conjunct compares with a word, where it is known to be there: then nothing can fail."""
    left, right = operands.get("left"), operands.get("right")
    if operator != "==" or not isinstance(left, Mapping) or not isinstance(right, Mapping):
        return None
    variable, value = _variable(left.get(".")), right.get("Value")
    if variable is None or not isinstance(value, str):
        return None
    name = f"{variable}.{left['.']['attr']}"
    return Key(name, value) if name in known else None


def _conjuncts(tree: Any) -> Iterator[Tree]:
    """The parts of a conjunction in the order in which they are evaluated."""
    if isinstance(tree, Mapping) and "&&" in tree:
        yield from _conjuncts(tree["&&"]["left"])
        yield from _conjuncts(tree["&&"]["right"])
    else:
        yield tree
