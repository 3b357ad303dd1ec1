"""Pure: how Envoy learns who calls, and whom it no longer believes. Shared by all routes, and sent by itself (ECDS).

A verified token leaves its issuer and subject in two headers that nobody else can set, so that rules, limits and the
record read the same two whichever issuer it came from. Only routes that have ``access`` pay for any of this.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from inventory.model import Revocation
from router.gateways.envoy.upstream import API
from router.governance import Governance, Trusted, split

JWT = "envoy.filters.http.jwt_authn"
REVOKED = "gnomon.revoked"
ISSUER_HEADER = "x-gnomon-iss"
SUBJECT_HEADER = "x-gnomon-sub"
TEAM_HEADER = "x-gnomon-team"
IDENTITY_HEADERS = (ISSUER_HEADER, SUBJECT_HEADER, TEAM_HEADER)

OBSERVE = "observe"
"""Tokens are verified, and who has none or a bad one is nobody known."""

VALID = "valid"
"""A token that is there must be good."""

REQUIRE = "require"
"""There must be a good token."""

THEIRS, OURS = "jwt", "gnomon"
"""Where the payload of a verified token is kept: of an issuer's, and of ours."""

FEW = 8
"""Up to so many subjects are compared one by one."""

MANY = 100
"""Subjects in one expression at most: RE2 takes no larger ones."""

_FILTERS = f"{API}.extensions.filters.http"
_RBAC = f"{_FILTERS}.rbac.v3.RBAC"
_AUTHN = f"{_FILTERS}.jwt_authn.v3.JwtAuthentication"

ORIGINAL_ISSUER, ORIGINAL_SUBJECT = "orig_iss", "orig_sub"
"""The claims of our tokens that say who exchanged them, as the issuer's own token did."""


def shared(governance: Governance) -> dict[str, dict[str, Any]]:
    """The filters that are sent by themselves, by name."""
    made = {JWT: authentication(governance.trusted), REVOKED: unbelieved(governance)}
    return {name: {"name": name, "typed_config": form} for name, form in made.items()}


def filters(source: dict[str, Any] | None, governance: Governance) -> list[dict[str, Any]]:
    """Their places in the chain: from ``source`` as they change, or None for what holds now and does not change."""
    made = shared(governance)
    kinds = {JWT: _AUTHN, REVOKED: _RBAC}
    return [
        {
            "name": name,
            "disabled": True,
            **(
                {"config_discovery": {"config_source": source, "type_urls": [kind]}}
                if source is not None
                else {"typed_config": made[name]["typed_config"]}
            ),
        }
        for name, kind in kinds.items()
    ]


def authentication(trusted: Sequence[Trusted]) -> dict[str, Any]:
    """Whose tokens are believed, and by which keys."""
    providers = {f"{number}-{one.name}": _provider(one) for number, one in enumerate(trusted)}
    providing: list[dict[str, Any]] = [{"provider_name": name} for name in providers]
    requirements: dict[str, list[dict[str, Any]]] = {
        OBSERVE: [*providing, {"allow_missing_or_failed": {}}],
        VALID: [*providing, {"allow_missing": {}}],
        REQUIRE: providing or [{"allow_missing": {}}],
    }
    return {
        "@type": _AUTHN,
        "providers": providers,
        "requirement_map": {
            name: {"requires_any": {"requirements": needed}} if len(needed) > 1 else needed[0]
            for name, needed in requirements.items()
        },
    }


def _provider(one: Trusted) -> dict[str, Any]:
    headers = (
        {ISSUER_HEADER: ORIGINAL_ISSUER, SUBJECT_HEADER: ORIGINAL_SUBJECT}
        if one.own
        else {ISSUER_HEADER: "iss", SUBJECT_HEADER: one.subject}
    )
    if one.team is not None:
        headers[TEAM_HEADER] = one.team
    return {
        "issuer": one.issuer,
        "audiences": list(one.audiences),
        # A backend that learnt a token of ours could use it on every route that it names.
        "forward": not one.own,
        "require_expiration": True,
        # By default a token in the query would do too (RFC 6750, 2.3), where logs and links keep it.
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "clock_skew_seconds": one.leeway_seconds,
        "local_jwks": {"inline_string": json.dumps(json.loads(one.keys), separators=(",", ":"))},
        "payload_in_metadata": OURS if one.own else THEIRS,
        "claim_to_headers": [{"header_name": name, "claim_name": claim} for name, claim in headers.items()],
        "jwt_cache_config": {"jwt_cache_size": 1000, "jwt_max_token_size": 16_384},
    }


