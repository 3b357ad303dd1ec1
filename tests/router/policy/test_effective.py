"""Decisions by class are those of one by one, and what binds a caller."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import NOW
from policies import CEDAR, version

from inventory.model import Access, Principal, PrincipalKind
from router.policy import PolicyEngine, Question
from router.policy.cohort import cohort, held_to_candidate
from router.policy.effective import compile_routes, needs_request, routes_of
from router.policy.engines import load
from router.policy.matrix import Subject, at_time, decide_all

ENGINE = load(version("cedar", CEDAR))
NOBODY = load(version("cedar", ""))
WHEN = datetime(2026, 3, 4, 3, 30, tzinfo=UTC)
words = st.sampled_from(["fraud", "sales", "7", "personal", "production"])
values = words | st.lists(words | st.just("analysts"), max_size=2, unique=True).map(tuple)
known = st.dictionaries(
    st.sampled_from(["department", "groups", "grade", "environment", "data_class", "unseen"]), values, max_size=4
)
callers = st.dictionaries(st.sampled_from(["", "a", "b", "c", "spiffe://example/robot"]), known, max_size=5)
routes = st.dictionaries(st.sampled_from(["iris", "wine", "cars"]), known, max_size=3)


def person(name: str, **attributes: str) -> Principal:
    return Principal(id=name, kind=PrincipalKind.TOKEN, attributes=attributes, first_seen=NOW, last_seen=NOW)


@given(callers, routes)
@settings(max_examples=100, deadline=None)
def test_deciding_by_class_is_deciding_one_by_one(people: dict, places: dict):
    left, right = [Subject(*one) for one in people.items()], [Subject(*one) for one in places.items()]
    context = at_time(WHEN)
    matrix = decide_all(ENGINE, left, right, context)
    for i, who in enumerate(left):
        for j, where in enumerate(right):
            one = Question(who.id, who.attributes, where.id, where.attributes, context)
            assert matrix.of(i, j) == ENGINE.decide([one])[0]


@given(
    callers,
    routes,
    st.sampled_from([(None, None), (ENGINE, None), (None, ENGINE), (NOBODY, ENGINE)]),
    st.integers(0, 100),
)
@settings(max_examples=100, deadline=None)
def test_rules_and_tokens_say_what_binds_each_caller(people: dict, places: dict, engines: tuple, percent: int):
    enforced, candidate = engines
    percent = percent if candidate else 0
    everybody = [Principal(id=one, kind=PrincipalKind.TOKEN, attributes=its, first_seen=NOW, last_seen=NOW)
                 for one, its in people.items() if one]  # fmt: skip
    access = {name: Access(attributes=its) for name, its in places.items()}
    rules = compile_routes(access, everybody, enforced, candidate, percent, WHEN)
    assert set(rules) == set(places)

    def expected(name: str, its: dict, route: str, engine: PolicyEngine | None) -> bool:
        if engine is None:
            return True
        return engine.decide([Question(name, its, route, places[route], at_time(WHEN))])[0].allowed

    for one in everybody:
        binding = candidate if candidate and held_to_candidate(one.id, percent) else enforced
        allowed = {route for route in places if expected(one.id, people[one.id], route, binding)}
        assert {route for route in places if rules[route].allows(one.id)} == allowed
        assert routes_of(one, access, enforced, candidate, percent, WHEN) == allowed
    for route in places:
        unknown = candidate if candidate and percent == 100 else enforced
        assert rules[route].default_allowed == expected("", {}, route, unknown)
        assert "" not in rules[route].exceptions


def test_cohorts_are_sticky_even_and_only_grow():
    names = [f"https://login.example|{number}" for number in range(5000)]
    assert {cohort(name) for name in names} == set(range(100))
    for lower, higher in ((0, 10), (10, 50), (50, 100)):
        assert {one for one in names if held_to_candidate(one, lower)} <= {
            one for one in names if held_to_candidate(one, higher)
        }
    assert abs(sum(held_to_candidate(one, 10) for one in names) / len(names) - 0.1) < 0.02
    assert not any(held_to_candidate(one, 0) for one in names)
    assert cohort("https://login.example|ana") == 3


@pytest.mark.parametrize(
    ("mentions", "needed"),
    [(frozenset({"principal", "context.hour", "context.now", "context.weekday"}), False),
     (frozenset({"context.size"}), True), (None, True), (frozenset(), False)],
)  # fmt: skip
def test_which_policies_need_a_request(mentions: frozenset[str] | None, needed: bool):
    assert needs_request(mentions) is needed


def test_many_alike_are_asked_once():
    asked: list[int] = []

    class Counting:
        def mentions(self) -> frozenset[str] | None:
            return ENGINE.mentions()

        def decide(self, questions):
            asked.append(len(questions))
            return ENGINE.decide(questions)

    people = [person(f"p{number}", department=f"d{number % 3}", unseen=str(number)) for number in range(300)]
    places = {f"r{number}": Access(attributes={"department": f"d{number % 4}"}) for number in range(300)}
    compile_routes(places, people, Counting(), None, 0, WHEN)
    assert asked == [(3 + 1) * 4]
