"""Invitations and members, on every database."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from inventory.model import GatewayStatus, Invitation, Member, utc_now
from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def invite(store: Store, digest: str = "d", gateway: str = "paris", hours: float = 1.0) -> None:
    made = Invitation(digest=digest, gateway=gateway, expires_at=utc_now() + timedelta(hours=hours))
    store.fleet.invite(made, who="ana", why="a second site")


def member(enrolment: str = "e1") -> Member:
    now = utc_now()
    return Member(gateway="unknown", enrolment=enrolment, joined_at=now, ends_at=now + timedelta(days=1))


def test_an_invitation_is_used_once(store: Store) -> None:
    invite(store)
    assert store.fleet.redeem("d", member()) == ""
    assert [one.gateway for one in store.fleet.members()] == ["paris"]
    assert "used before" in store.fleet.redeem("d", member("e2"))
    assert store.fleet.members()[0].enrolment == "e1"


def test_one_that_has_ended_or_was_never_given_lets_nobody_in(store: Store) -> None:
    invite(store, hours=-0.001)
    assert "expired" in store.fleet.redeem("d", member())
    assert "none that was given out" in store.fleet.redeem("other", member())
    assert store.fleet.members() == []


def test_who_joins_anew_takes_the_place_of_the_one_before(store: Store) -> None:
    invite(store)
    invite(store, "d2")
    store.fleet.redeem("d", member())
    assert store.fleet.expel("paris", who="ana", why="sold")
    store.fleet.redeem("d2", member("e2"))
    (one,) = store.fleet.members()
    assert (one.enrolment, one.expelled_at) == ("e2", None)
    later = one.ends_at + timedelta(days=1)
    store.fleet.renewed("paris", "e1", later)
    assert store.fleet.members()[0].ends_at == one.ends_at
    store.fleet.renewed("paris", "e2", later)
    assert store.fleet.members()[0].ends_at == later


def test_what_an_expelled_gateway_reported_is_forgotten(store: Store) -> None:
    invite(store)
    store.fleet.redeem("d", member())
    status = GatewayStatus(id="paris", address="h:1", healthy=True, heartbeat_at=utc_now(), revisions={"iris": 3})
    store.gateways.report(status)
    assert not store.fleet.expel("london", who="ana", why="never seen")
    assert store.fleet.expel("paris", who="ana", why="sold")
    assert not store.fleet.expel("paris", who="ana", why="again")
    assert store.gateways.list() == []
    store.gateways.forget("paris")


def test_the_record_of_changes_has_who_and_why_and_no_digest(store: Store) -> None:
    invite(store, digest="thedigest")
    store.fleet.redeem("thedigest", member())
    store.fleet.expel("paris", who="ana", why="sold")
    found = [one for one in store.changes.list() if one.subject == "gateway:paris"]
    assert {(one.action, one.who) for one in found} == {
        ("invite gateway", "ana"),
        ("join gateway", "paris"),
        ("expel gateway", "ana"),
    }
    assert not any("thedigest" in one.model_dump_json() for one in found)


def test_old_invitations_are_forgotten_by_the_next(store: Store) -> None:
    invite(store, "old", hours=-1.0)
    invite(store, "new")
    assert store.fleet.invited("old") is None
    assert store.fleet.invited("new") is not None
