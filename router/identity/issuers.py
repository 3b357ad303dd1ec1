"""What an issuer says of itself and of callers, judged: discovery documents, keys and claims. Pure.

Sources: OpenID Connect Discovery 1.0, sections 3 and 4; RFC 7517 (JSON Web Key); RFC 7518, section 6;
RFC 8725 (JSON Web Token Best Current Practices), sections 3.1 to 3.10.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from inventory.model import Attribute, Issuer
from router.identity.strictly import JsonError, read_object

WELL_KNOWN: Final = "/.well-known/openid-configuration"
MOST_KEYS: Final = 64
MOST_SUBJECT: Final = 255
"""Characters of a subject, as OpenID Connect Core 1.0, section 2, has it."""

MOST_WORD: Final = 128
MOST_WORDS: Final = 64
"""Characters of one attribute, and words of one that has several, such as groups."""

LEAST_RSA_BITS: Final = 2048
CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}
_PUBLIC: Final = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class IssuerError(ValueError):
    """What an issuer says cannot be used. Its text is one sentence."""


class ClaimError(ValueError):
    """A token whose claims do not say what they must. Its text is one sentence, without any value of the token."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name alone: a loopback address, or localhost (RFC 6761, 6.3)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_url(url: str, *, plain: bool = True) -> None:
    """Raise IssuerError unless a URL may be asked: https, or where ``plain`` also http on this machine's loopback."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise IssuerError(f"{url!r} is not a URL") from error
    del port
    if not host or parts.username or parts.password or parts.fragment:
        raise IssuerError(f"{url!r} is not the URL of a host, without user and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and plain and is_loopback(host)):
        raise IssuerError(f"{url!r} is not https: keys are fetched over TLS, or from this machine")


def discovery_url(issuer: Issuer) -> str:
    """Where the discovery document of an issuer is (OpenID Connect Discovery 1.0, section 4)."""
    return issuer.url.rstrip("/") + WELL_KNOWN


def read_discovery(document: bytes, issuer: Issuer) -> str:
    """The URL of an issuer's keys, from its discovery document. Raises IssuerError.

    The document must name exactly the issuer that was asked for (section 4.3), and only an issuer on this machine
    may point to it in the clear.
    """
    said = _object(document, "the discovery document")
    if said.get("issuer") != issuer.url:
        raise IssuerError(f"the discovery document is of the issuer {said.get('issuer')!r}, not of {issuer.url!r}")
    url = said.get("jwks_uri")
    if not isinstance(url, str):
        raise IssuerError("the discovery document names no jwks_uri")
    check_url(url, plain=is_loopback(urlsplit(issuer.url).hostname or ""))
    return url


def read_jwks(document: bytes) -> dict[str, Any]:
    """The keys of a JWK Set that can verify signatures, with nothing but their public members. Raises IssuerError.

    Keys of other kinds and uses are left out, as RFC 7517, section 5, has it: encryption, symmetric and unknown ones,
    RSA below 2048 bits (RFC 7518, 3.3). One that is private, or not what it says, makes all of the set unusable.
    """
    keys = _object(document, "the JWK Set").get("keys")
    if not isinstance(keys, list) or not all(isinstance(one, dict) for one in keys):
        raise IssuerError("the JWK Set has no list of keys")
    if len(keys) > MOST_KEYS:
        raise IssuerError(f"the JWK Set has {len(keys)} keys; {MOST_KEYS} is the most that are read")
    usable = [{name: key[name] for name in _PUBLIC if name in key} for key in keys if _usable(key)]
    if not usable:
        raise IssuerError("the JWK Set has no key that verifies signatures")
    return {"keys": usable}


def _usable(key: Mapping[str, Any]) -> bool:
    if any(not isinstance(key.get(name, ""), str) for name in _PUBLIC):
        raise IssuerError("a key of the JWK Set has a member that is not text")
    if key.get("kty") == "oct":
        return False
    if _PRIVATE & key.keys():
        raise IssuerError("the JWK Set holds a private key: whoever reads it can sign, so it proves nothing")
    operations = key.get("key_ops", ["verify"])
    if key.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return False
    if not algorithms_of(key):
        return False
    return _size(key) >= LEAST_RSA_BITS if key.get("kty") == "RSA" else _size(key) > 0


def _size(key: Mapping[str, Any]) -> int:
    """Bits of a public key. Raises IssuerError for one that is not what it says, such as a point off its curve."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    try:
        made = JWKRegistry.import_key({name: key[name] for name in _PUBLIC if name in key})
        return int(getattr(made.public_key, "key_size", 256))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise IssuerError("a key of the JWK Set is malformed") from error


