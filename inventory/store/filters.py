"""The filter grammar as SQL. It must select exactly what ``Query.matches`` does; a test compares the two."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Column, ColumnElement, Integer, Text, and_, case, cast, false, func, not_, or_, true
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import col

from inventory.query import Group, Query, Term
from inventory.store.tables import EndpointRow, FacetRow, UtcDateTime

if TYPE_CHECKING:
    # Its tables take a while to make, and a scan has no calls.
    from inventory.store.governance_tables import CallRow

Condition = ColumnElement[bool]
Table = type["EndpointRow | FacetRow | CallRow"]

LOWER_CASE = frozenset({"id", "address", "port"})
"""Columns that hold no capital letters, so that an index of theirs serves a term as it is."""


def where(query: Query, now: datetime, table: Table = EndpointRow) -> tuple[Condition, ...]:
    """The conditions of a query on a table that has its fields, all of which must hold."""
    return tuple(_term(term, now, table) for term in query.terms)


def _term(term: Term | Group, now: datetime, table: Table) -> Condition:
    if isinstance(term, Group):
        condition = and_(true(), *(_term(one, now, table) for one in term.terms))
    else:
        condition = _positive(term, now, table)
    return not_(condition) if term.negated else condition


def _positive(term: Term, now: datetime, table: Table) -> Condition:
    if term.field is None and table is EndpointRow:
        return col(EndpointRow.words).contains(term.values[0], autoescape=True)
    if term.field is None:
        return or_(*(_text(_column(table, name)).contains(term.values[0], autoescape=True) for name in term.words))
    column = _column(table, term.field)
    if term.operator == ":":
        if table is not EndpointRow and table is not FacetRow:
            return or_(*(_of_call(column, pattern) for pattern in term.values))
        if term.field in LOWER_CASE:
            return or_(*(indexed(column, pattern) for pattern in term.values))
        return or_(*(_matches(_text(column), pattern) for pattern in term.values))
    if isinstance(column.type, UtcDateTime):
        # Younger than an age is later than a moment.
        limit = now - timedelta(seconds=term.bound)
        return column > limit if term.operator == "<" else column < limit
    return column < term.bound if term.operator == "<" else column > term.bound


def _of_call(column: InstrumentedAttribute[Any], pattern: str) -> Condition:
    """A pattern on a column of the record of calls, where routes are in lower case and a decision is a word."""
    if column.key == "route":
        return indexed(column, pattern)
    if isinstance(column.type, Boolean):
        return _matches(case((column.is_(True), "allow"), (column.is_(False), "deny"), else_=""), pattern)
    return _matches(_text(column), pattern)


def _column(table: Table, field: str) -> InstrumentedAttribute[Any]:
    column: InstrumentedAttribute[Any] = getattr(table, field)
    return column


def indexed(column: InstrumentedAttribute[Any] | Column[Any], pattern: str) -> Condition:
    """A pattern on a column that is never NULL and in lower case, in the form that an index serves."""
    if isinstance(column.type, Integer):
        if "*" in pattern:
            return _matches(_text(column), pattern)
        plain = pattern.isascii() and pattern.isdecimal() and len(pattern) < 10 and str(int(pattern)) == pattern
        return column == int(pattern) if plain else false()
    head, star, tail = pattern.partition("*")
    if not star:
        return column == pattern
    # What begins so is from there up to where the last character would be the next one.
    within = and_(column >= head, column < head[:-1] + chr(ord(head[-1]) + 1)) if head else true()
    return and_(within, _matches(_text(column), pattern)) if tail or not head else within


def _text(column: InstrumentedAttribute[Any] | Column[Any]) -> ColumnElement[str]:
    """A column as the grammar sees it: lower case, and never NULL."""
    if isinstance(column.type, Boolean):
        return case((column, "yes"), else_="no")
    return func.lower(func.coalesce(cast(column, Text), ""))


def _matches(text: ColumnElement[str], pattern: str) -> Condition:
    if pattern == "*":
        return text != ""
    if "*" not in pattern:
        return text == pattern
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return text.like(escaped, escape="\\")
