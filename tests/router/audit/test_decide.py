"""What two policy versions say of calls, asked no oftener than they can differ."""

from datetime import UTC, datetime, timedelta

from calling import Groups

from inventory.model import Access, Attribute, Call, Decision
from router.audit.decide import Asked, Decider, InForce

AT = datetime(2026, 11, 27, 10, 30, tzinfo=UTC)


def asked(principal: str = "ana", team: str = "churn", at: datetime = AT, **parts: object) -> Asked:
    fields = {
        "id": "r",
        "at": at,
        "route": "churn",
        "revision": 1,
        "network": "",
        "method": "GET",
        "path": "/",
        "status": 200,
    }
    attributes: dict[str, Attribute] = {"team": team}
    return Asked(Call.model_validate(fields | {"status": 200, "principal": principal} | parts), attributes, "10.0.0.1")


def test_each_question_is_asked_once() -> None:
    enforced, candidate = Groups("churn", "risk"), Groups("risk")
    in_force = InForce(1, enforced, candidate)
    decider = Decider()
    for _ in range(3):
        decided = decider.decide([asked(), asked(at=AT + timedelta(minutes=9)), asked("bob", "risk")] * 100, in_force)
    yes = Decision(allowed=True, policies=("team-churn",))
    assert decided[0] == decided[1] == (yes, Decision(allowed=False))
    assert [one.allowed for one in decided[2] if one] == [True, True]
    assert enforced.asked == candidate.asked == 2


def test_another_hour_team_route_or_policy_is_another_question() -> None:
    engine = Groups("churn")
    decider = Decider()
    for one in (asked(), asked(at=AT + timedelta(hours=1)), asked(team="risk"), asked(route="iris"), asked("bob")):
        decider.decide([one], InForce(1, engine))
    assert engine.asked == 5
    decider.decide([asked()], InForce(2, engine))
    assert engine.asked == 6


def test_without_policies_there_is_no_decision() -> None:
    assert Decider().decide([asked()], InForce()) == [(None, None)]


def test_where_the_gateway_asks_each_time_requests_that_look_alike_share_an_answer() -> None:
    routes = {"churn": Access(ask="closed")}
    looking, blind, unknown = (
        Groups("churn", looks_at=frozenset({"context.size"})),
        Groups("churn"),
        Groups("churn", looks_at=None),
    )
    calls = [asked(received=size % 3 + 12, path=f"/{size}") for size in range(30)]
    for engine, times in ((looking, 3), (blind, 1), (unknown, 30)):
        decided = Decider().decide(calls, InForce(1, engine, routes=routes))
        assert engine.asked == times
    assert decided[1][0] == Decision(allowed=False, errors=("thirteen cannot be judged",))
    # Elsewhere a decision is made ahead of requests, and knows nothing of their size.
    [(ahead, _)] = Decider().decide([asked(received=13)], InForce(1, looking))
    assert ahead is not None
    assert ahead.allowed
