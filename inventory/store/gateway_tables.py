"""The tables of what gateways report beside their heartbeat, and of what is tried around them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from inventory.store.tables import document, moment


class GatewayRouteRow(SQLModel, table=True):
    """What one gateway has of one route: the revision that it acknowledged, and the one it refused."""

    __tablename__ = "gateway_route"
    __table_args__ = (Index("ix_gateway_route_route", "route"),)
    gateway: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    number: int | None = None
    refused: int | None = None
    error: str | None = None


class TrafficSampleRow(SQLModel, table=True):
    """What passed to one backend of one route from ``at`` on, for so many seconds."""

    __tablename__ = "traffic_sample"
    __table_args__ = (Index("ix_traffic_sample_at", "at"),)
    route: str = Field(primary_key=True)
    backend: str = Field(primary_key=True)
    at: datetime = moment(primary_key=True)
    seconds: float
    body: dict[str, Any] = document()


class SealRow(SQLModel, table=True):
    """The trials of one endpoint at one moment. Never updated."""

    __tablename__ = "seal"
    __table_args__ = (Index("ix_seal_endpoint", "endpoint", "number"), Index("ix_seal_route", "route", "number"))
    number: int | None = Field(default=None, primary_key=True)
    endpoint: str
    route: str
    at: datetime = moment()
    verdict: str
    body: dict[str, Any] = document()


class InvitationRow(SQLModel, table=True):
    """Leave to join, by the digest of its secret."""

    __tablename__ = "invitation"
    digest: str = Field(primary_key=True)
    expires_at: datetime = moment()
    body: dict[str, Any] = document()


class MemberRow(SQLModel, table=True):
    """A gateway of another machine that joined."""

    __tablename__ = "member"
    gateway: str = Field(primary_key=True)
    body: dict[str, Any] = document()
