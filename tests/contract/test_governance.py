"""Issuers, keys and revocations in the store, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from making import NOW

from inventory.model import ApiKey, Issuer, Revocation
from inventory.store import Store, open_store

OKTA = Issuer(name="okta", url="https://lab.okta.example", audiences=("models",), attributes={"team": "groups"})
JWKS = {"keys": [{"kty": "EC", "kid": "one"}]}
KEY = ApiKey(id="abcdefgh", digest="0" * 62 + "ab", owner="risk", created_at=NOW, expires_at=NOW + timedelta(days=30))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def test_an_issuer_is_kept_with_its_keys_and_on_record(store: Store):
    store.issuers.put(OKTA, who="ana", why="our people")
    assert store.issuers.list() == [OKTA] == [store.issuers.get("okta")]
    assert store.issuers.keys("okta") is None
    assert store.issuers.save_keys("okta", JWKS, NOW) is True
    version = store.version()
    assert store.issuers.save_keys("okta", JWKS, NOW + timedelta(hours=1)) is False
    assert store.version() == version  # the same keys wake nobody
    store.issuers.save_error("okta", "it was away")
    (held,) = store.issuers.held()
    assert (held.keys, held.fetched_at, held.error) == (JWKS, NOW + timedelta(hours=1), "it was away")
    wider = OKTA.model_copy(update={"audiences": ("models", "lab")})
    store.issuers.put(wider, who="bo", why="the lab too")
    assert store.issuers.keys("okta") == JWKS
    moved = wider.model_copy(update={"url": "https://new.okta.example"})
    store.issuers.put(moved, who="bo", why="moved")
    assert store.issuers.keys("okta") is None  # other keys than those of the old place
    assert store.issuers.remove("okta", who="bo", why="left") is True
    assert store.issuers.remove("okta", who="bo", why="left") is False
    assert store.issuers.save_keys("okta", JWKS, NOW) is False
    changes = store.changes.list("issuer:okta")
    assert [(one.who, one.action, one.why) for one in changes] == [
        ("bo", "distrust issuer", "left"),
        ("bo", "trust issuer", "moved"),
        ("bo", "trust issuer", "the lab too"),
        ("ana", "trust issuer", "our people"),
    ]
    assert Issuer.model_validate_json(changes[-1].after or "") == OKTA


def test_a_url_is_one_issuer(store: Store):
    store.issuers.put(OKTA, who="ana", why="")
    with pytest.raises(LookupError, match="is the URL of the issuer 'okta' already"):
        store.issuers.put(OKTA.model_copy(update={"name": "other"}), who="ana", why="")
    assert [one.name for one in store.issuers.list()] == ["okta"]


def test_a_key_is_kept_and_its_digest_is_in_no_record(store: Store):
    store.keys.add(KEY, who="ana", why="a bridge")
    with pytest.raises(LookupError, match="already"):
        store.keys.add(KEY, who="ana", why="again")
    assert store.keys.list() == [KEY] == [store.keys.get(KEY.id)]
    version = store.version()
    store.keys.used(KEY.id, NOW)
    store.keys.used(KEY.id, NOW - timedelta(days=1))
    store.keys.used("nobodyknows", NOW)
    assert store.version() == version
    assert store.keys.list()[0].last_used_at == NOW
    assert store.keys.revoke(KEY.id, who="bo", why="moved to tokens") is True
    assert store.keys.revoke(KEY.id, who="bo", why="again") is False
    assert store.keys.revoke("nobodyknows", who="bo", why="again") is False
    revoked = store.keys.get(KEY.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert (revoked.digest, revoked.last_used_at) == (KEY.digest, NOW)
    changes = store.changes.list(f"key:{KEY.id}")
    assert [(one.who, one.action) for one in changes] == [("bo", "revoke key"), ("ana", "create key")]
    assert KEY.digest not in "".join(one.model_dump_json() for one in changes)


def revocation(**more: object) -> Revocation:
    values = {
        "kind": "token",
        "value": "jti-1",
        "at": NOW,
        "until": NOW + timedelta(hours=1),
        "who": "ana",
        "why": "lost",
    }
    return Revocation.model_validate(values | more)


def test_revocations_count_until_their_end(store: Store):
    token, caller = revocation(), revocation(kind="principal", value="key:abcdefgh", until=NOW + timedelta(days=1))
    assert store.revocations.add(token) is True
    assert store.revocations.add(token) is False
    assert store.revocations.add(caller) is True
    assert store.revocations.list(NOW) == [token, caller]
    assert store.revocations.list(NOW + timedelta(hours=2)) == [caller]
    assert store.revocations.prune(NOW + timedelta(hours=2)) == 1
    assert store.revocations.prune(NOW + timedelta(hours=2)) == 0
    assert store.revocations.list(NOW) == [caller]
    assert [one.action for one in store.changes.list("token:jti-1")] == ["revoke"]


def test_a_later_revocation_never_shortens_an_earlier_one(store: Store):
    store.revocations.add(revocation(kind="principal", until=NOW + timedelta(days=9)))
    later = NOW + timedelta(minutes=5)
    assert store.revocations.add(revocation(kind="principal", at=later, until=NOW + timedelta(days=1))) is True
    assert store.revocations.add(revocation(kind="principal", at=NOW, until=NOW + timedelta(days=2))) is False
    (kept,) = store.revocations.list(NOW)
    assert (kept.at, kept.until) == (later, NOW + timedelta(days=9))
