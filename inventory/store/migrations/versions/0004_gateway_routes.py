"""What gateways have of each route, and samples of its traffic."""

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "gateway_route",
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("refused", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("gateway", "route"),
    )
    op.create_index("ix_gateway_route_route", "gateway_route", ["route"])
    op.create_table(
        "traffic_sample",
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("route", "backend", "at"),
    )
    op.create_index("ix_traffic_sample_at", "traffic_sample", ["at"])


def downgrade() -> None:
    """Back to the revision before."""
    op.drop_table("traffic_sample")
    op.drop_table("gateway_route")