def unbelieved(governance: Governance) -> dict[str, Any]:
    """A filter that refuses tokens which are verified and not believed: revoked ones, and of claims that lack some."""
    principals = [*_revoked(governance.revoked), *(one for issuer in governance.trusted for one in _lacking(issuer))]
    form: dict[str, Any] = {"@type": _RBAC}
    if principals:
        policy = {"permissions": [{"any": True}], "principals": principals}
        form["rules"] = {"action": "DENY", "policies": {"unbelieved": policy}}
    return form


def _lacking(issuer: Trusted) -> list[dict[str, Any]]:
    """The tokens of an issuer that lack a claim which they must have."""
    found = []
    for name, values in sorted(issuer.requires.items()):
        words = [{"string_match": {"exact": value}} for value in values]
        has = [claim(THEIRS, name, word) for word in words]
        has += [claim(THEIRS, name, {"list_match": {"one_of": word}}) for word in words]
        ids = [_header(ISSUER_HEADER, issuer.issuer), {"not_id": {"or_ids": {"ids": has}}}]
        found.append({"and_ids": {"ids": ids}})
    return found


def _revoked(revoked: Iterable[Revocation]) -> list[dict[str, Any]]:
    """RBAC principals for what is no longer believed.

    Callers that were revoked at one moment share one look at the token's age: whoever has a newer token pays for
    that alone, however many they are.
    """
    tokens = sorted(one.value for one in revoked if one.kind == "token")
    groups: dict[tuple[int, str], list[str]] = {}
    for one in revoked:
        if one.kind != "token":
            groups.setdefault((int(one.at.timestamp()), one.kind), []).append(one.value)
    principals = [claim(place, "jti", {"string_match": {"exact": jti}}) for jti in tokens for place in (THEIRS, OURS)]
    for (moment, kind), callers in sorted(groups.items()):
        issued = {"double_match": {"range": {"start": 0, "end": moment + 1}}}
        older = [claim(place, "iat", issued) for place in ((THEIRS, OURS) if kind == "principal" else (OURS,))]
        principals.append({"and_ids": {"ids": [{"or_ids": {"ids": older}}, any_of(sorted(callers))]}})
        tokenless = sorted(one for one in callers if "|" not in one)
        if tokenless and kind == "principal":
            principals.append(any_of(tokenless))
    return principals


def any_of(callers: Sequence[str]) -> dict[str, Any]:
    """An RBAC principal for some callers, by id; there must be one at least. Who shows a token is who it says."""
    by_issuer: dict[str, list[str]] = {}
    for caller in callers:
        issuer, subject = split(caller)
        by_issuer.setdefault(issuer, []).append(subject)
    groups = []
    for issuer, subjects in sorted(by_issuer.items()):
        if issuer:
            named = _subjects(subjects)
            groups.append({"and_ids": {"ids": [_header(ISSUER_HEADER, issuer), {"or_ids": {"ids": named}}]}})
            continue
        keys = _subjects([one for one in subjects if one.startswith("key:")])
        peers = [{"authenticated": {"principal_name": {"exact": one}}} for one in subjects if "://" in one]
        groups += keys
        if peers:
            tokenless = {"not_id": {"header": {"name": SUBJECT_HEADER, "present_match": True}}}
            groups.append({"and_ids": {"ids": [tokenless, {"or_ids": {"ids": peers}}]}})
    return {"or_ids": {"ids": groups}}


def _subjects(subjects: Sequence[str]) -> list[dict[str, Any]]:
    """The header with one of these subjects. Many are one expression: RE2 looks at a subject once, however many."""
    if len(subjects) <= FEW:
        return [_header(SUBJECT_HEADER, subject) for subject in subjects]
    parts = [subjects[start : start + MANY] for start in range(0, len(subjects), MANY)]
    expressions = ["|".join(re.escape(subject) for subject in part) for part in parts]
    return [{"header": {"name": SUBJECT_HEADER, "string_match": {"safe_regex": {"regex": one}}}} for one in expressions]


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"name": name, "string_match": {"exact": value}}}


def claim(place: str, name: str, value: dict[str, Any]) -> dict[str, Any]:
    """An RBAC principal: the verified token's claim has this value."""
    path = [{"key": place}, *({"key": part} for part in name.split("."))]
    return {"metadata": {"filter": JWT, "path": path, "value": value}}
