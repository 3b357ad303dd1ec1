"""The token service's answers, without I/O of its own: whoever proves who they are gets a token of ours.

Sources: RFC 8693 (token exchange), RFC 6749 sections 4.4 and 5 (client credentials, answers), RFC 7009 (revocation),
RFC 8414 (metadata).
"""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from inventory.model import ApiKey, Principal, PrincipalKind, Revocation
from router.identity.signing import SigningKey, public_jwks, signer_at
from router.identity.tokens import LIFETIME, TokenError, Verified, issue, read_own, verify
from router.identity.trust import AUDIENCE, Held

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
CREDENTIALS: Final = "client_credentials"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a type
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
SUBJECT_TYPES: Final = frozenset({ACCESS_TOKEN, JWT, "urn:ietf:params:oauth:token-type:id_token"})
KEY_PREFIX: Final = "gk_"
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Reply(NamedTuple):
    """What the service answers. ``failed``: somebody tried to prove who they are, and did not."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = _NO_STORE
    failed: bool = False


class Desk(Protocol):
    """What the service knows and is told; it may block."""

    def held(self) -> list[Held]:
        """The issuers that are believed, with their keys."""

    def key(self, key_id: str) -> ApiKey | None:
        """The API key of an id."""

    def revoked(self) -> list[Revocation]:
        """What is no longer believed now."""

    def grants(self, principal: Principal) -> Collection[str]:
        """The routes that a caller may use."""

    def seen(self, principal: Principal, key_id: str | None) -> None:
        """A caller got a token, by an API key where its id is given."""

    def revoke(self, revocation: Revocation) -> None:
        """Believe a token no longer."""


def token(form: Mapping[str, str], authorization: str, desk: Desk, keys: tuple[SigningKey, ...], url: str) -> Reply:
    """``POST /token``. ``authorization`` is that header, empty where there is none."""
    now = datetime.now(UTC)
    kind = form.get("grant_type")
    if kind == EXCHANGE:
        return _exchanged(form, desk, keys, url, now)
    if kind == CREDENTIALS:
        return _by_key(form, authorization, desk, keys, url, now)
    return error(400, "unsupported_grant_type", f"the grant types are {EXCHANGE} and {CREDENTIALS}")


def revoke(form: Mapping[str, str], desk: Desk, keys: tuple[SigningKey, ...], url: str) -> Reply:
    """``POST /revoke``: whoever holds a token of ours may end it. A token that is none is no error (RFC 7009, 2.2)."""
    now = datetime.now(UTC)
    given = form.get("token", "")
    if not given:
        return error(400, "invalid_request", "there is no token to revoke")
    try:
        claims = read_own(given, public_jwks(keys), url, now)
    except TokenError:
        return Reply(200, {})
    until = datetime.fromtimestamp(float(claims["exp"]), UTC) + timedelta(minutes=2)
    holder, token_id = str(claims.get("sub")), str(claims.get("jti"))
    desk.revoke(Revocation(kind="token", value=token_id, at=now, until=until, who=holder, why="given up by its holder"))
    return Reply(200, {})


def metadata(url: str) -> dict[str, Any]:
    """What clients read first (RFC 8414)."""
    return {
        "issuer": url,
        "token_endpoint": f"{url}/token",
        "revocation_endpoint": f"{url}/revoke",
        "jwks_uri": f"{url}/jwks",
        "grant_types_supported": [EXCHANGE, CREDENTIALS],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "response_types_supported": [],
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
    }


def error(status: int, code: str, words: str, *, failed: bool = False) -> Reply:
    """An error as RFC 6749, 5.2 has it."""
    headers = {**_NO_STORE, **({"WWW-Authenticate": 'Basic realm="gnomon"'} if status == 401 else {})}
    return Reply(status, {"error": code, "error_description": words}, headers, failed)


def _exchanged(form: Mapping[str, str], desk: Desk, keys: tuple[SigningKey, ...], url: str, now: datetime) -> Reply:
    given, kind = form.get("subject_token", ""), form.get("subject_token_type", "")
    if not given or kind not in SUBJECT_TYPES:
        return error(
            400, "invalid_request", f"subject_token and a subject_token_type of {sorted(SUBJECT_TYPES)} are asked for"
        )
    if form.get("actor_token"):
        return error(400, "invalid_request", "acting for others is not offered")
    if form.get("requested_token_type", ACCESS_TOKEN) not in {ACCESS_TOKEN, JWT}:
        return error(400, "invalid_request", f"the only kind of token is {ACCESS_TOKEN}")
    try:
        # A token of ours is no proof of who calls: swapped for another, it would never end.
        verified = verify(given, [one for one in desk.held() if one.issuer.url != url], now)
    except TokenError as cause:
        return error(400, "invalid_request", str(cause), failed=True)
    if _is_revoked(verified, desk.revoked()):
        return error(400, "invalid_request", "the token was revoked", failed=True)
    return _granted(verified.principal, form, desk, keys, url, now, None)


def _is_revoked(verified: Verified, revoked: list[Revocation]) -> bool:
    return any(
        one.value == verified.token_id and bool(verified.token_id)
        if one.kind == "token"
        else one.kind == "principal" and one.value == verified.principal.id and verified.issued_at <= one.at.timestamp()
        for one in revoked
    )


def _by_key(
    form: Mapping[str, str], authorization: str, desk: Desk, keys: tuple[SigningKey, ...], url: str, now: datetime
) -> Reply:
    secret = _secret(form, authorization)
    known = desk.key(secret.removeprefix(KEY_PREFIX).partition("_")[0]) if secret.startswith(KEY_PREFIX) else None
    # Digests are compared whether there is such a key or not, so that time tells nothing of it.
    digest = digest_of(secret)
    right = hmac.compare_digest(digest, known.digest if known is not None else "0" * 64)
    if known is None or not right or known.revoked_at is not None or known.expires_at <= now:
        return error(401, "invalid_client", "the key is unknown, has expired or was revoked", failed=True)
    principal = Principal(
        id=known.principal, kind=PrincipalKind.KEY, attributes=known.attributes, first_seen=now, last_seen=now
    )
    if any(one.kind == "principal" and one.value == principal.id for one in desk.revoked()):
        return error(401, "invalid_client", "the key is unknown, has expired or was revoked", failed=True)
    return _granted(principal, form, desk, keys, url, now, known.id)


def _secret(form: Mapping[str, str], authorization: str) -> str:
    """The key, from HTTP Basic (its id as the user, or nothing) or from the form."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return b64decode(rest.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return form.get("client_secret", "")


def digest_of(secret: str) -> str:
    """The digest of a key as it is kept: a key is 256 bits of chance, so that it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _granted(
    principal: Principal,
    form: Mapping[str, str],
    desk: Desk,
    keys: tuple[SigningKey, ...],
    url: str,
    now: datetime,
    key_id: str | None,
) -> Reply:
    if any(form.get(name, AUDIENCE) not in {AUDIENCE, url} for name in ("audience", "resource")):
        return error(400, "invalid_target", "tokens are for the gateway alone: narrow its routes by scope")
    routes = set(desk.grants(principal))
    asked = set(form.get("scope", "").split())
    if asked - routes:
        return error(400, "invalid_scope", f"{principal.id} may not use {', '.join(sorted(asked - routes))}"[:500])
    signer = signer_at(keys, now)
    if signer is None:
        return error(503, "temporarily_unavailable", "there is no signing key")
    try:
        made = issue(signer, principal, asked or routes, url, now)
    except TokenError as cause:
        return error(400, "invalid_scope", str(cause))
    desk.seen(principal, key_id)
    body = {
        "access_token": made.token,
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": LIFETIME,
        "scope": " ".join(sorted(asked or routes)),
    }
    return Reply(200, body)
