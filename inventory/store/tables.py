"""The tables. SQLModel tables do not validate: a row is made only from a value that was validated before."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Float, Index, UniqueConstraint
from sqlalchemy.types import JSON, TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database: as UTC, without its zone where the database keeps none."""
        if value is None:
            return None
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database: always with its zone."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def moment(*, index: bool = False, nullable: bool = False, primary_key: bool = False) -> Any:
    """A column for a moment."""
    return Field(sa_column=Column(UtcDateTime, index=index, nullable=nullable, primary_key=primary_key))


def document() -> Any:
    """A column for a JSON value."""
    return Field(sa_column=Column(JSON, nullable=False))


class ClockRow(SQLModel, table=True):
    """One row, whose value grows with every committed write."""

    __tablename__ = "clock"
    id: int = Field(primary_key=True)
    value: int = Field(sa_column=Column(BigInteger, nullable=False))


class ScopeRow(SQLModel, table=True):
    """A scope, as a document."""

    __tablename__ = "scope"
    name: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class ScheduleRow(SQLModel, table=True):
    """A schedule, as a document."""

    __tablename__ = "schedule"
    name: str = Field(primary_key=True)
    scope: str = Field(index=True)
    body: dict[str, Any] = document()


class LeaseRow(SQLModel, table=True):
    """Who holds a name, and until when."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    expires_at: datetime = moment()


class ScanRow(SQLModel, table=True):
    """A scan. What is filtered by is a column, all of it is the document."""

    __tablename__ = "scan"
    id: str = Field(primary_key=True)
    scope: str = Field(index=True)
    site: str = Field(index=True)
    status: str = Field(index=True)
    started_at: datetime = moment(index=True)
    body: dict[str, Any] = document()


class ObservationRow(SQLModel, table=True):
    """An observation, its body the JSON that its id is a digest of. Never updated, never deleted."""

    __tablename__ = "observation"
    __table_args__ = (Index("ix_observation_listener", "site", "address", "port"),)
    id: str = Field(primary_key=True)
    scan: str = Field(index=True)
    site: str
    address: str
    port: int
    at: datetime = moment()
    body: str


class EndpointRow(SQLModel, table=True):
    """An endpoint: the fold of its observations with triage, routing and risk laid over it."""

    __tablename__ = "endpoint"
    __table_args__ = (Index("ix_endpoint_listener", "site", "address", "port"),)
    id: str = Field(primary_key=True)
    site: str
    scope: str = Field(index=True)
    address: str
    port: int
    scheme: str
    url: str
    base_path: str
    kind: str | None = Field(default=None, index=True)
    product: str | None = Field(default=None, index=True)
    version: str | None = None
    server: str | None = None
    title: str | None = None
    is_model_endpoint: bool = False
    confidence: float = Field(sa_column=Column(Float, nullable=False))
    posture: str = Field(index=True)
    posture_evidence: str | None = None
    presence: str = Field(index=True)
    governance: str = Field(index=True)
    exempt_until: datetime | None = moment(nullable=True)
    routing: str = Field(index=True)
    risk: int = Field(index=True)
    owner: str | None = Field(default=None, index=True)
    first_seen: datetime = moment(index=True)
    last_seen: datetime = moment(index=True)
    catch_all: bool = False
    inference_routes: list[Any] = document()
    needs: list[Any] = document()
    certificate_names: list[Any] = document()
    exposures: list[Any] = document()
    risk_reasons: list[Any] = document()
    evidence: list[Any] = document()
    asked: list[Any] = document()


class TriageRow(SQLModel, table=True):
    """What people decided about an endpoint; it outlives the endpoint's row."""

    __tablename__ = "triage"
    endpoint: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class ChangeRow(SQLModel, table=True):
    """One governed action. Never updated, never deleted."""

    __tablename__ = "change"
    number: int | None = Field(default=None, primary_key=True)
    at: datetime = moment(index=True)
    subject: str = Field(index=True)
    body: dict[str, Any] = document()


class RevisionRow(SQLModel, table=True):
    """One version of a route. Never updated."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("route", "number"),)
    id: int | None = Field(default=None, primary_key=True)
    route: str = Field(index=True)
    number: int
    body: dict[str, Any] = document()


class GatewayRow(SQLModel, table=True):
    """What a gateway last reported of itself."""

    __tablename__ = "gateway"
    id: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class TrafficRow(SQLModel, table=True):
    """Live requests counted by route and backend."""

    __tablename__ = "traffic"
    route: str = Field(primary_key=True)
    backend: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class ShadowRow(SQLModel, table=True):
    """Paired answers counted by route and pair of backends."""

    __tablename__ = "shadow_evidence"
    route: str = Field(primary_key=True)
    primary: str = Field(primary_key=True)
    shadow: str = Field(primary_key=True)
    body: dict[str, Any] = document()
