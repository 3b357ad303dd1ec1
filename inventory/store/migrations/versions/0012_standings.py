"""How what runs in a cluster stands, as a column of its own for filters."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """To this revision. What is known of the rows that are there is in their document."""
    op.add_column("endpoint", sa.Column("standing", sa.String(), nullable=True))
    endpoint = sa.table("endpoint", sa.column("standing", sa.String()), sa.column("membership", sa.JSON()))
    told = endpoint.c.membership["standing"].as_string()
    op.execute(sa.update(endpoint).where(endpoint.c.membership.is_not(None)).values(standing=told))


def downgrade() -> None:
    """Back from this revision."""
    op.drop_column("endpoint", "standing")
