"""The order of a whole listing, and what of it changed since: for a screen that can jump anywhere in it.

Pages do not give that. What is read is the id of each endpoint and a text that it is sorted by, which the database
puts into one value each: the driver makes two strings of them, while the screen goes on. After that only what was
written later is read, and put into its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, literal
from sqlalchemy import select as sa_select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import Session, col, select

from inventory.listing import BY_FACET, BY_ROW, Order
from inventory.query import Query
from inventory.store.database import Database
from inventory.store.pages import of_gaps
from inventory.store.paging import Parts, parts_of, plain, split
from inventory.store.rows import TABLE
from inventory.store.tables import ClockRow, FacetRow, TombstoneRow

MANY: Final = 4000
"""Where more than so many endpoints were written, the whole order is read again: that costs no more."""
FACETS: Final = FacetRow.metadata.tables[str(FacetRow.__tablename__)]
_BEFORE_THE_ID: Final = {4: 1 + 8 + 4, 6: 1 + 32 + 4}
"""How many characters of a place come before the id, by the version of its address (see ``place_key``)."""
_RANKS: Final = 1_000_000
"""What is added to the rank of a value, so that each has as many digits."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The ids of a listing at a version of the store, and what each is sorted by.

    ``sorts`` rises, and falls where ``falling``; ``ranked`` are the values that the rank in it stands for.
    """

    version: int
    keys: list[str]
    sorts: list[str]
    falling: bool = False
    ranked: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What was written up to ``version``: the ids it is about, and those of them that belong into the listing now."""

    version: int
    changed: frozenset[str]
    placed: tuple[tuple[str, str], ...] = field(default=())
    """What each is sorted by, and its id."""


class EndpointOrder:
    """Reads the order of listings. Every method blocks; all are safe in several threads at once. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, query: Query, order: Order, now: datetime, *, gaps: bool = False) -> Ordered:
        """All of it; ``gaps`` keeps only endpoints of ``coverage.is_gap``."""
        with self._database.read() as session:
            version = _version(session)
            ranked = _ranked(session, order)
            found, sorts = _listed(session, parts_of(session, query, now), order, gaps=gaps)
            texts = session.connection().execute(_joined(session, found, sorts, _sorting(order))).one()
        keys, places = (text.split("\n") if text else [] for text in texts)
        return Ordered(version, keys, places, _falls(order), ranked)

    def since(self, before: Ordered, query: Query, order: Order, now: datetime, *, gaps: bool = False) -> News | None:
        """What was written after a version; None where it is too much, and all of it is to be read."""
        with self._database.read() as session:
            version = _version(session)
            if version == before.version:
                return News(version, frozenset())
            newer = sa_select(TABLE.c.id).where(TABLE.c.clock > before.version).limit(MANY + 1)
            changed = list(session.connection().execute(newer).scalars())
            gone = select(TombstoneRow.id).where(col(TombstoneRow.clock) > before.version).limit(MANY + 1)
            buried = session.exec(gone).all()
            if len(changed) > MANY or len(buried) > MANY or _ranked(session, order) != before.ranked:
                return None
            parts = replace(split(query, now), selective=True)
            found, sorts = _listed(session, parts, order, gaps=gaps)
            those = found.where(TABLE.c.id.in_(changed)).with_only_columns(sorts, TABLE.c.id)
            rows = session.connection().execute(those) if changed else ()
            placed = tuple((text, id_) for text, id_ in rows)
        return News(version, frozenset((*changed, *buried)), placed)


def patched(before: Ordered, news: News) -> Ordered:
    """The order with news put into their places; ``before`` stays as it is. Pure.

    Lists of a hundred thousand are put together from slices, once: taking out and putting in one by one moves all
    of what follows each time.
    """
    if not news.changed:
        return replace(before, version=news.version)
    changed, keys, sorts = news.changed, before.keys, before.sorts
    placed = sorted(news.placed, reverse=before.falling)
    into = [(_place_of(sorts, text, falling=before.falling), 0, n) for n, (text, _) in enumerate(placed)]
    out = [(place, 1, 0) for place, key in enumerate(keys) if key in changed]
    steps = sorted(into + out)
    return replace(
        before,
        version=news.version,
        keys=_stepped(keys, steps, [key for _, key in placed]),
        sorts=_stepped(sorts, steps, [text for text, _ in placed]),
    )


def _stepped(values: Sequence[str], steps: Sequence[tuple[int, int, int]], new: Sequence[str]) -> list[str]:
    """The values after steps, which rise: at a place, 0 and which of the new goes before it, or 1 where it leaves."""
    found: list[str] = []
    start = 0
    for place, leaves, which in steps:
        found += values[start:place]
        start = place + leaves
        if not leaves:
            found.append(new[which])
    found += values[start:]
    return found


def _place_of(sorts: Sequence[str], text: str, *, falling: bool) -> int:
    """Where a text belongs among texts that rise or fall."""
    low, high = 0, len(sorts)
    while low < high:
        middle = (low + high) // 2
        if (sorts[middle] > text) if falling else (sorts[middle] < text):
            low = middle + 1
        else:
            high = middle
    return low


def _version(session: Session) -> int:
    return session.exec(select(ClockRow.value)).one()


def _falls(order: Order) -> bool:
    return order.descending and order.by not in BY_FACET


def _ranked(session: Session, order: Order) -> tuple[Any, ...]:
    """The values of the facets' column in their order; risk ranks itself, and rows are sorted by what they hold."""
    if order.by not in BY_FACET or order.by == "risk":
        return ()
    column = FACETS.c[order.by]
    query = sa_select(column).group_by(column).order_by(*_keys(order))
    return tuple(session.connection().execute(query).scalars())


