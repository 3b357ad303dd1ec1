"""The endpoint table: its columns, how it is sorted, and the cells of a row."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from inventory.coverage import why_not
from inventory.listing import ORDERS, Order
from inventory.model import Endpoint
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
    Column("presence", "Presence", 9, 9, drop=8),
    Column("seen", "Seen", 4, 5, drop=6, align="right"),
    Column("site", "Site", 6, 12, drop=9),
    Column("scope", "Scope", 6, 14, drop=11),
    Column("new", "Found", 5, 5, drop=10, align="right"),
    Column("why", "Why it is a gap", 24, 60, drop=1, grow=True),
)
DEFAULT = tuple(column.id for column in COLUMNS if column.id not in {"scope", "new", "why"})
_VIEW_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def chosen(ids: Sequence[str], default: Sequence[str] = DEFAULT) -> tuple[Column, ...]:
    """The columns of those ids, in the order of the table; the default ones where none of them exists."""
    picked = tuple(column for column in COLUMNS if column.id in ids)
    return picked or tuple(column for column in COLUMNS if column.id in default)


def order_of(by: str, *, descending: bool) -> Order:
    """An order that was kept; the riskiest first where that column is not there any more."""
    return Order(by, descending) if by in ORDERS else Order()


def natural(by: str) -> Order:
    """The direction that shows what matters first: the highest risk, the latest sighting, else A to Z.

    A column that cannot be sorted by stands for the risk that it explains.
    """
    return Order(by, by in {"risk", "seen", "new"}) if by in ORDERS else Order()


def next_order(order: Order, columns: Sequence[Column]) -> Order:
    """Sorted by the column to the right, in its natural direction."""
    names = [column.id for column in columns if column.id in ORDERS]
    at = names.index(order.by) if order.by in names else -1
    return natural(names[(at + 1) % len(names)]) if names else order


def view_name(text: str) -> str:
    """A name for a saved view. Raises ValueError for what could not be typed after ``:view``."""
    if not _VIEW_NAME.fullmatch(name := text.strip().lower()):
        raise ValueError("a name is of letters, digits and hyphens, 40 at most, such as open-notebooks")
    return name


def table(
    keys: Sequence[str],
    row_of: Callable[[str], Endpoint | None],
    order: Order,
    now: datetime,
    columns: tuple[Column, ...],
    *,
    empty: tuple[str, ...],
) -> Table[Endpoint]:
    """The table of those rows."""
    return Table(
        columns=columns,
        keys=keys,
        row_of=row_of,
        cells_of=partial(cells, columns=columns, now=now),
        empty=empty,
        sorted_by=order.by,
        descending=order.descending,
    )


_CELLS: dict[str, Callable[[Endpoint, datetime], Line]] = {
    "risk": lambda e, _: words.risk(e.risk),
    "endpoint": lambda e, _: words.place(e),
    "kind": lambda e, _: line(words.kind(e.kind)),
    "product": lambda e, _: words.product(e),
    "posture": lambda e, _: line(words.posture(e.posture)),
    "governance": words.governance,
    "routing": lambda e, _: line(words.routing(e.routing)),
    "owner": lambda e, _: words.owner(e),
    "presence": lambda e, _: line(words.presence(e.presence)),
    "seen": lambda e, now: line(Run(age(e.last_seen, now), Tone.MUTED)),
    "site": lambda e, _: line(Run(clean(e.site), Tone.MUTED)),
    "scope": lambda e, _: line(Run(clean(e.scope), Tone.MUTED)),
    "new": lambda e, now: line(Run(age(e.first_seen, now), Tone.MUTED)),
    "why": lambda e, _: line(Run(clean(why_not(e), 300), Tone.MUTED)),
}


def cells(endpoint: Endpoint, columns: Sequence[Column], now: datetime) -> tuple[Line, ...]:
    """One row, in the order of ``columns``."""
    return tuple(_CELLS[column.id](endpoint, now) for column in columns)


def counted(shown: int, known: int, marked: int) -> str:
    """The count above the table: of all, or shown of all, and how many are marked."""
    text = f"{known:,}" if shown == known else f"{shown:,} of {known:,}"
    return f"{text} · {marked:,} marked" if marked else text


def empty(*, loaded: bool, filtered: bool) -> tuple[str, ...]:
    """What is said where there is no row."""
    if not loaded:
        return ("Reading the inventory …",)
    if filtered:
        return ("No endpoint matches this filter.", "Press esc to clear it, / to change it.")
    return ("The inventory is empty.", "gnomon scan 127.0.0.0/24 looks for endpoints and records them here.")
