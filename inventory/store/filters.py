"""The filter grammar as SQL. It must select exactly what ``Query.matches`` does; a test compares the two."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Text, case, cast, func, not_, or_
from sqlalchemy.orm import InstrumentedAttribute

from inventory.query import AGE_FIELDS, WORD_FIELDS, Query, Term
from inventory.store.tables import EndpointRow

Condition = ColumnElement[bool]


def where(query: Query, now: datetime) -> tuple[Condition, ...]:
    """The conditions of a query, all of which must hold."""
    return tuple(_term(term, now) for term in query.terms)


def _term(term: Term, now: datetime) -> Condition:
    condition = _positive(term, now)
    return not_(condition) if term.negated else condition


def _positive(term: Term, now: datetime) -> Condition:
    if term.field is None:
        return or_(*(_text(name).contains(term.values[0], autoescape=True) for name in WORD_FIELDS))
    if term.operator == ":":
        return or_(*(_matches(_text(term.field), pattern) for pattern in term.values))
    column = _column(term.field)
    if term.field in AGE_FIELDS.values():
        # Younger than an age is later than a moment.
        limit = now - timedelta(seconds=term.bound)
        return column > limit if term.operator == "<" else column < limit
    return column < term.bound if term.operator == "<" else column > term.bound


def _column(field: str) -> InstrumentedAttribute[Any]:
    column: InstrumentedAttribute[Any] = getattr(EndpointRow, field)
    return column


def _text(field: str) -> ColumnElement[str]:
    """A column as the grammar sees it: lower case, and never NULL."""
    column = _column(field)
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
