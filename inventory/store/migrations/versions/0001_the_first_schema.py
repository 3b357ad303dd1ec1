"""The first schema."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0001"
down_revision = None

_TABLES = (
    "change",
    "clock",
    "endpoint",
    "gateway",
    "lease",
    "observation",
    "revision",
    "scan",
    "schedule",
    "scope",
    "shadow_evidence",
    "traffic",
    "triage",
)


def upgrade() -> None:
    """To this revision."""
    _changes()
    _endpoints()
    _observations()
    _routes_and_scans()
    _schedules_and_the_rest()


def _changes() -> None:
    op.create_table(
        "change",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_change_at", "change", ["at"])
    op.create_index("ix_change_subject", "change", ["subject"])

    op.create_table(
        "clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(sa.text("INSERT INTO clock (id, value) VALUES (1, 0)"))


def _endpoints() -> None:
    op.create_table(
        "endpoint",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("scheme", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("base_path", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("product", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("server", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("is_model_endpoint", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("posture", sa.String(), nullable=False),
        sa.Column("posture_evidence", sa.String(), nullable=True),
        sa.Column("presence", sa.String(), nullable=False),
        sa.Column("governance", sa.String(), nullable=False),
        sa.Column("exempt_until", UtcDateTime, nullable=True),
        sa.Column("routing", sa.String(), nullable=False),
        sa.Column("risk", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("first_seen", UtcDateTime, nullable=False),
        sa.Column("last_seen", UtcDateTime, nullable=False),
        sa.Column("catch_all", sa.Boolean(), nullable=False),
        sa.Column("inference_routes", sa.JSON(), nullable=False),
        sa.Column("needs", sa.JSON(), nullable=False),
        sa.Column("certificate_names", sa.JSON(), nullable=False),
        sa.Column("exposures", sa.JSON(), nullable=False),
        sa.Column("risk_reasons", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_endpoint_first_seen", "endpoint", ["first_seen"])
    op.create_index("ix_endpoint_governance", "endpoint", ["governance"])
    op.create_index("ix_endpoint_kind", "endpoint", ["kind"])
    op.create_index("ix_endpoint_last_seen", "endpoint", ["last_seen"])
    op.create_index("ix_endpoint_listener", "endpoint", ["site", "address", "port"])
    op.create_index("ix_endpoint_owner", "endpoint", ["owner"])
    op.create_index("ix_endpoint_posture", "endpoint", ["posture"])
    op.create_index("ix_endpoint_presence", "endpoint", ["presence"])
    op.create_index("ix_endpoint_product", "endpoint", ["product"])
    op.create_index("ix_endpoint_risk", "endpoint", ["risk"])
    op.create_index("ix_endpoint_routing", "endpoint", ["routing"])
    op.create_index("ix_endpoint_scope", "endpoint", ["scope"])


def _observations() -> None:
    op.create_table(
        "gateway",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "observation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scan", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_observation_listener", "observation", ["site", "address", "port"])
    op.create_index("ix_observation_scan", "observation", ["scan"])


def _routes_and_scans() -> None:
    op.create_table(
        "revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("route", "number"),
    )
    op.create_index("ix_revision_route", "revision", ["route"])

    op.create_table(
        "scan",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_scan_scope", "scan", ["scope"])
    op.create_index("ix_scan_site", "scan", ["site"])
    op.create_index("ix_scan_started_at", "scan", ["started_at"])
    op.create_index("ix_scan_status", "scan", ["status"])


def _schedules_and_the_rest() -> None:
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("ix_schedule_scope", "schedule", ["scope"])

    op.create_table(
        "scope",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "shadow_evidence",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("primary", sa.String(), nullable=False),
        sa.Column("shadow", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("route", "primary", "shadow"),
    )
    op.create_table(
        "traffic",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("route", "backend"),
    )
    op.create_table(
        "triage",
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint"),
    )


def downgrade() -> None:
    """To an empty database."""
    for table in _TABLES:
        op.drop_table(table)
