"""Tokens that are believed, and every way in which one is not; our own tokens, as the service gives them."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import KeySet
from minting import Mint, encoded, parts

from inventory.model import ApiKey, Issuer, Principal, PrincipalKind, Revocation
from router.identity.exchange import ACCESS_TOKEN, CREDENTIALS, EXCHANGE, Reply, digest_of, metadata, revoke, token
from router.identity.signing import SigningKey, fresh_key, public_jwks
from router.identity.strictly import JsonError, read_object
from router.identity.tokens import LIFETIME, TokenError, issue, read_own, verify
from router.identity.trust import trusted

URL = "https://login.test"
OURS = "https://gateway.test"


class Held(NamedTuple):
    issuer: Issuer
    keys: dict[str, Any]


@pytest.fixture(scope="module")
def mint() -> Mint:
    return Mint(URL, kind="RSA")


def held(mint: Mint, **parts_: Any) -> list[Held]:
    told = {"name": "lab", "url": URL, "audiences": ("gnomon",), "attributes": {"team": "team"}} | parts_
    return [Held(Issuer.model_validate(told), KeySet(mint.published).as_dict(private=False))]


def now() -> datetime:
    return datetime.now(UTC)


def test_a_good_token_says_who_calls(mint: Mint) -> None:
    verified = verify(mint.token("ana", team="risk", jti="t1"), held(mint), now())
    assert verified.principal.id == f"{URL}|ana"
    assert verified.principal.attributes == {"team": "risk"}
    assert (verified.token_id, verified.principal.kind) == ("t1", PrincipalKind.TOKEN)
    assert verify(mint.token("ana", aud=["x", "gnomon"]), held(mint), now()).token_id == ""


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_without_end_is_none(number: str) -> None:
    with pytest.raises(JsonError, match="a number that is none"):
        read_object(f'{{"exp": {number}}}'.encode())
    assert read_object(b'{"exp": 1.5e3}') == {"exp": 1500.0}


def test_what_is_merely_unusual_is_believed(mint: Mint) -> None:
    """Parameters that nobody registered, certificates in the header, no moment of issue."""
    at = mint.claims("ana", iat=None)
    assert verify(mint.token("ana", iat=None), held(mint), now()).issued_at == 0
    assert "iat" not in at
    odd = jwt_of(mint, {"x-lab": "1", "x5c": ["A" * 2000]})
    assert verify(odd, held(mint), now()).principal.id == f"{URL}|ana"
    with pytest.raises(TokenError):
        verify(jwt_of(mint, {"crit": ["x-lab"], "x-lab": "1"}), held(mint), now())


def jwt_of(mint: Mint, header: dict[str, Any]) -> str:
    """A token with any header, signed by hand."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    told = {"alg": "RS256", "kid": mint.key.kid, **header}
    signed = f"{encoded(json.dumps(told).encode())}.{encoded(json.dumps(mint.claims('ana')).encode())}"
    signature = mint.key.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{encoded(signature)}"


