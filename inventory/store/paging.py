"""Pages of a list, in bounded time whatever is filtered and sorted by.

The facets that match say how many rows there are to choose from. Few are fetched by their facets and
sorted; of many, the next hundred are never far along an index that is in the order asked for. A list
sorted by a value of the facets is the lists of its values, one after the other.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, func, literal_column, or_
from sqlalchemy import select as sa_select
from sqlalchemy.sql import visitors
from sqlmodel import Session, col

from inventory.listing import BY_FACET, BY_ROW, Cursor, Order, Page, place_key, read_cursor
from inventory.model import Endpoint
from inventory.query import Group, Query, Term
from inventory.store.facets import COLUMNS
from inventory.store.filters import Condition, indexed, where
from inventory.store.rows import TABLE, read_endpoints, select_endpoints
from inventory.store.tables import EndpointRow, FacetRow

FEW: Final = 20_000
"""So many rows are fetched and sorted in a few hundredths of a second; of more, an index is walked."""

LISTED: Final = 2000
"""So many places are named in a statement."""

AT_ONCE: Final = 5000
"""Rows read at a time where a whole list is asked for."""

INDEXED: Final = frozenset({"id", "address", "port", "last_seen", "first_seen"})
"""Fields of rows with an index of their own, which serves a term without a leading wildcard."""


@dataclass(frozen=True)
class Parts:
    """A query's terms: those that the facets decide, and those that need the row.

    ``selective`` says that the rows' terms leave only a few, which an index finds.
    """

    facet: tuple[Condition, ...]
    row: tuple[Condition, ...]
    selective: bool = False


def split(query: Query, now: datetime) -> Parts:
    """The conditions of a query, on facets and on rows."""
    terms = tuple(_flat(query.terms))
    of_facets = Query(tuple(term for term in terms if _decided_by_facets(term)))
    of_rows = Query(tuple(term for term in terms if not _decided_by_facets(term)))
    return Parts(where(of_facets, now, FacetRow), where(of_rows, now))


def parts_of(session: Session, query: Query, now: datetime) -> Parts:
    """The conditions of a query, and whether an index leaves few rows of them: counted no further than to know.

    Words are looked up first, since for them all rows are gone through: once, and not for each part of a list.
    """
    parts = split(query, now)
    for word in (one for one in _flat(query.terms) if isinstance(one, Term) and one.field is None and not one.negated):
        holds = where(Query((word,)), now)
        places = session.connection().execute(sa_select(TABLE.c.place).where(*holds).limit(LISTED + 1)).scalars().all()
        if len(places) <= LISTED:
            return replace(parts, row=(*parts.row, TABLE.c.place.in_(places)), selective=True)
    for term in (one for one in _flat(query.terms) if _has_index(one)):
        some = sa_select(TABLE.c.place).where(*where(Query((term,)), now)).limit(FEW + 1)
        found = session.connection().execute(sa_select(func.count()).select_from(some.subquery())).scalar_one()
        if int(found) <= FEW:
            return replace(parts, selective=True)
    return parts


def _flat(terms: tuple[Term | Group, ...]) -> Iterator[Term | Group]:
    """The terms, with those of views that are not negated in their place."""
    for term in terms:
        if isinstance(term, Group) and not term.negated:
            yield from _flat(term.terms)
        else:
            yield term


def _decided_by_facets(term: Term | Group) -> bool:
    return term.fields <= set(COLUMNS) if isinstance(term, Group) else term.field in COLUMNS


def _has_index(term: Term | Group) -> bool:
    if isinstance(term, Group) or term.negated or term.field not in INDEXED:
        return False
    return term.operator != ":" or all(not value.startswith("*") for value in term.values)


def count(session: Session, query: Query, now: datetime) -> int:
    """How many endpoints match: from the facets alone where they decide it."""
    parts = parts_of(session, query, now)
    if not parts.row:
        total = session.connection().execute(sa_select(func.sum(FacetRow.count)).where(*parts.facet)).scalar()
        return int(total or 0)
    facet = plain(session, TABLE.c.facet) if parts.selective else TABLE.c.facet
    rows = sa_select(func.count()).select_from(EndpointRow).where(*_in_facets(parts.facet, facet), *parts.row)
    return int(session.connection().execute(rows).scalar_one())


def page(session: Session, query: Query, order: Order, limit: int, after: str | None, now: datetime) -> Page:
    """A page of a list. Raises CursorError."""
    cursor = read_cursor(after) if after is not None else None
    parts = parts_of(session, query, now)
    if order.by in BY_FACET:
        rows = _by_facet(session, parts, order, limit + 1, cursor)
    else:
        rows = _by_row(session, parts, order, limit + 1, cursor)
    found = read_endpoints(session, select_endpoints().where(col(EndpointRow.place).in_([place for _, place in rows])))
    by_place = {place: index for index, (_, place) in enumerate(rows)}
    found.sort(key=lambda one: by_place[_place(one)])
    whole = len(rows) <= limit
    last = None if whole else str(Cursor(*rows[limit - 1]))
    return Page(tuple(found[:limit]), last)


def listing(session: Session, query: Query, order: Order, limit: int | None, now: datetime) -> Iterator[Endpoint]:
    """The whole list, or its first ``limit`` rows, read page by page."""
    after: str | None = None
    left = limit
    while left is None or left > 0:
        part = page(session, query, order, AT_ONCE if left is None else min(left, AT_ONCE), after, now)
        yield from part.rows
        after = part.after
        left = None if left is None else left - len(part.rows)
        if after is None:
            return


def beginning(endpoint_id: str) -> Condition:
    """The ids that begin so, by the index of ids."""
    return indexed(TABLE.c.id, f"{endpoint_id.lower().replace('*', '')}*")


def _place(endpoint: Endpoint) -> str:
    return place_key(endpoint.address, endpoint.port, endpoint.id)


Found = list[tuple[Any, str]]


def _by_facet(session: Session, parts: Parts, order: Order, limit: int, cursor: Cursor | None) -> Found:
    """Rows as (value, place), the values of a facet's column one after the other."""
    column = getattr(FacetRow, order.by)
    found: Found = []
    for value, total in _groups(session, parts, order, cursor):
        of_value = column.is_(None) if value is None else column == value
        beyond = [TABLE.c.place > cursor.place] if cursor and cursor.value == value else []
        wanted = Parts((*parts.facet, of_value), (*parts.row, *beyond), parts.selective)
        rows = _rows(session, wanted, total, TABLE.c.place, limit - len(found))
        found += [(value, place) for _, place in rows]
        if len(found) >= limit:
            break
    return found


