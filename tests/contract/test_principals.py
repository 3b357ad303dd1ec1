"""What every database promises of callers."""

from collections.abc import Iterator

import pytest
from making import NOW, ago

from inventory.model import Attribute, Principal, PrincipalKind
from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def caller(id_: str, hours_ago: float = 0, **attributes: Attribute) -> Principal:
    at = ago(hours=hours_ago)
    return Principal(id=id_, kind=PrincipalKind.TOKEN, attributes=attributes, first_seen=at, last_seen=at)


def test_the_first_and_the_last_sighting_are_kept_in_whatever_order_they_are_told(store: Store) -> None:
    for hours in (3, 1, 5, 2):
        store.principals.seen([caller("ana", hours, team=f"team-{hours}"), caller("ana", hours, team=f"team-{hours}")])
    [kept] = store.principals.list()
    assert (kept.first_seen, kept.last_seen, kept.attributes) == (ago(hours=5), ago(hours=1), {"team": "team-1"})


def test_what_an_issuer_no_longer_tells_is_gone_and_what_a_call_does_not_prove_stays(store: Store) -> None:
    store.principals.seen([caller("ana", 3, team="churn", groups=("a", "b"))])
    store.principals.touched([caller("ana", 2), caller("bob", 2)])
    assert store.principals.get("ana").attributes == {"team": "churn", "groups": ("a", "b")}
    assert store.principals.get("ana").last_seen == ago(hours=2)
    store.principals.seen([caller("ana", 1)])
    assert store.principals.get("ana").attributes == {}
    assert [one.id for one in store.principals.list(since=ago(hours=1.5))] == ["ana"]


def test_only_news_wakes_who_decides_ahead(store: Store) -> None:
    store.principals.seen([caller("ana", 3, team="churn")])
    before = store.version()
    store.principals.seen([caller("ana", 2, team="churn")])
    store.principals.touched([caller("ana", 1)])
    assert store.version() == before
    store.principals.seen([caller("ana", 0, team="risk")])
    assert store.version() > before


def test_a_declaration_is_on_record(store: Store) -> None:
    id_ = "spiffe://lab/churn"
    store.principals.declare(id_, PrincipalKind.CERTIFICATE, {"team": "churn"}, who="ana", why="their pods")
    store.principals.declare(id_, PrincipalKind.CERTIFICATE, {"team": "risk"}, who="bob", why="they moved")
    store.principals.touched([Principal(id=id_, kind=PrincipalKind.CERTIFICATE, first_seen=NOW, last_seen=NOW)])
    assert store.principals.get(id_).attributes == {"team": "risk"}
    newest, oldest = store.changes.list(subject=f"principal:{id_}")
    assert (newest.who, newest.before, newest.after) == ("bob", "team=churn", "team=risk")
    assert (oldest.before, oldest.after) == (None, "team=churn")


def test_an_unknown_caller_is_one_sentence(store: Store) -> None:
    with pytest.raises(LookupError, match="no caller 'eve' was seen"):
        store.principals.get("eve")
