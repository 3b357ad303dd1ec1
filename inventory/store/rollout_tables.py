"""The tables of rollouts. As in ``tables``, a row is made only from a value that was validated before."""

from datetime import datetime
from typing import Any

from sqlmodel import Field, SQLModel

from inventory.store.tables import document, moment


class RolloutRow(SQLModel, table=True):
    """The latest rollout of a route."""

    __tablename__ = "rollout"
    route: str = Field(primary_key=True)
    status: str = Field(index=True)
    body: dict[str, Any] = document()


class TransitionRow(SQLModel, table=True):
    """One change of a rollout. Never updated, never deleted."""

    __tablename__ = "rollout_transition"
    number: int | None = Field(default=None, primary_key=True)
    route: str = Field(index=True)
    at: datetime = moment()
    body: dict[str, Any] = document()


class WatchRow(SQLModel, table=True):
    """What is seen of a route's rollout while its step lasts."""

    __tablename__ = "rollout_watch"
    route: str = Field(primary_key=True)
    body: dict[str, Any] = document()
