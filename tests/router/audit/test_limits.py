"""Candidate rate limits on calls of known times."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Access, Call, RateLimit
from router.audit.limits import Limiter

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
