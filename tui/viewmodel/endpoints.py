"""The endpoint table: which endpoints, in which order, in which cells."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from inventory.model import Endpoint
from inventory.query import Query
from tui.viewmodel import words
from tui.viewmodel.columns import Column
from tui.viewmodel.table import Table
from tui.viewmodel.text import Line, Run, Tone, age, clean, line

COLUMNS = (
    Column("risk", "Risk", 5, 5, align="right"),
    Column("endpoint", "Endpoint", 18, 28, grow=True),
    Column("kind", "Kind", 10, 13, drop=2),
    Column("product", "Product", 14, 22, drop=4),
    Column("posture", "Posture", 11, 11, drop=1),
    Column("governance", "Governance", 12, 12, drop=3),
    Column("routing", "Routing", 10, 10, drop=5),
    Column("owner", "Owner", 8, 18, drop=7, grow=True),
    Column("presence", "Presence", 7, 9, drop=8),
    Column("seen", "Seen", 4, 5, drop=6, align="right"),
    Column("site", "Site", 6, 12, drop=9),
)

Key = Callable[[Endpoint], tuple[object, ...]]


def _words(value: object) -> tuple[object, ...]:
    return (value is None, "" if value is None else str(value))


def _address(endpoint: Endpoint) -> tuple[object, ...]:
    """Numeric order of addresses: IPv4 before IPv6, then by each part."""
    if ":" in endpoint.address:
        return (6, endpoint.address, endpoint.port, endpoint.base_path)
    parts = tuple(int(part) if part.isdecimal() else 0 for part in endpoint.address.split("."))
    return (4, parts, endpoint.port, endpoint.base_path)


_KEYS: dict[str, Key] = {
    "risk": lambda e: (e.risk,),
    "endpoint": _address,
    "kind": lambda e: _words(e.kind),
    "product": lambda e: _words(e.product),
    "posture": lambda e: _words(e.posture),
    "governance": lambda e: _words(e.governance),
    "routing": lambda e: _words(e.routing),
    "owner": lambda e: _words(e.owner),
    "presence": lambda e: _words(e.presence),
    "seen": lambda e: (e.last_seen,),
    "site": lambda e: (e.site,),
}


@dataclass(frozen=True, slots=True)
class Order:
    """How the table is sorted. Equal rows are in the order of their ids, so that the order is total."""

    by: str = "risk"
    descending: bool = True

    def next(self) -> "Order":
        """Sorted by the column to the right, in its natural direction."""
        names = [column.id for column in COLUMNS]
        return natural(names[(names.index(self.by) + 1) % len(names)])

    def reversed(self) -> "Order":
        """The same column the other way round."""
        return replace(self, descending=not self.descending)


def natural(by: str) -> Order:
    """The direction that shows what matters first: the highest risk, the latest sighting, else A to Z."""
    return Order(by, descending=by in {"risk", "seen"})


def select(endpoints: Sequence[Endpoint], query: Query, order: Order, now: datetime) -> list[Endpoint]:
    """The endpoints that match, in order. Unknown values come last in rising order."""
    matching = [e for e in endpoints if query.matches(e, now)] if query.terms else list(endpoints)
    matching.sort(key=lambda endpoint: endpoint.id)
    matching.sort(key=_KEYS[order.by], reverse=order.descending)
    return matching


def table(rows: Sequence[Endpoint], order: Order, now: datetime, *, known: int, filtered: bool) -> Table[Endpoint]:
    """The table of those rows. ``known`` is how many endpoints there are before the filter."""
    return Table(
        columns=COLUMNS,
        rows=rows,
        key_of=lambda endpoint: endpoint.id,
        cells_of=partial(cells, now=now),
        empty=_empty(known, filtered=filtered),
        sorted_by=order.by,
        descending=order.descending,
    )


def cells(endpoint: Endpoint, now: datetime) -> tuple[Line, ...]:
    """One row, in the order of ``COLUMNS``."""
    return (
        words.risk(endpoint.risk),
        words.place(endpoint),
        line(words.kind(endpoint.kind)),
        words.product(endpoint),
        line(words.posture(endpoint.posture)),
        words.governance(endpoint, now),
        line(words.routing(endpoint.routing)),
        words.owner(endpoint),
        line(words.presence(endpoint.presence)),
        line(Run(age(endpoint.last_seen, now), Tone.MUTED)),
        line(Run(clean(endpoint.site), Tone.MUTED)),
    )


def counted(shown: int, known: int, marked: Collection[str]) -> str:
    """The count above the table: of all, or shown of all, and how many are marked."""
    text = f"{known:,}" if shown == known else f"{shown:,} of {known:,}"
    return f"{text} · {len(marked):,} marked" if marked else text


def _empty(known: int, *, filtered: bool) -> tuple[str, ...]:
    if filtered and known:
        return ("No endpoint matches this filter.", "Press esc to clear it, / to change it.")
    return ("The inventory is empty.", "gnomon scan 127.0.0.0/24 looks for endpoints and records them here.")
