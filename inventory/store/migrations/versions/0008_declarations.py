"""What registries, lists and gateways declare, and what people decided about it."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "declaration",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("scan", sa.String(), nullable=False),
        sa.Column("first_seen", UtcDateTime, nullable=False),
        sa.Column("last_seen", UtcDateTime, nullable=False),
        sa.Column("withdrawn_at", UtcDateTime, nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "key"),
    )
    op.create_index("ix_declaration_scope", "declaration", ["scope"])
    op.create_table(
        "ruling",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("source", "key", "endpoint"),
    )


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("ruling")
    op.drop_table("declaration")
