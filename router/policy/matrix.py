"""Pure: the decisions of many callers on many routes, each asked once for all that the policies cannot tell apart."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from inventory.model import Attribute, Decision
from router.policy import Context, PolicyEngine, Question


class Subject(NamedTuple):
    """A caller or a route as policies see it."""

    id: str
    attributes: Mapping[str, Attribute]


class Matrix(NamedTuple):
    """Decisions by class: ``decisions[callers[i]][routes[j]]`` is that of the i-th caller on the j-th route."""

    callers: list[int]
    routes: list[int]
    decisions: list[list[Decision]]

    def of(self, caller: int, route: int) -> Decision:
        """The decision of the caller and the route at those places."""
        return self.decisions[self.callers[caller]][self.routes[route]]


def at_time(now: datetime) -> Context:
    """What is known of any request of an hour: the time, in UTC, to the hour.

    Decisions that are made ahead hold until the hour is over; ``now`` is its beginning.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {"now": int(hour.timestamp()), "hour": hour.hour, "weekday": hour.weekday()}


def decide_all(engine: PolicyEngine, callers: Sequence[Subject], routes: Sequence[Subject], context: Context) -> Matrix:
    """The decision of every caller on every route in one context.

    It is exact: two callers are in one class where the policies look at nothing in which they differ.
    """
    mentions = engine.mentions()
    caller_of, callers_apart = _classes(callers, "principal", mentions)
    route_of, routes_apart = _classes(routes, "resource", mentions)
    questions = [
        Question(caller.id, caller.attributes, route.id, route.attributes, context)
        for caller in callers_apart
        for route in routes_apart
    ]
    decided = engine.decide(questions)
    width = len(routes_apart)
    rows = [decided[at * width : (at + 1) * width] for at in range(len(callers_apart))]
    return Matrix(caller_of, route_of, rows)


def _classes(
    subjects: Sequence[Subject], side: str, mentions: frozenset[str] | None
) -> tuple[list[int], list[Subject]]:
    """The class of each subject, and the first subject of each class."""
    if mentions is None or side in mentions:
        return list(range(len(subjects))), list(subjects)
    names = sorted(one.partition(".")[2] for one in mentions if one.startswith(f"{side}."))
    ids = {one.partition("=")[2] for one in mentions if one.startswith(f"{side}=")}
    numbers: dict[Hashable, int] = {}
    first: list[Subject] = []
    of: list[int] = []
    for subject in subjects:
        seen = (subject.id if subject.id in ids else None, *(subject.attributes.get(name) for name in names))
        number = numbers.setdefault(seen, len(first))
        if number == len(first):
            first.append(subject)
        of.append(number)
    return of, first
