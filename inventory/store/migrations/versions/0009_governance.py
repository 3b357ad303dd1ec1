"""Policies, issuers, callers, keys, revocations, and the record of calls."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0009"
down_revision = "0008"

_TEXT = (
    "gateway", "id", "route", "backend", "principal", "network", "client", "method", "path", "refused_by",
    "enforced_by", "candidate_by", "over",
)  # fmt: skip


def upgrade() -> None:
    """To this revision."""
    _policies()
    _callers()
    _calls()


def _policies() -> None:
    op.create_table(
        "policy_set",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_table(
        "policy_state",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )


def _callers() -> None:
    op.create_table(
        "issuer",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("fetched_at", UtcDateTime, nullable=True),
        sa.Column("error", sa.String(), nullable=True),
    )
    op.create_table(
        "principal",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("first_seen", UtcDateTime, nullable=False),
        sa.Column("last_seen", UtcDateTime, nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
    )
    op.create_index("ix_principal_last_seen", "principal", ["last_seen"])
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_index("ix_api_key_expires_at", "api_key", ["expires_at"])
    op.create_table(
        "revocation",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "value"),
    )
    op.create_index("ix_revocation_until", "revocation", ["until"])


def _calls() -> None:
    op.create_table(
        "call",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in _TEXT),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("revision", "status", "micros")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("received", "sent")),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("enforced", sa.Boolean(), nullable=True),
        sa.Column("candidate", sa.Boolean(), nullable=True),
    )
    op.create_index("ix_call_batch", "call", ["batch"])
    op.create_index("ix_call_at", "call", ["at"])
    op.create_index("ix_call_route_at", "call", ["route", "at"])
    op.create_index("ix_call_principal_at", "call", ["principal", "at"])
    op.create_table(
        "call_batch",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("first_at", UtcDateTime, nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=False),
    )
    op.create_index("ix_call_batch_gateway", "call_batch", ["gateway"])
    op.create_table(
        "recording",
        sa.Column("gateway", sa.String(), primary_key=True),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("recorded", "lost", "behind")),
        sa.Column("at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Back to the revision before."""
    for table in (
        "recording", "call_batch", "call", "revocation", "api_key", "principal", "issuer", "policy_state", "policy_set",
    ):  # fmt: skip
        op.drop_table(table)
