"""Tokens: those of issuers verified strictly, and our own made. Pure.

Sources: RFC 7519 (JSON Web Token), RFC 8725 (best current practices), RFC 9068 (access tokens as JWT).
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry
from joserfc.jws import JWSRegistry

from inventory.model import Attribute, Issuer, Principal, PrincipalKind
from router.governance import split
from router.identity.issuers import (
    ClaimError,
    algorithms_of,
    attributes_of,
    check_required,
    principal_of,
)
from router.identity.signing import ALGORITHM, SigningKey
from router.identity.strictly import JsonError, decode_base64url, read_object
from router.identity.trust import AUDIENCE, Held

LIFETIME: Final = 900
"""Seconds that a token of ours is valid."""

MOST_TOKEN: Final = 16_384
"""Characters of a token."""


LAST_MOMENT: Final = 253_402_300_799
"""Seconds since 1970 at the end of the year 9999: no claim is of a later moment."""

TYPES: Final = frozenset({"", "jwt", "at+jwt"})
"""What a token may say that it is (``typ``, RFC 8725, 3.11): no logout token passes for one that says who calls."""


class TokenError(ValueError):
    """A token that is not believed. Its text is one sentence, without any value of the token."""


class Verified(NamedTuple):
    """A token that is believed: whose it is, what it says, its id (``jti``, may be empty) and when it was issued."""

    principal: Principal
    claims: Mapping[str, Any]
    token_id: str
    issued_at: float


class Issued(NamedTuple):
    """A token of ours, with its id and its end in seconds since 1970."""

    token: str
    token_id: str
    expires_at: int


def verify(token: str, held: Sequence[Held], now: datetime) -> Verified:
    """Believe a token of an issuer's, or raise TokenError.

    The algorithm must be one of the issuer's, the key one that the issuer publishes for it: nothing that the token
    itself carries or points to (``jwk``, ``jku``, ``x5u``) is looked at.
    """
    header, claims = _parts(token)
    issuer, keys = _issuer(claims, held)
    algorithm = header.get("alg")
    if algorithm not in issuer.algorithms:
        raise TokenError(f"the token is not signed by an algorithm that {issuer.name} may use")
    _check_signature(token, str(algorithm), header.get("kid"), keys)
    _check_times(claims, now, issuer.leeway_seconds)
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(one in issuer.audiences for one in named if isinstance(one, str)):
        raise TokenError("the token is for another audience")
    try:
        check_required(issuer, claims)
        subject = principal_of(issuer, claims)
    except ClaimError as error:
        raise TokenError(str(error)) from error
    principal = Principal(
        id=subject,
        kind=PrincipalKind.TOKEN,
        attributes=attributes_of(issuer, claims),
        first_seen=now,
        last_seen=now,
    )
    token_id = claims.get("jti")
    return Verified(principal, claims, token_id if isinstance(token_id, str) else "", float(claims.get("iat") or 0))


def issue(key: SigningKey, principal: Principal, routes: Iterable[str], url: str, now: datetime) -> Issued:
    """A token of ours for a caller, which lists the routes that it may use. ``url`` is ours, as verifiers know it.

    TokenError where it would be longer than a token may be.
    """
    issuer, subject = split(principal.id)
    begins, token_id = int(now.timestamp()), secrets.token_urlsafe(16)
    claims: dict[str, Any] = {
        "iss": url,
        "aud": AUDIENCE,
        "sub": principal.id,
        # As the issuer's own token has them, so that gateways read one pair whichever token they see.
        "orig_iss": issuer,
        "orig_sub": subject,
        "routes": sorted(routes),
        "attributes": _words(principal.attributes),
        "iat": begins,
        "nbf": begins,
        "exp": begins + LIFETIME,
        "jti": token_id,
    }
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt"}
    token = jwt.encode(header, claims, ECKey.import_key(dict(key.jwk)), algorithms=[ALGORITHM])
    if len(token) > MOST_TOKEN:
        raise TokenError("a token would be too long for so many routes: name those that are needed as scope")
    return Issued(token, token_id, begins + LIFETIME)


def read_own(token: str, jwks: Mapping[str, Any], url: str, now: datetime) -> Mapping[str, Any]:
    """The claims of a token of ours that is valid still. Raises TokenError."""
    header, claims = _parts(token)
    if claims.get("iss") != url or header.get("alg") != ALGORITHM:
        raise TokenError("the token is none of ours")
    _check_signature(token, ALGORITHM, header.get("kid"), jwks)
    _check_times(claims, now, 0)
    return claims


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not believed yet."""
    if len(token) > MOST_TOKEN:
        raise TokenError(f"the token is longer than {MOST_TOKEN} characters")
    parts = token.encode("ascii", "replace").split(b".")
    if len(parts) != 3:
        raise TokenError("it is not a signed token of three parts")
    try:
        header, claims = (read_object(decode_base64url(part)) for part in parts[:2])
    except JsonError as error:
        raise TokenError(f"a part of the token is {error}") from error
    if str(header.get("typ", "")).lower() not in TYPES:
        raise TokenError("the token is of a kind that does not say who calls")
    return header, claims


def _issuer(claims: Mapping[str, Any], held: Sequence[Held]) -> tuple[Issuer, Mapping[str, Any]]:
    found = next((one for one in held if one.issuer.url == claims.get("iss")), None)
    if found is None:
        raise TokenError("the token is of an issuer that is not believed")
    if not found.keys.get("keys"):
        raise TokenError(f"the keys of {found.issuer.name} are not known yet: try again")
    return found.issuer, found.keys


def _check_signature(token: str, algorithm: str, kid: object, jwks: Mapping[str, Any]) -> None:
    fit = [key for key in jwks["keys"] if algorithm in algorithms_of(key) and (kid is None or key.get("kid") == kid)]
    for key in fit:
        try:
            # Parameters that nobody registered are passed over (RFC 7515, 4), but for those which are critical.
            registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            registry.max_header_length = MOST_TOKEN
            jwt.decode(token, JWKRegistry.import_key(dict(key)), algorithms=[algorithm], registry=registry)
        except (JoseError, ValueError):
            continue
        return
    raise TokenError("the token is not signed by a key that its issuer publishes")


def _check_times(claims: Mapping[str, Any], now: datetime, leeway: int) -> None:
    moments = {name: claims.get(name) for name in ("exp", "nbf", "iat")}
    for name, value in moments.items():
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_MOMENT
        ):
            raise TokenError(f"the claim {name} is not a moment")
    at = now.timestamp()
    if moments["exp"] is None:
        raise TokenError("the token never expires")
    if moments["exp"] + leeway <= at:
        raise TokenError("the token has expired")
    if max(moments["nbf"] or 0, moments["iat"] or 0) - leeway > at:
        raise TokenError("the token is not valid yet")


def _words(attributes: Mapping[str, Attribute]) -> dict[str, str | list[str]]:
    return {name: value if isinstance(value, str) else list(value) for name, value in attributes.items()}