def bad(mint: Mint) -> dict[str, str]:
    at = int(now().timestamp())
    foreign, good, claims = Mint(URL, kind="RSA"), mint.token("ana"), mint.claims("ana")
    head, body, signature = good.split(".")
    public = mint.key.as_pem(private=False)
    hs = encoded(json.dumps({"alg": "HS256"}).encode()) + "." + body
    twice = encoded(b'{"alg":"RS256","alg":"none"}')
    return {
        "forged": foreign.token("ana"),
        "expired": mint.token("ana", exp=at - 120),
        "not yet": mint.token("ana", nbf=at + 120),
        "from the future": mint.token("ana", iat=at + 120),
        "no end": mint.token("ana", exp=None),
        "an end that is none": parts({"alg": "RS256"}, {**claims, "exp": True}, signature=signature),
        "an end beyond all numbers": mint.token("ana", exp=10**600),
        "a logout": mint.token("ana", header={"typ": "logout+jwt"}),
        "audience as an object": mint.token("ana", aud={"gnomon": 1}),
        "audiences that are none": mint.token("ana", aud=[["gnomon"], 1]),
        "wrong audience": mint.token("ana", aud="x"),
        "no audience": mint.token("ana", aud=None),
        "odd audience": mint.token("ana", aud=[]),
        "other issuer": mint.token("ana", iss="https://evil.test"),
        "no issuer": mint.token("ana", iss=None),
        "no subject": mint.token("ana", sub=None),
        "none": parts({"alg": "none"}, claims),
        "hmac": hs + "." + encoded(hmac.new(public, hs.encode(), hashlib.sha256).digest()),
        "a name twice": f"{twice}.{body}.{signature}",
        "other algorithm": parts({"alg": "RS512"}, claims, signature=signature),
        "path as kid": mint.token("ana", header={"kid": "../../../dev/null"}),
        "own key": parts({"alg": "RS256", "jwk": foreign.key.as_dict(private=False)}, claims, signature=signature),
        "where the key is": foreign.token("ana", header={"jku": "http://127.0.0.1/k", "x5u": "http://127.0.0.1/c"}),
        "changed": f"{head}.{encoded(json.dumps({**claims, 'sub': 'mallory'}).encode())}.{signature}",
        "two parts": f"{head}.{body}",
        "five parts": f"{good}.a.b",
        "padded": f"{head}=.{body}.{signature}",
        "huge": "a" * 20_000,
        "empty": "",
        "text": "\u2028" * 3,
    }


def test_no_bad_token_is_believed(mint: Mint) -> None:
    for name, bad_token in bad(mint).items():
        with pytest.raises(TokenError) as refused:
            pytest.fail(f"{name}: {verify(bad_token, held(mint), now())}")
        assert "\n" not in str(refused.value)
        assert "mallory" not in str(refused.value)


@given(st.text(max_size=300))
def test_whatever_is_sent_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(TokenError):
        verify(text, [], now())


def test_claims_that_an_issuer_asks_for_must_be_there(mint: Mint) -> None:
    strict = held(mint, requires={"tid": ("lab",)})
    assert verify(mint.token("ana", tid="lab"), strict, now())
    for told in ({}, {"tid": "other"}, {"tid": ["x"]}):
        with pytest.raises(TokenError, match="none of the values"):
            verify(mint.token("ana", **told), strict, now())


def test_clocks_may_be_apart_as_far_as_the_issuer_says(mint: Mint) -> None:
    late = mint.token("ana", exp=int(now().timestamp()) - 30)
    assert verify(late, held(mint), now())
    with pytest.raises(TokenError, match="has expired"):
        verify(late, held(mint, leeway_seconds=0), now())


PRINCIPAL = Principal(
    id=f"{URL}|ana", kind=PrincipalKind.TOKEN, attributes={"team": "risk", "groups": ("a", "b")},
    first_seen=now(), last_seen=now(),
)  # fmt: skip


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return fresh_key(now(), now())


def test_a_token_of_ours_lists_routes_and_is_read_back(key: SigningKey) -> None:
    made = issue(key, PRINCIPAL, {"iris", "churn"}, OURS, now())
    claims = read_own(made.token, public_jwks([key]), OURS, now())
    assert claims["routes"] == ["churn", "iris"]
    assert (claims["sub"], claims["orig_iss"], claims["orig_sub"]) == (PRINCIPAL.id, URL, "ana")
    assert claims["attributes"] == {"team": "risk", "groups": ["a", "b"]}
    assert claims["exp"] - claims["iat"] == LIFETIME == 900
    assert "d" not in public_jwks([key])["keys"][0]
    with pytest.raises(TokenError):
        read_own(made.token, public_jwks([fresh_key(now(), now())]), OURS, now())
    with pytest.raises(TokenError, match="none of ours"):
        read_own(made.token, public_jwks([key]), "https://other.test", now())
    with pytest.raises(TokenError, match="has expired"):
        read_own(made.token, public_jwks([key]), OURS, now() + timedelta(seconds=LIFETIME))


