"""Which listeners the workloads of clusters have had."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "placement",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("workload", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("site", "address", "port", "workload"),
    )
    op.create_index("ix_placement_workload", "placement", ["site", "workload"])


def downgrade() -> None:
    """Back from this revision."""
    op.drop_table("placement")
