"""The tables of governance. As in ``tables``, a row is made only from a value that was validated before."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

from inventory.store.tables import document, moment


def _large() -> Any:
    """A column for a count beyond 32 bits."""
    return Field(sa_column=Column(BigInteger, nullable=False))


class PolicySetRow(SQLModel, table=True):
    """One version of the policies. Never updated, never deleted."""

    __tablename__ = "policy_set"
    number: int = Field(primary_key=True)
    body: dict[str, Any] = document()


class PolicyStateRow(SQLModel, table=True):
    """Which versions count: the latest row does. ``id`` is its ``version``, against two who decide at once."""

    __tablename__ = "policy_state"
    id: int = Field(primary_key=True)
    version: int
    body: dict[str, Any] = document()


class IssuerRow(SQLModel, table=True):
    """Whose tokens are believed, with the keys (JWKS) that were fetched last: public ones."""

    __tablename__ = "issuer"
    name: str = Field(primary_key=True)
    body: dict[str, Any] = document()
    keys: dict[str, Any] = document()
    fetched_at: datetime | None = moment(nullable=True)
    error: str | None = None


class PrincipalRow(SQLModel, table=True):
    """A caller that was seen or declared."""

    __tablename__ = "principal"
    id: str = Field(primary_key=True)
    kind: str
    first_seen: datetime = moment()
    last_seen: datetime = moment(index=True)
    attributes: dict[str, Any] = document()


class ApiKeyRow(SQLModel, table=True):
    """A key's digest, owner and end."""

    __tablename__ = "api_key"
    id: str = Field(primary_key=True)
    expires_at: datetime = moment(index=True)
    body: dict[str, Any] = document()


class RevocationRow(SQLModel, table=True):
    """What is no longer believed, until its end."""

    __tablename__ = "revocation"
    kind: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    until: datetime = moment(index=True)
    body: dict[str, Any] = document()


class CallRow(SQLModel, table=True):
    """One call through a gateway. Appended in batches, never updated; whole batches go when they are too old."""

    __tablename__ = "call"
    __table_args__ = (
        Index("ix_call_at", "at"),
        Index("ix_call_route_at", "route", "at"),
        Index("ix_call_principal_at", "principal", "at"),
    )
    number: int | None = Field(default=None, primary_key=True)
    batch: int = Field(index=True)
    gateway: str
    id: str
    at: datetime = moment()
    route: str
    revision: int
    backend: str
    principal: str
    network: str
    client: str
    method: str
    path: str
    status: int
    received: int = _large()
    sent: int = _large()
    micros: int
    model: str | None = None
    purpose: str | None = None
    refused_by: str
    enforced: bool | None = None
    enforced_by: str
    candidate: bool | None = None
    candidate_by: str
    over: str


class CallBatchRow(SQLModel, table=True):
    """A batch of calls: how many, and a digest over them and over the batch before, so that none can be changed."""

    __tablename__ = "call_batch"
    number: int = Field(primary_key=True)
    gateway: str = Field(index=True)
    first_at: datetime = moment()
    last_at: datetime = moment()
    calls: int
    lost: int
    digest: str
    previous: str


class RecordingRow(SQLModel, table=True):
    """How far one gateway's log was recorded: the file, the byte, and what was lost on the way."""

    __tablename__ = "recording"
    gateway: str = Field(primary_key=True)
    file: str
    cursor: int = _large()
    recorded: int = _large()
    lost: int = _large()
    behind: int = _large()
    at: datetime = moment()
