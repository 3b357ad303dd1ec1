"""How a list of endpoints is asked for and answered: in pages, each of which says where the next begins.

A cursor names the last row by what the list is sorted by, not by how many rows came before it: pages
stay right while rows come and go, and the thousandth costs what the first does. Source: "keyset
pagination", M. Winand, SQL Performance Explained, 2012.
"""

import base64
import binascii
import ipaddress
import json
from dataclasses import dataclass
from typing import Final, NamedTuple

from inventory.model import Endpoint, Membership

BY_FACET: Final = (
    "risk", "kind", "product", "posture", "presence", "governance", "routing", "owner", "site", "scope",
    "cluster", "namespace",
)  # fmt: skip
BY_ROW: Final = {"endpoint": "place", "seen": "last_seen", "new": "first_seen"}
ORDERS: Final = (*BY_FACET, *BY_ROW)


class CursorError(ValueError):
    """A cursor that this list did not give out. Its text is one sentence."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by: one of ``ORDERS``.

    Rows that are equal in it are in the order of their places: site by site within an address, then port.
    Values that are not known come last in rising order, first in falling. Raises ValueError.
    """

    by: str = "risk"
    descending: bool = True

    def __post_init__(self) -> None:
        if self.by not in ORDERS:
            raise ValueError(f"a list cannot be sorted by {self.by!r}; it can by {', '.join(ORDERS)}")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. ``after`` is where the next page begins, None at the end."""

    rows: tuple[Endpoint, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """What was written after a version of the store, up to ``version``.

    ``forgotten`` are ids that no longer name an endpoint. ``more`` says that only the first part is
    here: whoever shows a list reads its page again instead.
    """

    version: int
    endpoints: tuple[Endpoint, ...]
    forgotten: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: its value of the order, and its place."""

    value: str | int | None
    place: str

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps([self.value, self.place]).encode()).decode().rstrip("=")


def read_cursor(text: str) -> Cursor:
    """The cursor of that text. Raises CursorError for text that is none."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        value, place = json.loads(base64.urlsafe_b64decode(padded))
    except (ValueError, binascii.Error, TypeError) as error:
        raise CursorError(f"{text!r} is not where a page of this list ended: take the value that it gave") from error
    if not isinstance(place, str) or isinstance(value, bool) or not isinstance(value, str | int | None):
        raise CursorError(f"{text!r} is not where a page of this list ended: take the value that it gave")
    return Cursor(value, place)


def place_key(address: str, port: int, endpoint_id: str) -> str:
    """Text that sorts endpoints by address as a number, IPv4 first, then by port; unique by the id."""
    try:
        numeric = ipaddress.ip_address(address)
    except ValueError:
        # A name inside a cluster that leads nowhere: after all addresses.
        return f"9{address}{port:04x}{endpoint_id}"
    return f"{numeric.version}{numeric.packed.hex()}{port:04x}{endpoint_id}"


def block_key(place: str) -> str:
    """The part of a place that its /24 of IPv4, or its /64 of IPv6, begins with; "" for a name."""
    return {"4": place[:7], "6": place[:17]}.get(place[0], "")


def block_span(key: str) -> tuple[int, int, int]:
    """The addresses of a block's key: IP version, first and last as numbers."""
    version, host_bits = (4, 8) if key.startswith("4") else (6, 64)
    first = int(key[1:], 16) << host_bits
    return version, first, first | (1 << host_bits) - 1


class Way(NamedTuple):
    """Of an ``Exposure``, the same in a form that costs less to make."""

    via: str
    url: str


class Point(NamedTuple):
    """Of an endpoint, what the graph shows: a hundred thousand of them are read in a second or two."""

    id: str
    site: str
    address: str
    port: int
    product: str | None
    kind: str | None
    posture: str
    governance: str
    routing: str
    risk: int
    owner: str | None
    exposures: tuple[Way, ...] = ()
    cluster: Membership | None = None
