"""One line of a gateway's log of calls, read: the call, and who is proved to have made it. Pure.

Callers choose much of what a line says. Texts are cut and lose their control characters, numbers are held within what
the store takes, and a line that is not as the gateway writes it is refused.
"""

import ipaddress
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from inventory.model import ANONYMOUS, Attribute, Call, Issuer, PrincipalKind
from router.identity.issuers import attributes_of, claim

MAX_NAME = 512
MAX_PATH = 1024
MAX_WORD = 128

_SMALL = 2**31 - 1
_LARGE = 2**53
_FIRST_MS, _LAST_MS = 946_684_800_000, 4_102_444_800_000
_LOST = "lost"
_TOO_MANY = 429

Refused = Literal["", "token", "policy", "limit", "service"]
_REFUSALS: tuple[tuple[str, Refused], ...] = (
    ("jwt_authn_access_denied", "token"),
    ("rbac_access_denied", "policy"),
    ("local_rate_limited", "limit"),
    ("request_rate_limited", "limit"),
    ("rate_limiter_error", "limit"),
    ("ext_authz_", "service"),
)
"""How Envoy's RESPONSE_CODE_DETAILS begin where a filter of its own answered."""


class MalformedLineError(ValueError):
    """A line that tells of no call. Its text says what is wrong, without the line's content."""


class Line(NamedTuple):
    """What one line tells.

    ``kind`` is how the caller is known, None for anonymous ones. ``attributes`` are what the token proved; None where
    the call proves nothing about them, and what was known before holds. ``address`` is the caller's.
    """

    call: Call
    kind: PrincipalKind | None
    attributes: dict[str, Attribute] | None
    address: str


def parse(line: bytes, issuers: Mapping[str, Issuer]) -> Line | None:
    """The call of one line, still without decisions; None for a request to no route. Raises MalformedLineError.

    ``issuers`` are by their URL.
    """
    fields = _object(line)
    route = _text(fields, "route", MAX_WORD)
    if not route or route == "-":
        return None
    at = _number(fields, "at", _LARGE)
    if not _FIRST_MS <= at <= _LAST_MS:
        raise MalformedLineError("the moment is none")
    principal, kind, attributes = _caller(fields, issuers)
    address = _text(fields, "addr", MAX_WORD)
    try:
        call = Call(
            id=_text(fields, "rid", MAX_WORD),
            at=datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000),
            route=route,
            revision=_number(fields, "rev", _SMALL),
            backend=_text(fields, "backend", MAX_WORD),
            principal=principal,
            network=network_of(address),
            client=client_of(_text(fields, "ua", MAX_NAME)),
            method=_text(fields, "method", 32),
            path=_text(fields, "path", MAX_PATH).partition("?")[0],
            status=_number(fields, "code", _SMALL),
            received=_number(fields, "rx", _LARGE),
            sent=_number(fields, "tx", _LARGE),
            micros=_number(fields, "us", _SMALL),
            model=_text(fields, "model", MAX_WORD) or None,
            purpose=_text(fields, "purpose", MAX_WORD) or None,
            refused_by=refused_by(_text(fields, "det", MAX_NAME), _number(fields, "code", _SMALL)),
        )
    except ValidationError as error:
        raise MalformedLineError(f"{error.errors()[0]['loc'][0]} is not as it should be") from error
    return Line(call, kind, attributes, address)


def lost_of(line: bytes) -> int:
    """How many calls a mark of the recorder's own stands for (``mark``); 0 for every other line."""
    if not line.startswith(b'{"lost":'):
        return 0
    try:
        count = json.loads(line).get(_LOST)
    except (ValueError, RecursionError):
        return 0
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 < count <= _LARGE else 0


def mark(lost: int, length: int) -> bytes:
    """A line of that length, without its newline, which stands in the file for so many calls that are lost.

    The gateway's own lines never begin so: its keys are fixed, and ``lost`` is none.
    """
    return json.dumps({_LOST: lost}, separators=(",", ":")).encode().ljust(length)


@lru_cache(maxsize=8192)
def network_of(address: str) -> str:
    """The network of an address: its /24, of IPv6 its /64. "" for what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network(f"{parsed}/{24 if parsed.version == 4 else 64}", strict=False))


def client_of(agent: str) -> str:
    """What calls: the first word of a user agent."""
    words = agent.split(maxsplit=1)
    return words[0][:64] if words and agent != "-" else ""


def refused_by(details: str, status: int) -> Refused:
    """What refused a call, from Envoy's RESPONSE_CODE_DETAILS; "" where nothing of the gateway's did.

    The authorisation service refuses by a shared limit too, and says so by its status.
    """
    for beginning, refused in _REFUSALS:
        if details.startswith(beginning):
            return "limit" if status == _TOO_MANY else refused
    return ""


def _caller(
    fields: Mapping[str, Any], issuers: Mapping[str, Issuer]
) -> tuple[str, PrincipalKind | None, dict[str, Attribute] | None]:
    """Who called, how that is known, and what is proved of them. Our own tokens count before all else."""
    if own := _text(fields, "id", MAX_NAME):
        return own, kind_of(own), None
    claims = fields.get("claims")
    if isinstance(claims, dict):
        url = _text(claims, "iss", MAX_NAME)
        issuer = issuers.get(url)
        named = claim(claims, issuer.subject if issuer is not None else "sub")
        if url and isinstance(named, str) and named:
            told = attributes_of(issuer, claims) if issuer is not None else None
            return f"{url}|{_clean(named)[:MAX_NAME]}", PrincipalKind.TOKEN, told
    if peer := _text(fields, "peer", MAX_NAME):
        return peer, PrincipalKind.CERTIFICATE, None
    return ANONYMOUS, None, None


def kind_of(principal: str) -> PrincipalKind:
    """How a caller is known, from the form of the id."""
    if principal.startswith("key:"):
        return PrincipalKind.KEY
    return PrincipalKind.CERTIFICATE if principal.startswith("spiffe://") else PrincipalKind.TOKEN


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedLineError("the line is not JSON") from error
    if not isinstance(fields, dict):
        raise MalformedLineError("the line is not a JSON object")
    return fields


def _text(fields: Mapping[str, Any], key: str, most: int) -> str:
    value = fields.get(key)
    if value is None or value == "-":
        return ""
    if not isinstance(value, str):
        raise MalformedLineError(f"{key} is not a text")
    return _clean(value[:most])


def _clean(text: str) -> str:
    """Without control characters and halves of characters, which a store or a terminal would stumble over."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _number(fields: Mapping[str, Any], key: str, most: int) -> int:
    value = fields.get(key)
    if value is None or value == "-":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedLineError(f"{key} is not a count")
    return min(value, most)
