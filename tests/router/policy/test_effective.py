"""Whom a version binds, decisions shared by class, and the rules that a gateway gets: against asking one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import ANONYMOUS, Decision, PolicySet, PolicyState, Principal, PrincipalKind, utc_now
from router.governance import RouteRule, allows, losing
from router.policy import PolicyEngine, Question
from router.policy.cohort import cohort, held_to_candidate
from router.policy.effective import (
    before,
    binding,
    compile_routes,
    context_at,
    needs_request,
    promoted,
    routes_of,
)
from router.policy.engines import load
from router.policy.matrix import matrix

NOW = datetime(2026, 11, 28, 3, 30, tzinfo=UTC)
SAME_TEAM = """
@id("team") permit(principal, action, resource)
when { principal has team && resource has team && principal.team == resource.team };
@id("ana") permit(principal == Principal::"i|ana", action, resource);
@id("night") permit(principal, action, resource == Route::"open") when { context.hour < 6 };
"""
ADMINS = '@id("admins") permit(principal in Group::"admins", action, resource);'


def engine(text: str) -> PolicyEngine:
    return load(PolicySet(number=1, engine="cedar", text=text, at=utc_now(), who="a", why="b"))


TEAM, ADMIN = engine(SAME_TEAM), engine(ADMINS)


class Counting:
    """An engine that counts what it is asked, and may hide what it looks at."""

    def __init__(self, inner: PolicyEngine, *, hides: bool = False) -> None:
        self.inner, self.hides, self.asked = inner, hides, 0

    def decide(self, questions: Any) -> list[Decision]:
        self.asked += len(questions)
        return self.inner.decide(questions)

    def mentions(self) -> frozenset[str] | None:
        return None if self.hides else self.inner.mentions()


WORDS = st.sampled_from(["risk", "churn", "admins", ""])
ATTRIBUTES = st.fixed_dictionaries(
    {}, optional={"team": WORDS, "groups": st.lists(WORDS, max_size=2).map(tuple), "owner": WORDS}
)
CALLERS = st.dictionaries(st.sampled_from([f"i|{name}" for name in ("ana", "bo", "cy", "di", "eve")]), ATTRIBUTES)
ROUTES = st.dictionaries(st.sampled_from(["iris", "open", "churn"]), ATTRIBUTES, min_size=1)


@given(CALLERS, ROUTES, st.booleans(), st.sampled_from([TEAM, ADMIN]))
def test_a_class_is_answered_as_each_of_it_would_be(callers, routes, hides, asked) -> None:
    counting = Counting(asked, hides=hides)
    found = matrix(counting, callers, routes, context_at(NOW))
    for who, known in callers.items():
        for route, told in routes.items():
            (alone,) = asked.decide([Question(who, known, route, told, context_at(NOW))])
            assert found.of(who, route) == alone
    assert counting.asked <= len(callers) * len(routes)


def test_a_thousand_callers_of_few_kinds_are_few_questions() -> None:
    counting = Counting(ADMIN)
    callers = {f"i|{number}": {"groups": (f"g{number % 3}",), "owner": str(number)} for number in range(1000)}
    routes = {f"r{number}": {"team": str(number)} for number in range(1000)}
    matrix(counting, callers, routes, context_at(NOW))
    assert counting.asked == 3


@given(CALLERS, ROUTES, st.integers(0, 100), st.sampled_from([None, TEAM]), st.sampled_from([None, ADMIN]))
def test_rules_say_what_binds_each_caller(callers, routes, percent, enforced, candidate) -> None:
    percent = percent if candidate is not None else 0
    known = [
        Principal(id=who, kind=PrincipalKind.TOKEN, attributes=told, first_seen=NOW, last_seen=NOW)
        for who, told in callers.items()
    ]
    rules = compile_routes(routes, known, enforced, candidate, percent, NOW)
    assert rules.keys() == routes.keys()
    for route, told in routes.items():
        for who, has in {ANONYMOUS: {}, **callers}.items():
            held = binding(who, enforced, candidate, percent)
            allowed = held is None or held.decide([Question(who, has, route, told, context_at(NOW))])[0].allowed
            assert allows(rules[route], who) is allowed
    for one in known:
        mine = routes_of(one, routes, enforced, candidate, percent, NOW)
        assert mine == {route for route in routes if allows(rules[route], one.id)}


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_who_is_held_stays_held(who: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert not held_to_candidate(who, low) or held_to_candidate(who, high)
    assert held_to_candidate(who, 100)
    assert not held_to_candidate(who, 0)


def test_callers_are_spread_evenly() -> None:
    shares = [sum(cohort(f"https://idp|user-{number}") < percent for number in range(10_000)) for percent in (10, 50)]
    assert abs(shares[0] - 1000) < 150
    assert abs(shares[1] - 5000) < 250


def test_nobody_known_is_held_to_a_candidate_before_everybody_is() -> None:
    assert binding(ANONYMOUS, None, ADMIN, 99) is None
    assert binding(ANONYMOUS, TEAM, ADMIN, 99) is TEAM
    assert binding(ANONYMOUS, TEAM, ADMIN, 100) is ADMIN


def test_what_only_a_request_tells_is_named() -> None:
    assert needs_request(TEAM.mentions()) == frozenset()
    assert needs_request(frozenset({"context.size", "context.hour", "principal.team"})) == {"size"}
    assert needs_request(None) == frozenset()


def test_promotion_and_one_step_back() -> None:
    first = PolicyState(candidate=1, version=1)
    half = promoted(first, 50).model_copy(update={"version": 2})
    whole = promoted(half, 100).model_copy(update={"version": 3})
    assert (half.candidate, half.percent) == (1, 50)
    assert (whole.enforced, whole.candidate, whole.percent) == (1, None, 0)
    assert before([whole, half, first]) == half
    assert before([first]) == PolicyState()
    assert before([PolicyState(version=4), first]) == first
    assert before([]) is None
    with pytest.raises(ValueError, match="there is no candidate"):
        promoted(whole, 10)


def test_who_loses_a_route_is_named() -> None:
    old = {"iris": RouteRule(False, frozenset({"ana", "bo"})), "gone": RouteRule(True)}
    new = {"iris": RouteRule(False, frozenset({"ana"})), "fresh": RouteRule(False)}
    assert losing(old, new, ["ana", "bo", "cy"]) == {"bo"}
    assert losing({"iris": RouteRule(True)}, {"iris": RouteRule(True, frozenset({"cy"}))}, ["ana", "cy"]) == {"cy"}
    assert context_at(NOW + timedelta(hours=1))["hour"] == 4
