"""Which key signs, which are published: whenever anybody looks, every live token's key is there."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from making import NOW

from router.identity.signing import AHEAD, PERIOD, REMAINS, SigningKey, fresh_key, next_turn, public_jwks, signer_at

LIFE = timedelta(minutes=15)


def key(name: str, signs_from) -> SigningKey:
    return SigningKey(kid=name * 8, made_at=signs_from, signs_from=signs_from, jwk={"kty": "EC"})


def test_the_first_key_signs_at_once():
    assert next_turn([], NOW) == (NOW, frozenset())
    assert signer_at([], NOW) is None
    first = fresh_key(NOW, NOW)
    assert signer_at([first], NOW) == first
    assert next_turn([first], NOW) == (None, frozenset())


def test_the_next_key_is_published_before_it_signs():
    first = key("a", NOW)
    assert next_turn([first], NOW + PERIOD - AHEAD - timedelta(seconds=1)).make is None
    moment = NOW + PERIOD - AHEAD
    made = next_turn([first], moment).make
    assert made == NOW + PERIOD
    second = key("b", made)
    assert signer_at([second, first], moment) == first
    assert signer_at([second, first], made) == second
    assert next_turn([first, second], moment) == (None, frozenset())


def test_an_old_key_stays_until_its_tokens_have_expired():
    first, second = key("a", NOW), key("b", NOW + PERIOD)
    assert next_turn([first, second], NOW + PERIOD + REMAINS - timedelta(seconds=1)).forget == frozenset()
    assert next_turn([first, second], NOW + PERIOD + REMAINS).forget == {first.kid}


def test_a_clock_that_was_set_back_signs_with_what_is_published():
    first, second = key("a", NOW), key("b", NOW + PERIOD)
    assert signer_at([first, second], NOW - timedelta(days=1)) == first


def test_only_the_public_members_are_published():
    made = fresh_key(NOW, NOW)
    (shown,) = public_jwks([made])["keys"]
    assert shown.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert made.jwk["d"] not in repr(made)


@settings(max_examples=200)
@given(steps=st.lists(st.integers(1, 60 * 24 * 3), min_size=1, max_size=40))
def test_no_token_is_ever_without_its_key(steps: list[int]):
    """The daemon looks at any moments; a verifier who fetched keys within AHEAD before a token came knows its key."""
    now, keys, live, seen = NOW, [], [], []
    for number, minutes in enumerate(steps):
        turn = next_turn(keys, now)
        if turn.make is not None:
            keys.append(key(f"{number:02d}", turn.make))
        keys = [one for one in keys if one.kid not in turn.forget]
        signing = signer_at(keys, now)
        assert signing is not None
        published = {one.kid for one in keys}
        live = [(kid, until) for kid, until in live if until > now]
        assert {kid for kid, _ in live} <= published
        seen.append((now, published))
        earlier = [kids for at, kids in seen[:-1] if now - AHEAD <= at]
        assert all(signing.kid in kids for kids in earlier)
        live.append((signing.kid, now + LIFE))
        now += timedelta(minutes=minutes)
