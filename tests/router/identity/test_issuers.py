"""What issuers say is judged: discovery, keys, claims."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from inventory.model import Issuer
from router.identity.issuers import (
    ClaimError,
    IssuerError,
    algorithms_of,
    attributes_of,
    check_required,
    check_url,
    claim,
    discovery_url,
    principal_of,
    read_discovery,
    read_jwks,
)

URL = "https://login.lab.example/realms/lab"
ISSUER = Issuer(name="lab", url=URL, audiences=("models",))
RSA = RSAKey.generate_key(2048, auto_kid=True)
EC = ECKey.generate_key("P-256", auto_kid=True)


def document(**more: object) -> bytes:
    return json.dumps({"issuer": URL, "jwks_uri": f"{URL}/certs", **more}).encode()


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": [one if isinstance(one, dict) else one.as_dict(private=False) for one in keys]}).encode()


def test_discovery_gives_the_url_of_the_keys():
    assert discovery_url(ISSUER) == f"{URL}/.well-known/openid-configuration"
    assert discovery_url(ISSUER.model_copy(update={"url": "https://a.example/"})).startswith("https://a.example/.well")
    assert read_discovery(document(), ISSUER) == f"{URL}/certs"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (document(issuer="https://evil.example"), "is of the issuer 'https://evil.example'"),
        (document(issuer=f"{URL}/"), "not of"),
        (document(issuer=[URL]), "not of"),
        (document(jwks_uri=None), "names no jwks_uri"),
        (document(jwks_uri="http://login.lab.example/certs"), "not https"),
        (document(jwks_uri="http://127.0.0.1:9/certs"), "not https"),
        (document(jwks_uri="file:///etc/passwd"), "not the URL"),
        (document(jwks_uri="https://user:word@login.lab.example/"), "without user"),
        (document(jwks_uri="https://[::1"), "not a URL"),
        (document(jwks_uri="https://host:99999/"), "not a URL"),
        (b"[]", "not a JSON object"),
        (b"<html>", "not JSON"),
        (b'{"issuer": "a", "issuer": "b"}', "a name twice"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested too deeply"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_a_discovery_document_that_cannot_be_believed(said: bytes, words: str):
    with pytest.raises(IssuerError, match=words):
        read_discovery(said, ISSUER)


def test_http_is_for_this_machine_only():
    for url in (
        "http://localhost:1/",
        "http://127.8.9.1/",
        "http://[::1]:1/",
        "http://a.localhost/",
        "https://x.example",
    ):
        check_url(url)
    for url in (
        "http://localhost.evil.example/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "ftp://localhost/",
        "http:///x",
    ):
        with pytest.raises(IssuerError):
            check_url(url)
    with pytest.raises(IssuerError):
        check_url("http://localhost/", plain=False)


def test_keys_are_kept_with_their_public_members_only():
    secret = OctKey.generate_key(256)
    more = {**EC.as_dict(private=False), "x5c": ["MII"], "x5u": "https://evil.example", "note": 1}
    kept = read_jwks(jwks(RSA, more, secret.as_dict(private=True), {**RSA.as_dict(private=False), "use": "enc"}))
    assert [one["kid"] for one in kept["keys"]] == [RSA.kid, EC.kid]
    assert kept["keys"][1].keys() == {"kty", "crv", "x", "y", "kid"}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"{}", "no list of keys"),
        (b'{"keys": {}}', "no list of keys"),
        (b'{"keys": ["a"]}', "no list of keys"),
        (b'{"keys": []}', "no key that verifies"),
        (jwks({"kty": "oct", "k": "c2VjcmV0"}), "no key that verifies"),
        (jwks({**RSA.as_dict(private=False), "use": "enc"}), "no key that verifies"),
        (jwks({**RSA.as_dict(private=False), "key_ops": 5}), "no key that verifies"),
        (jwks({**RSA.as_dict(private=False), "alg": "HS256"}), "no key that verifies"),
        (jwks({**EC.as_dict(private=False), "crv": "secp256k1"}), "no key that verifies"),
        (jwks({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "no key that verifies|malformed"),
        (jwks({**EC.as_dict(private=False), "y": EC.as_dict(private=False)["x"]}), "malformed"),
        (jwks({"kty": "EC", "crv": "P-256"}), "malformed"),
        (jwks({**EC.as_dict(private=False), "kid": 7}), "not text"),
        (jwks(EC.as_dict(private=True)), "private key"),
        (jwks(*[EC] * 65), "64 is the most"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.replace(" ", "-"),
)
def test_keys_that_cannot_be_used(said: bytes, words: str):
    with pytest.raises(IssuerError, match=words):
        read_jwks(said)


def test_algorithms_are_those_of_the_kind_of_key():
    assert algorithms_of(RSA.as_dict(private=False)) >= {"RS256", "PS512"}
    assert algorithms_of({**RSA.as_dict(private=False), "alg": "PS256"}) == {"PS256"}
    assert algorithms_of(EC.as_dict(private=False)) == {"ES256"}
    assert algorithms_of({**EC.as_dict(private=False), "alg": "RS256"}) == frozenset()
    assert algorithms_of(OKPKey.generate_key("Ed25519").as_dict(private=False)) == {"EdDSA"}
    assert algorithms_of({"kty": "EC", "crv": "Ed25519"}) == frozenset()


CLAIMS = {
    "sub": "auth0|7",
    "email": "ana@lab.example",
    "groups": ["risk", "pricing", 7, None, {"a": 1}],
    "https://lab.example/dept": "ml",
    "realm_access": {"roles": ["admin"]},
    "resource_access": {"web.client": {"roles": ["reader"]}},
    "email_verified": True,
    "level": 3,
    "empty": [],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("email", "ana@lab.example"),
        ("https://lab.example/dept", "ml"),
        ("realm_access.roles", ["admin"]),
        ("resource_access.web.client.roles", ["reader"]),
        ("email.sub", None),
        ("nothing", None),
        (".", None),
    ],
)
def test_a_path_leads_to_a_claim(path: str, value: object):
    assert claim(CLAIMS, path) == value


def test_claims_become_attributes():
    paths = {
        "team": "groups",
        "level": "level",
        "sure": "email_verified",
        "none": "nope",
        "bag": "realm_access",
        "no": "empty",
    }
    issuer = ISSUER.model_copy(update={"attributes": paths})
    assert attributes_of(issuer, CLAIMS) == {"team": ("risk", "pricing", "7"), "level": "3", "sure": "true"}


def test_a_caller_is_the_issuer_and_the_subject():
    assert principal_of(ISSUER, CLAIMS) == f"{URL}|auth0|7"
    by_mail = ISSUER.model_copy(update={"subject": "email"})
    assert principal_of(by_mail, CLAIMS) == f"{URL}|ana@lab.example"


@pytest.mark.parametrize("subject", [None, "", 7, ["a"], "a\nb", "a\x00", "x" * 256, "\u202eevil"])
def test_a_subject_that_names_nobody(subject: object):
    with pytest.raises(ClaimError):
        principal_of(ISSUER, {"sub": subject})


def test_rules_ask_for_one_of_some_values():
    issuer = ISSUER.model_copy(update={"requires": {"groups": ("risk", "fraud"), "email_verified": ("true",)}})
    check_required(issuer, CLAIMS)
    for bad in (
        {"groups": ["other"], "email_verified": True},
        {"groups": "risk"},
        {"groups": [], "email_verified": True},
    ):
        with pytest.raises(ClaimError, match="none of the values"):
            check_required(issuer, bad)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["issuer", "jwks_uri", "keys"]), json_values).map(json.dumps) | st.text())
def test_nothing_but_an_issuer_error_comes_of_any_document(text: str):
    for read in (lambda said: read_discovery(said, ISSUER), read_jwks):
        with pytest.raises(IssuerError):
            read(text.encode())
