"""What decisions are made from, and who came in between."""

from datetime import timedelta

from making import NOW

from inventory.model import PolicyState, Principal, PrincipalKind
from router.governor import basis_of, newcomers


def known(*names: str) -> list[Principal]:
    return [Principal(id=name, kind=PrincipalKind.TOKEN, first_seen=NOW, last_seen=NOW) for name in names]


STATE = PolicyState(enforced=1, version=1)
ROUTES = {"iris": {"team": "risk"}}


def test_equal_ground_gives_equal_decisions() -> None:
    one = basis_of(STATE, ROUTES, known("ana", "bo"), NOW)
    assert one == basis_of(STATE, ROUTES, known("bo", "ana"), NOW)
    assert one != basis_of(STATE, ROUTES, known("ana"), NOW)
    assert one != basis_of(STATE, {"iris": {"team": "churn"}}, known("ana", "bo"), NOW)
    assert one != basis_of(STATE, ROUTES, known("ana", "bo"), NOW + timedelta(hours=1))


def test_who_came_while_something_changed_is_named() -> None:
    before = basis_of(STATE, ROUTES, known("ana"), NOW)
    later = PolicyState(enforced=2, version=2)
    assert newcomers(before, basis_of(later, ROUTES, known("ana", "bo"), NOW)) == {"bo"}
    assert newcomers(before, basis_of(STATE, {}, known("ana", "bo"), NOW)) == {"bo"}
    assert newcomers(before, basis_of(STATE, ROUTES, known("ana", "bo"), NOW)) == set()
    assert newcomers(None, before) == set()
