"""Pure: what a policy set says to every caller on every route, asked once for all that it cannot tell apart.

A policy set names what it looks at (``PolicyEngine.mentions``). Callers who are alike in that get one answer, and so do
routes, so that a thousand callers of a dozen kinds on a thousand routes of a dozen kinds are 144 questions. That is
exact: what a policy does not look at cannot change what it says.
"""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from inventory.model import Attribute, Decision
from router.policy import Context, PolicyEngine, Question

Attributes = Mapping[str, Attribute]


class Matrix(NamedTuple):
    """Decisions by the classes of callers and routes."""

    callers: Mapping[str, Hashable]
    routes: Mapping[str, Hashable]
    decisions: Mapping[tuple[Hashable, Hashable], Decision]

    def of(self, principal: str, route: str) -> Decision:
        """What is said to one caller on one route. KeyError where either was not asked about."""
        return self.decisions[self.callers[principal], self.routes[route]]


def matrix(
    engine: PolicyEngine, callers: Mapping[str, Attributes], routes: Mapping[str, Attributes], context: Context
) -> Matrix:
    """The decisions for callers and routes, both by id with their attributes, at the moment that the context tells."""
    mentions = engine.mentions()
    caller_classes = {name: _class("principal", name, known, mentions) for name, known in callers.items()}
    route_classes = {name: _class("resource", name, known, mentions) for name, known in routes.items()}
    some_caller = _first_of_each(caller_classes)
    some_route = _first_of_each(route_classes)
    pairs = [(one, other) for one in some_caller for other in some_route]
    questions = [
        Question(some_caller[one], callers[some_caller[one]], some_route[other], routes[some_route[other]], context)
        for one, other in pairs
    ]
    return Matrix(caller_classes, route_classes, dict(zip(pairs, engine.decide(questions), strict=True)))


def _class(side: str, name: str, known: Attributes, mentions: frozenset[str] | None) -> Hashable:
    if mentions is None:
        return name, tuple(sorted(known.items()))
    looked_at = tuple(sorted((key, value) for key, value in known.items() if f"{side}.{key}" in mentions))
    named = side in mentions or f"{side}={name}" in mentions
    return name if named else "", looked_at


def _first_of_each(classes: Mapping[str, Hashable]) -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for name, kind in classes.items():
        found.setdefault(kind, name)
    return found
