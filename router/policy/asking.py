"""Pure: one request that is asked about, as a gateway tells of it, becomes a question.

The gateway puts the route in front of the path, and says in headers of its own, which no caller can set, who calls and
what it knows of the request.
"""

import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from inventory.model import ANONYMOUS
from router.policy.effective import context_at

MOST_TEXT = 4096


class AskedError(ValueError):
    """A question that is not as a gateway puts it."""


class Told(NamedTuple):
    """What a gateway tells of a request. ``claims`` are those of an issuer's token, where there was one."""

    route: str
    principal: str
    claims: Mapping[str, Any] | None
    context: dict[str, str | int | bool]


def told(method: str, target: str, headers: Mapping[str, str], now: datetime) -> Told:
    """What is asked. ``headers`` are by lower-case name. Raises AskedError."""
    route, slash, rest = target.removeprefix("/").partition("/")
    if not route or not slash:
        raise AskedError("the target names no route")
    context: dict[str, str | int | bool] = {
        **context_at(now, exact=True),
        "method": method[:32],
        "path": f"/{rest.partition('?')[0]}"[:MOST_TEXT],
        "size": _size(headers.get("x-gnomon-size", "")),
        "purpose": headers.get("x-purpose", "")[:128],
    }
    if address := headers.get("x-gnomon-address", ""):
        context["network"] = _address(address)
    return Told(route, _principal(headers), _claims(headers.get("x-gnomon-claims", "")), context)


def _principal(headers: Mapping[str, str]) -> str:
    """Who calls: whoever a token says, else whoever a certificate says."""
    issuer, subject = headers.get("x-gnomon-iss", ""), headers.get("x-gnomon-sub", "")
    if subject:
        return f"{issuer}|{subject}" if issuer else subject
    peer = headers.get("x-gnomon-peer", "")
    return peer if "://" in peer else ANONYMOUS


def _size(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise AskedError("the caller's address is none") from error


def _claims(text: str) -> Mapping[str, Any] | None:
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AskedError("the claims are not JSON") from error
    return found if isinstance(found, dict) else None
