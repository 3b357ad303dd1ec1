"""Rollouts, their transitions, and what is seen of them."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "rollout",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("route"),
    )
    op.create_index("ix_rollout_status", "rollout", ["status"])
    op.create_table(
        "rollout_transition",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_rollout_transition_route", "rollout_transition", ["route"])
    op.create_table(
        "rollout_watch",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("route"),
    )


def downgrade() -> None:
    """To the revision before."""
    for table in ("rollout_watch", "rollout_transition", "rollout"):
        op.drop_table(table)
