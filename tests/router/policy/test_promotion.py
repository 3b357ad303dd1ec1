"""The gate before a candidate is enforced."""

from datetime import UTC, datetime, timedelta

from inventory.calls import Tally
from inventory.model import Decision, PolicyState
from router.policy.impact import coverage, impacts
from router.policy.promotion import Bar, hindrances, matches, since_when, too_short

AT = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)
YES, NO = Decision(allowed=True, policies=("teams",)), Decision(allowed=False)


def tally(
    principal: str = "ana", enforced: Decision | None = YES, candidate: Decision | None = YES, calls: int = 1,
    **parts: object,
) -> Tally:  # fmt: skip
    plain = Tally(principal, "", "", "churn", enforced, candidate, "", "", calls, AT, AT + timedelta(minutes=5))
    return plain._replace(**parts)  # type: ignore[arg-type]


def test_the_gate_says_all_that_is_in_the_way() -> None:
    tallies = [tally(candidate=NO, calls=50), tally("bob", candidate=NO, calls=60), tally("eve", calls=2)]
    found, covered = impacts(tallies), coverage(tallies, {"ana": {"team": "x"}}, None)
    assert hindrances(found, covered, Bar(), ()) == [
        "it was tried on 112 calls, and 1000 are asked for",
        "1 of 3 identities are known to the policies, and 95% are asked for",
        "it would deny calls of 2 identities that nobody accepted: bob, ana",
    ]
    assert hindrances(found, covered, Bar(calls=100, share=0.3), ("b*",)) == [
        "it would deny calls of 1 identity that nobody accepted: ana"
    ]
    assert hindrances(found, covered, Bar(calls=100, share=0.3), ("bob", "an[a", "ana")) == []
    assert too_short(AT, AT + timedelta(hours=5), Bar()) == ["it was tried for 5.0 hours, and 24 are asked for"]
    assert too_short(AT, AT + timedelta(hours=24), Bar()) == []


def test_an_accepted_anonymous_caller_is_named_as_it_is_shown() -> None:
    [one] = impacts([tally("", candidate=NO, network="10.0.0.0/24", client="curl/8")])
    assert matches(one, "anonymous 10.0.0.0/24 *")
    assert not matches(one, "anonymous 10.0.1.*")
    assert not matches(one, "")


def test_since_when_the_versions_are_what_they_are() -> None:
    first, second = PolicyState(enforced=1), PolicyState(enforced=1, candidate=2)
    third = second.model_copy(update={"percent": 10})
    changes = [
        (AT, second, third),
        (AT - timedelta(hours=1), first, second),
        (AT - timedelta(hours=2), PolicyState(), first),
    ]
    assert since_when(changes, third) == AT - timedelta(hours=1)
    assert since_when(changes, PolicyState(enforced=2)) is None
    assert since_when([], third) is None
