"""Pure: a request that Envoy asks about becomes what policies are told of it, or a reason to refuse it.

The headers are those that gnomon's Envoy sets itself and sends to the authorisation service (ext_authz over HTTP,
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter); a caller's own headers
of these names never reach it.
"""

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from inventory.model import ANONYMOUS, Decision
from router.policy import Context

IDENTITY: Final = "x-gnomon-identity"
ROUTE: Final = "x-gnomon-route"
SIZE: Final = "x-gnomon-size"
ADDRESS: Final = "x-gnomon-address"
FORWARDED: Final = "x-forwarded-for"
PURPOSE: Final = "x-purpose"
POLICY: Final = "x-gnomon-policy"

_LONGEST = 2048
# Larger bodies there are not; a number beyond would be none in Cedar.
_LARGEST = 2**53


class AskingError(ValueError):
    """A request that cannot be asked about. Its text says why, and repeats nothing of what was sent."""


class Asked(NamedTuple):
    """Who wants to call what, and what is known of the request."""

    principal: str
    route: str
    context: Context


def asked(method: str, path: str, headers: Mapping[str, str], now: datetime) -> Asked:
    """What a request asks. ``headers`` are by names in lower case. AskingError for one that cannot be understood."""
    if any(len(value) > _LONGEST for value in (path, *(headers.get(one, "") for one in (IDENTITY, ROUTE, PURPOSE)))):
        raise AskingError("a path or a header is too long")
    route = headers.get(ROUTE, "")
    if not route:
        raise AskingError(f"the header {ROUTE} is missing")
    moment = now.astimezone(UTC)
    context: dict[str, str | int | bool] = {
        "now": int(moment.timestamp()),
        "hour": moment.hour,
        "weekday": moment.weekday(),
        "method": method,
        "path": path.partition("?")[0],
    }
    if (size := headers.get(SIZE, "")) != "":
        context["size"] = _size(size)
    if address := headers.get(ADDRESS) or headers.get(FORWARDED, "").rpartition(",")[2].strip():
        context["network"] = _address(address)
    if purpose := headers.get(PURPOSE):
        context["purpose"] = purpose
    return Asked(headers.get(IDENTITY, ANONYMOUS), route, context)


def answer(decision: Decision) -> tuple[int, str]:
    """The status, 200 or 403, and the ids of the policies that decided, for a header."""
    ids = ",".join("".join(sign if " " <= sign <= "~" else "?" for sign in one) for one in decision.policies)
    return (200 if decision.allowed else 403), ids[:_LONGEST]


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise AskingError(f"the header {SIZE} is no size in bytes")
    return int(text)


def _address(text: str) -> str:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise AskingError(f"the header {ADDRESS} or {FORWARDED} is no address") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