def algorithms_of(key: Mapping[str, Any]) -> frozenset[str]:
    """By which algorithms a JWK may verify: those of its kind, and of these the one that it names, if it does."""
    kind, curve = key.get("kty"), key.get("crv")
    if kind == "RSA":
        fit = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
    elif kind in {"EC", "OKP"} and curve in CURVES and (kind == "OKP") == (curve == "Ed25519"):
        fit = frozenset({CURVES[str(curve)]})
    else:
        return frozenset()
    return fit & {str(key["alg"])} if "alg" in key else fit


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """The value at a path: the claim of that very name, else with dots for nesting; None where there is none.

    A claim's own name may have dots in it (``https://lab.example/groups``, a client's name in Keycloak's
    ``resource_access``), so each dot is tried as part of a name, too.
    """
    if path in claims:
        return claims[path]
    dot = path.find(".")
    while dot > 0:
        inner = claims.get(path[:dot])
        if isinstance(inner, Mapping) and (found := claim(inner, path[dot + 1 :])) is not None:
            return found
        dot = path.find(".", dot + 1)
    return None


def attributes_of(issuer: Issuer, claims: Mapping[str, Any]) -> dict[str, Attribute]:
    """What policies may ask about a caller: words, or several words where a claim is a list.

    Numbers and truth values become the words that JSON writes; objects, empty lists, and claims that are not there, are
    left out. Words are cut to ``MOST_WORD`` characters, lists to ``MOST_WORDS`` words, and what is not printable is
    replaced: a caller has the same attributes wherever a token of theirs is read.
    """
    found = {name: _attribute(claim(claims, path)) for name, path in issuer.attributes.items()}
    return {name: value for name, value in found.items() if value is not None}


def _attribute(value: Any) -> Attribute | None:
    if isinstance(value, list):
        words = [_word(one) for one in value[:MOST_WORDS]]
        return tuple(word for word in words if word is not None) or None
    return _word(value)


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return None
    text = str(value)[:MOST_WORD]
    return (
        text
        if text.isprintable()
        else "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    )


def principal_of(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The id of the caller that a token names: ``ISSUER-URL|SUBJECT``. Raises ClaimError.

    No URL of an issuer has a bar in it, so that no subject can pass for one of another issuer.
    """
    subject = claim(claims, issuer.subject)
    if not isinstance(subject, str) or not subject:
        raise ClaimError(f"the token names no caller: it has no claim {issuer.subject!r}")
    if len(subject) > MOST_SUBJECT or not subject.isprintable():
        raise ClaimError(f"the claim {issuer.subject!r} is not a name: {MOST_SUBJECT} printable characters at most")
    return f"{issuer.url}|{subject}"


def check_required(issuer: Issuer, claims: Mapping[str, Any]) -> None:
    """Raise ClaimError unless every claim that an issuer's tokens must have has one of its values."""
    for path, allowed in issuer.requires.items():
        value = _attribute(claim(claims, path))
        has = value if isinstance(value, tuple) else (value,)
        if not set(has) & set(allowed):
            raise ClaimError(f"the claim {path!r} has none of the values that are required")


def _object(document: bytes, what: str) -> dict[str, Any]:
    try:
        return read_object(document)
    except JsonError as error:
        raise IssuerError(f"{what} is {error}") from error
