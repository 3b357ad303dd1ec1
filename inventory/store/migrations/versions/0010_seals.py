"""Trials of direct paths, and since when an endpoint is sealed."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "seal",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_seal_endpoint", "seal", ["endpoint", "number"])
    op.create_index("ix_seal_route", "seal", ["route", "number"])
    op.add_column("endpoint", sa.Column("sealed_at", UtcDateTime, nullable=True))


def downgrade() -> None:
    """Back from this revision."""
    op.drop_column("endpoint", "sealed_at")
    op.drop_table("seal")
