"""Who would be affected by other policies, on tallies that are written out."""

from datetime import UTC, datetime, timedelta

import pytest
from calling import Groups

from inventory.calls import Tally
from inventory.model import Access, Decision
from router.policy.impact import Impact, coverage, diff, identity_of, impacts, looks_at_requests, windows

AT = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)
YES, NO = Decision(allowed=True, policies=("teams",)), Decision(allowed=False)
FORBIDDEN = Decision(allowed=False, policies=("no-training",))
WRONG = Decision(allowed=False, errors=("no attribute team",))


def tally(
    principal: str = "ana", enforced: Decision | None = YES, candidate: Decision | None = YES, calls: int = 1,
    **parts: object,
) -> Tally:  # fmt: skip
    plain = Tally(principal, "", "", "churn", enforced, candidate, "", "", calls, AT, AT + timedelta(minutes=5))
    return plain._replace(**parts)  # type: ignore[arg-type]


def short(found: list[Impact]) -> list[tuple[str, str, str, int]]:
    return [(one.what, one.identity, one.reason, one.calls) for one in found]


def test_what_the_candidate_would_change_is_told_by_caller_route_and_reason() -> None:
    earlier = AT - timedelta(hours=1)
    found = impacts(
        [
            tally(calls=9),
            tally("bob", candidate=NO, calls=2),
            tally("bob", candidate=NO, calls=3, first_at=earlier),
            tally("bob", candidate=FORBIDDEN, calls=7),
            tally("eve", candidate=WRONG),
            tally("zoe", enforced=None, candidate=NO),
            tally("max", enforced=NO, candidate=YES, refused_by="policy", calls=4),
            tally("", candidate=NO, network="10.0.0.0/24", client="curl/8"),
            tally("", candidate=NO, refused_by="token", calls=99),
            tally("ida", over="principal,team", calls=6),
            tally("ida", over="team", refused_by="policy", enforced=NO, candidate=NO),
        ]
    )
    assert short(found) == [
        ("would deny", "bob", "by no-training", 7),
        ("would deny", "bob", "no policy permits it, as teams does", 5),
        ("would deny", "anonymous 10.0.0.0/24 curl/8", "no policy permits it, as teams does", 1),
        ("would deny", "eve", "cannot be evaluated: no attribute team", 1),
        ("would deny", "zoe", "no policy permits it", 1),
        ("would limit", "ida", "over the limit by principal", 6),
        ("would limit", "ida", "over the limit by team", 6),
        ("would allow", "max", "by teams", 4),
    ]
    assert (found[1].first_at, found[1].last_at) == (earlier, AT + timedelta(minutes=5))


def test_who_would_break_once_a_route_enforces_is_told_too() -> None:
    found = impacts(
        [tally(enforced=NO, candidate=NO, calls=2), tally("bob", enforced=FORBIDDEN, candidate=None), tally("eve", NO)]
    )
    assert short(found) == [
        ("let through", "ana", "no policy permits it", 2),
        ("let through", "bob", "by no-training", 1),
        ("would allow", "eve", "by teams", 1),
    ]


def test_nothing_is_said_of_calls_that_no_candidate_judged() -> None:
    assert impacts([tally(candidate=None), tally(enforced=None, candidate=None)]) == []


def test_coverage_counts_identities_and_tells_what_is_missing() -> None:
    tallies = [
        tally(calls=5), tally("bob", calls=3), tally("bob", route="iris", calls=2, candidate=None), tally("eve"),
        tally("", network="10.0.0.0/24", client="curl", calls=8), tally("", network="10.0.1.0/24", calls=2),
    ]  # fmt: skip
    known = {"ana": {"team": "churn", "department": "x"}, "bob": {"team": "risk"}}
    found = coverage(tallies, known, frozenset({"principal", "principal.team", "principal.department", "context.hour"}))
    assert (found.identities, found.known, found.calls, found.decided, found.anonymous_calls) == (3, 2, 21, 19, 10)
    assert [(one.identity, one.missing, one.calls) for one in found.unknown] == [
        ("eve", ("department", "team"), 1),
    ]
    assert [one.identity for one in found.anonymous] == ["anonymous 10.0.0.0/24 curl", "anonymous 10.0.1.0/24 ?"]
    assert found.share == pytest.approx(2 / 3)
    assert coverage(tallies, known, None).known == 2
    assert coverage(tallies, known, frozenset({"principal"})).known == 3
    assert coverage(tallies, known, frozenset({"principal=eve", "principal.team"})).known == 3
    assert coverage([], {}, None).share is None


def test_a_new_text_is_judged_on_what_was_called_each_caller_and_route_once() -> None:
    known = {"ana": {"team": "churn"}, "bob": {"team": "risk"}, "eve": {"team": "lab"}}
    before, after = Groups("churn", "risk"), Groups("churn", "lab")
    tallies = [
        tally(calls=3), tally(calls=4, candidate=None), tally("bob", calls=5), tally("bob", route="iris", calls=6),
        tally("eve", calls=7, refused_by="policy"), tally("", network="10.0.0.0/24", calls=8),
        tally("bob", calls=99, refused_by="limit"),
    ]  # fmt: skip
    found = diff(tallies, known, {"churn": Access()}, before, after)
    assert [(one.what, one.identity, one.route, one.calls) for one in found] == [
        ("would deny", "bob", "iris", 6),
        ("would deny", "bob", "churn", 5),
        ("would allow", "eve", "churn", 7),
    ]
    assert before.asked == after.asked == 5
    everything = diff(tallies, known, {}, None, after)
    assert sum(one.calls for one in everything) == 19
    assert {one.what for one in everything} == {"would deny"}


def test_policies_that_look_at_the_time_are_judged_hour_by_hour() -> None:
    until = AT + timedelta(hours=2)
    assert windows(AT, until, [frozenset({"principal.team"}), frozenset()]) == [(AT, until)]
    hours = windows(AT, until, [frozenset(), frozenset({"context.hour"})])
    assert [(start.hour, start.minute, end.hour, end.minute) for start, end in hours] == [
        (10, 30, 11, 0), (11, 0, 12, 0), (12, 0, 12, 30),
    ]  # fmt: skip
    assert len(windows(AT, until, [None])) == 3
    assert looks_at_requests(None)
    assert looks_at_requests(frozenset({"context.size"}))
    assert not looks_at_requests(frozenset({"context.hour", "principal.team"}))


def test_a_caller_is_named_by_id_or_by_where_it_calls_from() -> None:
    assert identity_of(tally("spiffe://lab/x")) == "spiffe://lab/x"
    assert identity_of(tally("")) == "anonymous ? ?"
