"""Pure: which decision binds a caller on a route, and what follows for a gateway that enforces it natively."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from inventory.model import ANONYMOUS, Attribute, Principal
from router.policy import PolicyEngine
from router.policy.cohort import COHORTS, held_to_candidate
from router.policy.matrix import Matrix, Subject, at_time, decide_all

_OF_TIME = frozenset({"context.now", "context.hour", "context.weekday"})


class Described(Protocol):
    """What of ``inventory.model.Access`` counts here."""

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """What policies may ask about the route."""


class RouteRule(NamedTuple):
    """Who may call a route: ``default_allowed`` says it of everybody but ``exceptions``, the ids of those others.

    The default is what callers get who are not known, or do not say who they are.
    """

    default_allowed: bool
    exceptions: frozenset[str]

    def allows(self, principal: str) -> bool:
        """Whether a caller may call the route."""
        return self.default_allowed != (principal in self.exceptions)


def held(principal: str, percent: int) -> bool:
    """Whether a caller is held to the candidate.

    Whoever does not say who they are is in no cohort: they are held to it once all callers are.
    """
    return percent >= COHORTS if principal == ANONYMOUS else held_to_candidate(principal, percent)


class Rulers(NamedTuple):
    """The policy sets that bind callers. None where there is none: without an enforced one, everything is allowed."""

    enforced: PolicyEngine | None
    candidate: PolicyEngine | None
    percent: int

    def of(self, principal: str) -> PolicyEngine | None:
        """The policy set that binds a caller."""
        return self.candidate if self.candidate and held(principal, self.percent) else self.enforced


def compile_routes(
    routes: Mapping[str, Described],
    principals: Sequence[Principal],
    enforced: PolicyEngine | None,
    candidate: PolicyEngine | None,
    percent: int,
    now: datetime,
) -> dict[str, RouteRule]:
    """Who may call each route, decided ahead of requests. It holds until the hour of ``now`` is over.

    Policies that look at a request decide here as if nothing were known of it: see ``needs_request``.
    """
    rulers = Rulers(enforced, candidate, percent)
    subjects = [Subject(ANONYMOUS, {}), *(Subject(one.id, one.attributes) for one in principals)]
    described = [Subject(name, access.attributes) for name, access in routes.items()]
    bound: dict[int, tuple[PolicyEngine, list[Subject]]] = {}
    for subject in subjects:
        ruler = rulers.of(subject.id)
        if ruler is not None:
            bound.setdefault(id(ruler), (ruler, []))[1].append(subject)
    decided = [(those, decide_all(ruler, those, described, at_time(now))) for ruler, those in bound.values()]
    return {one.id: _rule(at, decided, subjects) for at, one in enumerate(described)}


def _rule(route: int, decided: Sequence[tuple[list[Subject], Matrix]], subjects: Sequence[Subject]) -> RouteRule:
    allowed: set[str] = set()
    denied: set[str] = set()
    for those, matrix in decided:
        column = [row[matrix.routes[route]].allowed for row in matrix.decisions]
        for subject, number in zip(those, matrix.callers, strict=True):
            (allowed if column[number] else denied).add(subject.id)
    # Callers whom no policy set binds may do everything.
    if ANONYMOUS in denied:
        return RouteRule(False, frozenset(one.id for one in subjects if one.id not in denied))
    return RouteRule(True, frozenset(denied))


def routes_of(
    principal: Principal,
    routes: Mapping[str, Described],
    enforced: PolicyEngine | None,
    candidate: PolicyEngine | None,
    percent: int,
    now: datetime,
) -> frozenset[str]:
    """The routes that a caller may call, for a token of theirs."""
    ruler = Rulers(enforced, candidate, percent).of(principal.id)
    if ruler is None:
        return frozenset(routes)
    described = [Subject(name, access.attributes) for name, access in routes.items()]
    matrix = decide_all(ruler, [Subject(principal.id, principal.attributes)], described, at_time(now))
    return frozenset(one.id for at, one in enumerate(described) if matrix.of(0, at).allowed)


def needs_request(mentions: frozenset[str] | None) -> bool:
    """Whether policies look at a request itself, so that only routes that ask per request can follow them.

    The time is not meant: decisions are made again when the hour changes.
    """
    return mentions is None or bool(request_parts(mentions))


def request_parts(mentions: frozenset[str] | None) -> list[str]:
    """What of a request policies look at, ``context.size`` and so on, sorted. Nothing where it cannot be told."""
    return sorted(one for one in mentions or () if one.startswith("context.") and one not in _OF_TIME)
