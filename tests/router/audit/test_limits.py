"""Candidate rate limits on calls of known times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inventory.model import Access, Call, RateLimit
from router.audit.limits import Buckets, Limiter

START = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)


def call(seconds: float, principal: str = "ana", **parts: object) -> Call:
    fields = {
        "id": "r",
        "at": START + timedelta(seconds=seconds),
        "route": "churn",
        "revision": 1,
        "network": "10.0.0.0/24",
    }
    return Call.model_validate(fields | {"method": "GET", "path": "/", "status": 200, "principal": principal} | parts)


def test_a_bucket_fills_evenly_and_holds_no_more_than_its_size() -> None:
    access = Access(limits=(RateLimit(by="principal", requests=6, seconds=60),))
    limiter = Limiter()
    at = [0.0] * 7 + [5, 10, 11, 600] + [600] * 6
    assert [bool(limiter.over(call(one), access, {})) for one in at] == (
        [False] * 6 + [True] + [True, False, True, False] + [False] * 5 + [True]
    )


def test_callers_teams_and_routes_have_buckets_of_their_own() -> None:
    limits = (
        RateLimit(by="principal", requests=1), RateLimit(by="team", requests=2), RateLimit(by="route", requests=3),
        RateLimit(by="route", requests=1, candidate=False),
    )  # fmt: skip
    access, limiter = Access(limits=limits), Limiter()
    team = {"team": "churn"}
    assert limiter.over(call(0), access, team) == ()
    assert limiter.over(call(0), access, team) == ("principal",)
    assert limiter.over(call(0, "bob"), access, team) == ("team",)
    assert limiter.over(call(0, "eve"), access, {"team": "risk"}) == ("route",)
    assert limiter.over(call(0, "eve", route="iris"), access, {"team": "risk"}) == ()


def test_anonymous_callers_are_told_apart_by_network() -> None:
    access, limiter = Access(limits=(RateLimit(by="principal", requests=1),)), Limiter()
    assert limiter.over(call(0, ""), access, {}) == ()
    assert limiter.over(call(0, "", network="10.0.1.0/24"), access, {}) == ()
    assert limiter.over(call(0, ""), access, {}) == ("principal",)


@pytest.mark.parametrize(("shared", "over"), [(False, [0, 0]), (True, [0, 1])])
def test_only_a_shared_limit_counts_gateways_together(shared: bool, over: list[int]) -> None:
    access, limiter = Access(limits=(RateLimit(by="principal", requests=1, shared=shared),)), Limiter()
    assert [len(limiter.over(call(0), access, {}, gateway)) for gateway in ("local", "paris")] == over


@given(st.lists(st.floats(0, 30), max_size=30), st.integers(1, 5), st.integers(1, 20))
@example([0.0, 0.0, 0.0, 0.0, 1.0, 3.147198963329336, 1.0], 1, 1)
def test_a_bucket_says_how_long_until_it_has_a_token(at: list[float], requests: int, seconds: int) -> None:
    limit, buckets = RateLimit(by="route", requests=requests, seconds=seconds), Buckets()
    now = 0.0
    for step in at:
        now += step
        wait = buckets.wait("one", limit, now)
        assert buckets.wait("another", limit, now) == 0
        if wait:
            assert not buckets.take("one", limit, now)
        early = wait - 2e-6 * seconds / requests
        if early > 0:
            assert not buckets.take("one", limit, now + early)
        # Not a moment later, however the sum is rounded.
        now += wait
        assert buckets.take("one", limit, now)


def test_what_was_refused_before_takes_nothing() -> None:
    access, limiter = Access(limits=(RateLimit(by="route", requests=1),)), Limiter()
    for refused in ("token", "policy", "limit"):
        assert limiter.over(call(0, refused_by=refused), access, {}) == ()
    assert limiter.over(call(0), access, {}) == ()


def test_made_up_callers_cost_no_memory() -> None:
    access, limiter = Access(limits=(RateLimit(by="principal", requests=1, seconds=3600),)), Limiter(most=10)
    for number in range(100):
        assert limiter.over(call(0, f"caller-{number}"), access, {}) == ()
    assert [len(limiter.over(call(0, f"caller-{number}"), access, {})) for number in (99, 0)] == [1, 0]


@given(st.lists(st.floats(0, 300), min_size=1, max_size=200), st.integers(1, 20), st.integers(1, 60))
def test_in_any_stretch_no_more_pass_than_the_bucket_and_the_time_give(
    at: list[float], requests: int, seconds: int
) -> None:
    access, limiter = Access(limits=(RateLimit(by="route", requests=requests, seconds=seconds),)), Limiter()
    passed = [one for one in sorted(at) if not limiter.over(call(one), access, {})]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            span = passed[last] - passed[first]
            assert last - first + 1 <= requests + span * requests / seconds + 1e-3