class Desk:
    """What the token service knows, in memory."""

    def __init__(self, mint: Mint) -> None:
        self.issuers = held(mint)
        self.keys: dict[str, ApiKey] = {}
        self.gone: list[Revocation] = []
        self.got: list[tuple[str, str | None]] = []

    def held(self) -> list[Any]:
        return list(self.issuers)

    def key(self, key_id: str) -> ApiKey | None:
        return self.keys.get(key_id)

    def revoked(self) -> list[Revocation]:
        return self.gone

    def grants(self, principal: Principal) -> set[str]:
        return {"iris", "churn"}

    def seen(self, principal: Principal, key_id: str | None) -> None:
        self.got.append((principal.id, key_id))

    def revoke(self, revocation: Revocation) -> None:
        self.gone.append(revocation)


@pytest.fixture
def desk(mint: Mint) -> Desk:
    return Desk(mint)


def swap(desk: Desk, key: SigningKey, subject: str, **form: str) -> Reply:
    asked = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN, **form}
    return token(asked, "", desk, (key,), OURS)


def test_a_token_is_swapped_and_given_up(mint: Mint, key: SigningKey, desk: Desk) -> None:
    reply = swap(desk, key, mint.token("ana"))
    assert (reply.status, reply.body["scope"], reply.body["token_type"]) == (200, "churn iris", "Bearer")
    assert reply.headers["Cache-Control"] == "no-store"
    assert desk.got == [(f"{URL}|ana", None)]
    narrow = swap(desk, key, mint.token("ana"), scope="iris")
    assert read_own(narrow.body["access_token"], public_jwks([key]), OURS, now())["routes"] == ["iris"]
    assert swap(desk, key, mint.token("ana"), scope="iris secret").body["error"] == "invalid_scope"
    assert revoke({"token": reply.body["access_token"]}, desk, (key,), OURS).status == 200
    assert [one.kind for one in desk.gone] == ["token"]
    assert revoke({"token": mint.token("ana")}, desk, (key,), OURS) == Reply(200, {})
    assert revoke({}, desk, (key,), OURS).status == 400
    assert len(desk.gone) == 1


def test_a_token_of_ours_is_swapped_for_no_other(mint: Mint, key: SigningKey, desk: Desk) -> None:
    desk.issuers = [*held(mint), Held(Issuer(name="own", url=OURS, audiences=("gnomon",)), public_jwks([key]))]
    ours = swap(desk, key, mint.token("ana")).body["access_token"]
    assert swap(desk, key, ours).body["error"] == "invalid_request"


def test_other_audiences_and_kinds_are_not_offered(mint: Mint, key: SigningKey, desk: Desk) -> None:
    good = mint.token("ana")
    assert swap(desk, key, good, audience="iris").body["error"] == "invalid_target"
    assert swap(desk, key, good, resource="https://x.test").body["error"] == "invalid_target"
    assert swap(desk, key, good, audience="gnomon", requested_token_type=ACCESS_TOKEN).status == 200
    assert swap(desk, key, good, requested_token_type="saml2").body["error"] == "invalid_request"


def test_a_token_that_would_be_too_long_is_not_made(mint: Mint, key: SigningKey, desk: Desk) -> None:
    many = {f"route-{number:04}" for number in range(1500)}
    desk.grants = lambda principal: many  # type: ignore[method-assign, assignment, return-value]
    refused = swap(desk, key, mint.token("ana"))
    assert (refused.status, refused.body["error"]) == (400, "invalid_scope")
    assert desk.got == []
    some = swap(desk, key, mint.token("ana"), scope="route-0001 route-0002").body["access_token"]
    assert revoke({"token": some}, desk, (key,), OURS).status == 200
    assert len(desk.gone) == 1


