"""An observation is kept under its scan first: what one scan saw lies together, however much there is of others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0014"
down_revision = "0013"

_COLUMNS = ("id", "scan", "site", "address", "port", "at", "body")


def upgrade() -> None:
    """To this revision. Every observation stays."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_observation_scan", "observation")
        _copied(["scan", "id"])
        return
    op.drop_index("ix_observation_scan", "observation")
    op.drop_constraint("observation_pkey", "observation")
    op.create_primary_key("observation_pkey", "observation", ["scan", "id"])


def downgrade() -> None:
    """Back from this revision."""
    if op.get_bind().dialect.name == "sqlite":
        _copied(["id"])
    else:
        op.drop_constraint("observation_pkey", "observation")
        op.create_primary_key("observation_pkey", "observation", ["id"])
    op.create_index("ix_observation_scan", "observation", ["scan"])


def _copied(key: Sequence[str]) -> None:
    # SQLite changes no key in place.
    op.drop_index("ix_observation_listener", "observation")
    op.rename_table("observation", "observation_before")
    op.create_table(
        "observation",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scan", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
    before, after = (sa.table(name, *map(sa.column, _COLUMNS)) for name in ("observation_before", "observation"))
    kept = sa.select(*before.c).order_by(sa.literal_column("rowid"))
    op.execute(sa.insert(after).from_select(_COLUMNS, kept))
    op.drop_table("observation_before")
    op.create_index("ix_observation_listener", "observation", ["site", "address", "port"])
