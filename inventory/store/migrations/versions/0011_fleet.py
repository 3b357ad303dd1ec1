"""Invitations of gateways on other machines, and those that joined."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "invitation",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
    )
    op.create_table(
        "member",
        sa.Column("gateway", sa.String(), primary_key=True),
        sa.Column("body", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("member")
    op.drop_table("invitation")