def _groups(session: Session, parts: Parts, order: Order, cursor: Cursor | None) -> Iterator[tuple[Any, int]]:
    """The values of the order's column from the cursor on, each with how many endpoints there are of it."""
    column = getattr(FacetRow, order.by)
    query = sa_select(column, func.sum(FacetRow.count)).where(*parts.facet).group_by(column)
    totals: dict[Any, int] = defaultdict(int)
    for value, total in session.connection().execute(query):
        totals[value] += int(total)
    ordered = sorted(totals, key=_unknown_last, reverse=order.descending)
    if cursor is not None:
        start = _unknown_last(cursor.value)
        ordered = [v for v in ordered if (_unknown_last(v) <= start if order.descending else _unknown_last(v) >= start)]
    return ((value, totals[value]) for value in ordered)


def _unknown_last(value: Any) -> tuple[bool, Any]:
    return (value is None, 0 if value is None else value)


def _by_row(session: Session, parts: Parts, order: Order, limit: int, cursor: Cursor | None) -> Found:
    """Rows as (value, place), along a column of the rows."""
    column = TABLE.c[BY_ROW[order.by]]
    total = count_facets(session, parts.facet)
    moment: Any = None
    beyond: list[Condition] = []
    if cursor is not None:
        moment = _moment(cursor.value) if column is not TABLE.c.place else cursor.place
        later = column < moment if order.descending else column > moment
        same = TABLE.c.place < cursor.place if order.descending else TABLE.c.place > cursor.place
        beyond = [or_(later, and_(column == moment, same))] if column is not TABLE.c.place else [later]
    wanted = Parts(parts.facet, (*parts.row, *beyond), parts.selective)
    rows = _rows(session, wanted, total, column, limit, descending=order.descending)
    return [(_text(value), place) for value, place in rows]


def count_facets(session: Session, conditions: tuple[Condition, ...]) -> int:
    """How many endpoints there are in the facets of those conditions."""
    return int(session.connection().execute(sa_select(func.sum(FacetRow.count)).where(*conditions)).scalar() or 0)


def _rows(
    session: Session, parts: Parts, total: int, column: Column[Any], limit: int, *, descending: bool = False
) -> Found:
    """The first rows of those conditions, by one column and then by place, as (column, place)."""
    keys = [column] if column is TABLE.c.place else [column, TABLE.c.place]
    terms = parts.row
    if parts.facet and total <= FEW and not parts.selective:
        # Of these few the index of facets says all: SQLite might take that of another term, which leaves many.
        terms = tuple(_unindexed(session, term) for term in terms)
    query = sa_select(column, TABLE.c.place.label("at")).where(*terms).limit(limit)
    sorting: list[ColumnElement[Any]] = [*keys]
    if total <= FEW or parts.selective:
        # These few are to be sorted, not looked for along an index.
        facet = plain(session, TABLE.c.facet) if parts.selective else TABLE.c.facet
        query = query.where(*_in_facets(parts.facet, facet))
        if parts.facet or parts.selective:
            sorting = [plain(session, key) for key in keys]
    else:
        query = query.where(*_in_facets(parts.facet, plain(session, TABLE.c.facet)))
    query = query.order_by(*(key.desc() if descending else key.asc() for key in sorting))
    return [(value, place) for value, place in session.connection().execute(query)]


def _in_facets(conditions: tuple[Condition, ...], facet: ColumnElement[Any]) -> tuple[Condition, ...]:
    if not conditions:
        return ()
    return (facet.in_(sa_select(col(FacetRow.id)).where(*conditions)),)


def plain(session: Session, column: Column[Any]) -> ColumnElement[Any]:
    """A column that SQLite shall use no index for. PostgreSQL has statistics, and is left to choose."""
    if session.get_bind().dialect.name != "sqlite":
        return column
    return literal_column(f"+{column.table.name}.{column.name}", column.type)


def _unindexed(session: Session, term: Condition) -> Condition:
    """A term in a form that SQLite uses no index for."""

    def unindexed(element: Any, **_: Any) -> ColumnElement[Any] | None:
        own = isinstance(element, Column) and element.table is TABLE and element.name in INDEXED
        return plain(session, element) if own else None

    found: Condition = visitors.replacement_traverse(term, {}, unindexed)
    return found


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _text(value: Any) -> str | int | None:
    return value.isoformat() if isinstance(value, datetime) else value
