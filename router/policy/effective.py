"""Pure: which decision binds a caller on a route, and what a gateway needs to know of that ahead of requests."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from inventory.model import ANONYMOUS, Attribute, Decision, PolicyState, Principal
from router.governance import RouteRule
from router.policy import Context, PolicyEngine, Question
from router.policy.cohort import held_to_candidate
from router.policy.matrix import matrix

TIME = frozenset({"now", "hour", "weekday"})
"""What of the context is known ahead of requests: decisions are made anew when the hour changes."""

Attributes = Mapping[str, Attribute]


def context_at(now: datetime, *, exact: bool = False) -> Context:
    """What is known of a request before there is one: the time in UTC, to the hour that decisions hold for.

    ``exact``: to the second, of a request that is asked about.
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return {"hour": hour.hour, "weekday": hour.weekday(), "now": int((now if exact else hour).timestamp())}


def needs_request(mentions: frozenset[str] | None) -> frozenset[str]:
    """What policies look at that only a request tells: they decide well only on routes that ask for each request."""
    names = {name.removeprefix("context.") for name in mentions or () if name.startswith("context.")}
    return frozenset(names - TIME)


def binding(
    principal: str, enforced: PolicyEngine | None, candidate: PolicyEngine | None, percent: int
) -> PolicyEngine | None:
    """Which of two versions a caller is held to. Who is not known is held to the candidate when everybody is."""
    if candidate is None:
        return enforced
    held = percent == 100 if principal == ANONYMOUS else held_to_candidate(principal, percent)
    return candidate if held else enforced


def decide_one(engine: PolicyEngine | None, question: Question) -> Decision:
    """What a version says to one question. Without a version, everything is allowed."""
    return Decision(allowed=True) if engine is None else engine.decide([question])[0]


def compile_routes(
    routes: Mapping[str, Attributes],
    principals: Sequence[Principal],
    enforced: PolicyEngine | None,
    candidate: PolicyEngine | None,
    percent: int,
    now: datetime,
) -> dict[str, RouteRule]:
    """Who may call each route, as rules that a gateway enforces by itself. ``routes`` are names with attributes."""
    callers: dict[str, Attributes] = {ANONYMOUS: {}} | {one.id: one.attributes for one in principals}
    says = _answers(callers, routes, enforced, candidate, percent, now)
    rules = {}
    for route in routes:
        allowed = {who: says(who, route) for who in callers}
        default = allowed[ANONYMOUS]
        exceptions = frozenset(who for who, may in allowed.items() if may is not default)
        rules[route] = RouteRule(default, exceptions)
    return rules


def routes_of(
    principal: Principal,
    routes: Mapping[str, Attributes],
    enforced: PolicyEngine | None,
    candidate: PolicyEngine | None,
    percent: int,
    now: datetime,
) -> frozenset[str]:
    """The routes that one caller may call."""
    says = _answers({principal.id: principal.attributes}, routes, enforced, candidate, percent, now)
    return frozenset(route for route in routes if says(principal.id, route))


def _answers(
    callers: Mapping[str, Attributes],
    routes: Mapping[str, Attributes],
    enforced: PolicyEngine | None,
    candidate: PolicyEngine | None,
    percent: int,
    now: datetime,
) -> Callable[[str, str], bool]:
    """What binds a caller on a route, each engine asked about those alone who are held to it."""
    held = {who: binding(who, enforced, candidate, percent) for who in callers}
    context = context_at(now)
    made = {
        id(engine): matrix(engine, {who: callers[who] for who in callers if held[who] is engine}, routes, context)
        for engine in {id(one): one for one in held.values() if one is not None}.values()
    }

    def says(who: str, route: str) -> bool:
        engine = held[who]
        return engine is None or made[id(engine)].of(who, route).allowed

    return says


def promoted(state: PolicyState, percent: int) -> PolicyState:
    """The state with so many percent of the callers held to the candidate; at 100 it is the enforced version.

    ValueError where there is no candidate.
    """
    if state.candidate is None:
        raise ValueError("there is no candidate: `gnomon policy candidate N` names a version to try")
    if percent == 100:
        return state.model_copy(update={"enforced": state.candidate, "candidate": None, "percent": 0})
    return state.model_copy(update={"percent": percent})


def before(states: Sequence[PolicyState]) -> PolicyState | None:
    """What counted before the latest state, of those newest first: the newest that differs in more than its number."""
    if not states:
        return None
    latest = states[0]
    named = [one for one in states[1:] if _counts(one) != _counts(latest)]
    if named:
        return named[0]
    return PolicyState() if _counts(latest) != (None, None, 0) else None


def _counts(state: PolicyState) -> tuple[int | None, int | None, int]:
    return state.enforced, state.candidate, state.percent
