"""Tables of what happened, of which places are one application, of saved views, and of who has read how far."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

from inventory.store.tables import document, moment, text


class EventRow(SQLModel, table=True):
    """One thing that happened to an endpoint. Never updated, never deleted."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_endpoint", "endpoint", "number"), Index("ix_event_at", "at"))
    number: int | None = Field(default=None, primary_key=True)
    at: datetime = moment()
    endpoint: str
    what: str
    body: dict[str, Any] = document()


class LinkRow(SQLModel, table=True):
    """That the application at a place is, may be, or is not the one that an endpoint's id names.

    ``state`` is ``automatic``, ``confirmed``, ``proposed`` or ``split``; a place has one link of the
    first two at most.
    """

    __tablename__ = "link"
    __table_args__ = (Index("ix_link_listener", "address", "port", "site"), Index("ix_link_endpoint", "endpoint"))
    place: str = text(primary_key=True)
    endpoint: str = text(primary_key=True)
    state: str
    site: str
    address: str = text()
    port: int
    clock: int = Field(sa_column=Column(BigInteger, nullable=False))
    body: dict[str, Any] = document()


class ViewRow(SQLModel, table=True):
    """A saved filter, by name."""

    __tablename__ = "view"
    name: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class BookmarkRow(SQLModel, table=True):
    """How far a reader of the events has come."""

    __tablename__ = "bookmark"
    reader: str = Field(primary_key=True)
    number: int


class TrendRow(SQLModel, table=True):
    """What coverage was after a scan: one row a scan."""

    __tablename__ = "trend"
    scan: str = Field(primary_key=True)
    scope: str
    at: datetime = moment(index=True)
    body: dict[str, Any] = document()