def _listed(session: Session, parts: Parts, order: Order, *, gaps: bool) -> tuple[Select[Any], ColumnElement[str]]:
    """The endpoints that match, and what each is sorted by: text that sorts so byte by byte."""
    of_facets = [*parts.facet, *([of_gaps()] if gaps else [])]
    found: Select[Any] = sa_select(TABLE.c.place).where(*parts.row)
    if order.by in BY_FACET:
        return _by_facet(session, found.where(*of_facets), order, selective=parts.selective)
    if of_facets:
        its = plain(session, TABLE.c.facet) if parts.selective else TABLE.c.facet
        found = found.where(its.in_(sa_select(FACETS.c.id).where(*of_facets)))
    moment = TABLE.c[BY_ROW[order.by]]
    return found, TABLE.c.place if order.by == "endpoint" else _moment(session, moment) + TABLE.c.place


def _by_facet(
    session: Session, found: Select[Any], order: Order, *, selective: bool
) -> tuple[Select[Any], ColumnElement[str]]:
    # Facets are few and name their endpoints by an index. Unless few are left anyhow, SQLite is kept from going
    # through all endpoints for the facet of each.
    facet = FACETS.c.id if selective else plain(session, FACETS.c.id)
    found = found.select_from(FACETS).join(TABLE, TABLE.c.facet == facet)
    if order.by == "risk":
        rank = 1000 - FACETS.c.risk if order.descending else FACETS.c.risk
        return found, cast(rank + _RANKS, Text) + TABLE.c.place
    its = func.dense_rank().over(order_by=_keys(order)).label("rank")
    ranks = sa_select(FACETS.c.id, its).subquery("ranks")
    return found.join(ranks, ranks.c.id == FACETS.c.id), cast(ranks.c.rank + _RANKS, Text) + TABLE.c.place


def _id() -> ColumnElement[str]:
    """The id of a place. An index holds it, so that no row is read for it: all but those without an address."""
    place = TABLE.c.place
    by_version = [(place.startswith(str(v)), func.substr(place, start + 1)) for v, start in _BEFORE_THE_ID.items()]
    return case(*by_version, else_=TABLE.c.id)


def _moment(session: Session, column: ColumnElement[Any]) -> ColumnElement[str]:
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", column), "YYYYMMDDHH24MISSUS")
    # SQLite holds moments as text of one length.
    return cast(column, Text)


def _keys(order: Order) -> list[Any]:
    """What the values of a facet's column are sorted by: as ``store.endpoints.page`` does."""
    column = FACETS.c[order.by]
    keys = [column] if order.by == "risk" else [column.is_(None), column]
    return [key.desc() if order.descending else key.asc() for key in keys]


def _sorting(order: Order) -> list[Any]:
    place = TABLE.c.place.desc() if _falls(order) else TABLE.c.place.asc()
    if order.by == "endpoint":
        return [place]
    if order.by in BY_FACET:
        return [*_keys(order), place]
    moment = TABLE.c[BY_ROW[order.by]]
    return [moment.desc() if order.descending else moment.asc(), place]


def _joined(session: Session, found: Select[Any], text: ColumnElement[str], sorting: Sequence[Any]) -> Select[Any]:
    """One text of the ids in order, a line each, and one of what they are sorted by."""
    if session.get_bind().dialect.name == "postgresql":
        lines = (aggregate_order_by(literal("\n"), *sorting) for _ in range(2))
        return found.with_only_columns(
            *(func.string_agg(each, end) for each, end in zip((_id(), text), lines, strict=True))
        )
    # SQLite takes the rows of an ordered subquery as they come; a test holds it to that.
    inner = found.with_only_columns(_id().label("id"), text.label("text")).order_by(*sorting).subquery()
    return sa_select(func.group_concat(inner.c.id, "\n"), func.group_concat(inner.c.text, "\n"))