def test_what_was_revoked_is_swapped_no_more(mint: Mint, key: SigningKey, desk: Desk) -> None:
    until, at = now() + timedelta(days=1), now()
    stolen = mint.token("ana", jti="t1")
    desk.gone = [Revocation(kind="token", value="t1", at=at, until=until, who="me", why="stolen")]
    assert swap(desk, key, stolen).body["error_description"] == "the token was revoked"
    assert swap(desk, key, mint.token("ana", jti="t2")).status == 200
    desk.gone = [Revocation(kind="principal", value=f"{URL}|ana", at=at, until=until, who="me", why="left")]
    assert swap(desk, key, mint.token("ana", iat=int(at.timestamp()) - 5)).status == 400
    assert swap(desk, key, mint.token("ana", iat=int(at.timestamp()) + 2)).status == 200
    desk.gone = [Revocation(kind="exchanged", value=f"{URL}|ana", at=at, until=until, who="me", why="a policy")]
    assert swap(desk, key, mint.token("ana")).status == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": EXCHANGE}, "invalid_request"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": "saml2"}, "invalid_request"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ({"grant_type": CREDENTIALS}, "invalid_client"),
        ({"grant_type": CREDENTIALS, "client_secret": "gk_"}, "invalid_client"),
    ],
)
def test_what_cannot_be_answered_is_an_error_of_the_standard(desk: Desk, key: SigningKey, form: Any, code: str) -> None:
    reply = token(form, "", desk, (key,), OURS)
    assert (reply.status in {400, 401}, reply.body["error"]) == (True, code)
    assert desk.got == []


def test_a_key_is_believed_until_its_end(desk: Desk, key: SigningKey) -> None:
    secret = "gk_0a1b2c3d_secret"
    known = ApiKey(
        id="0a1b2c3d", digest=digest_of(secret), owner="risk", created_at=now(), expires_at=now() + timedelta(days=1)
    )
    desk.keys = {known.id: known}

    def asked(given: str, authorization: str = "") -> int:
        form = {"grant_type": CREDENTIALS, **({"client_secret": given} if given else {})}
        return token(form, authorization, desk, (key,), OURS).status

    from base64 import b64encode

    assert asked(secret) == 200
    assert asked("", "Basic " + b64encode(f"0a1b2c3d:{secret}".encode()).decode()) == 200
    assert desk.got == [("key:0a1b2c3d", "0a1b2c3d")] * 2
    for wrong in (secret + "x", secret[:-1], "gk_0a1b2c3d_", "0a1b2c3d", digest_of(secret)):
        assert asked(wrong) == 401
    assert asked("", "Basic ???") == 401
    desk.keys = {known.id: known.model_copy(update={"expires_at": now()})}
    assert asked(secret) == 401
    desk.keys = {known.id: known.model_copy(update={"revoked_at": now()})}
    assert asked(secret) == 401


def test_what_gateways_are_told_of_issuers(mint: Mint, key: SigningKey) -> None:
    known = held(mint, algorithms=("RS256",), requires={"tid": ("lab",)})
    ours, theirs = trusted(known, OURS, public_jwks([key]))
    assert (ours.own, ours.issuer, ours.audiences) == (True, OURS, ("gnomon",))
    assert (theirs.own, theirs.team, theirs.requires) == (False, "team", {"tid": ("lab",)})
    assert len(json.loads(theirs.keys)["keys"]) == 1
    assert json.loads(trusted(held(mint, algorithms=("ES256",)), None, None)[0].keys) == {"keys": []}
    bare = {"keys": [{name: value for name, value in known[0].keys["keys"][0].items() if name != "alg"}]}
    (both,) = trusted([Held(held(mint, algorithms=("RS256", "PS256"))[0].issuer, bare)], None, None)
    assert [one["alg"] for one in json.loads(both.keys)["keys"]] == ["PS256", "RS256"]
    assert trusted([Held(known[0].issuer, {})], None, None) == ()
    assert metadata(OURS)["token_endpoint"] == f"{OURS}/token"
