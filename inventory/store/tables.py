"""The tables. SQLModel tables do not validate: a row is made only from a value that was validated before."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Float, Index, String, UniqueConstraint
from sqlalchemy import text as sql
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
    """An observation, its body the JSON that its id is a digest of. Never updated, never deleted.

    Ids are of no order. Since the scan comes first in the key, they are looked for among that scan's alone,
    which stay in memory while it is taken in.
    """

    __tablename__ = "observation"
    __table_args__ = (Index("ix_observation_listener", "site", "address", "port"),)
    scan: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    site: str
    address: str
    port: int
    at: datetime = moment()
    body: str


def text(*, primary_key: bool = False, nullable: bool = False) -> Any:
    """A column for text that is compared byte by byte in every database, whatever its locale."""
    kind = String().with_variant(String(collation="C"), "postgresql")
    return Field(sa_column=Column(kind, primary_key=primary_key, nullable=nullable))


def known_values(name: str, *columns: str) -> Index:
    """An index of the endpoints whose last column is known, which few are.

    That it is partial is said in SQLite's words alone, since saying it in PostgreSQL's imports all of that dialect;
    ``migrations/env.py`` repeats it there.
    """
    known = sql(f"{columns[-1]} IS NOT NULL")
    return Index(f"ix_endpoint_{name}", *columns, sqlite_where=known)


CARRIED = ("address", "port", "first_seen", "last_seen")
"""What the indexes that lists are walked along carry besides: a term about it reads no row, and rows are wide."""


class EndpointRow(SQLModel, table=True):
    """An endpoint: the fold of its observations with triage, routing and risk laid over it.

    ``place`` is ``listing.place_key``; ``facet`` names the row's combination of values; ``clock`` is the
    version of the store that wrote the row last; ``due_at`` is when time alone will change what it says;
    ``words`` is what a bare word is looked for in: see ``query.searched``. ``membership`` is what the value
    calls ``cluster``; the column of that name, ``namespace`` and ``workload`` are of it, for filters.
    """

    __tablename__ = "endpoint"
    __table_args__ = (
        Index("ix_endpoint_listener", "address", "port", "site"),
        Index("ix_endpoint_port", "port", "place", "facet", *CARRIED[2:]),
        Index("ix_endpoint_place", "place", "facet", *CARRIED),
        Index("ix_endpoint_facet", "facet", "place", *CARRIED),
        Index("ix_endpoint_last_seen", "last_seen", "place", "facet"),
        Index("ix_endpoint_first_seen", "first_seen", "place", "facet"),
        Index("ix_endpoint_clock", "clock"),
        # A word may be anywhere in it, so all of it is read: that is a hundredth of the rows. Long texts, such as
        # titles, do not fit into an index of PostgreSQL, which keeps the long columns of rows apart anyway.
        Index("ix_endpoint_words", "words", "place").ddl_if(dialect="sqlite"),
        known_values("due_at", "due_at"),
        known_values("workload_uid", "workload_uid"),
        known_values("tls_key", "site", "tls_key"),
        known_values("schema_digest", "site", "schema_digest"),
    )
    id: str = text(primary_key=True)
    place: str = text()
    facet: int = Field(sa_column=Column(BigInteger, nullable=False))
    clock: int = Field(sa_column=Column(BigInteger, nullable=False))
    due_at: datetime | None = moment(nullable=True)
    words: str = text()
    site: str
    scope: str
    address: str = text()
    port: int
    scheme: str
    url: str
    base_path: str
    kind: str | None = None
    product: str | None = None
    version: str | None = None
    server: str | None = None
    title: str | None = None
    is_model_endpoint: bool = False
    confidence: float = Field(sa_column=Column(Float, nullable=False))
    posture: str
    posture_evidence: str | None = None
    presence: str
    governance: str
    exempt_until: datetime | None = moment(nullable=True)
    routing: str
    sealed_at: datetime | None = moment(nullable=True)
    risk: int
    owner: str | None = None
    first_seen: datetime = moment()
    last_seen: datetime = moment()
    catch_all: bool = False
    tls_key: str | None = None
    tls_expires: datetime | None = moment(nullable=True)
    schema_digest: str | None = None
    cluster: str | None = None
    namespace: str | None = None
    workload: str | None = None
    standing: str | None = None
    workload_uid: str | None = None
    membership: dict[str, Any] | None = Field(sa_column=Column(JSON(none_as_null=True), nullable=True))
    places: list[Any] = document()
    inference_routes: list[Any] = document()
    needs: list[Any] = document()
    certificate_names: list[Any] = document()
    exposures: list[Any] = document()
    risk_reasons: list[Any] = document()
    evidence: list[Any] = document()
    asked: list[Any] = document()


class FacetRow(SQLModel, table=True):
    """How many endpoints there are of one combination of values. The id is a digest of the combination."""

    __tablename__ = "facet"
    id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    count: int
    site: str = text()
    scope: str = text()
    scheme: str = text()
    kind: str | None = text(nullable=True)
    product: str | None = text(nullable=True)
    is_model_endpoint: bool
    posture: str = text()
    presence: str = text()
    governance: str = text()
    routing: str = text()
    owner: str | None = text(nullable=True)
    risk: int
    cluster: str | None = text(nullable=True)
    namespace: str | None = text(nullable=True)


class BlockRow(SQLModel, table=True):
    """How many endpoints there are in a /24 or /64 of a site, by ``listing.block_key``."""

    __tablename__ = "block"
    site: str = text(primary_key=True)
    key: str = text(primary_key=True)
    count: int


class TombstoneRow(SQLModel, table=True):
    """An id that no longer names an endpoint, since which version of the store, why, and what took its place."""

    __tablename__ = "tombstone"
    id: str = text(primary_key=True)
    clock: int = Field(sa_column=Column(BigInteger, nullable=False, index=True))
    at: datetime = moment()
    why: str
    successor: str | None = None


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
