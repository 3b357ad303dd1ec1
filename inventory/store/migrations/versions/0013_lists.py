"""Lists read no row of an endpoint for two terms together, nor for a word: indexes carry what filters ask."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_SEEN = ["first_seen", "last_seen"]
_CARRIED = {
    "ix_endpoint_place": (["place", "facet"], ["address", "port", *_SEEN]),
    "ix_endpoint_facet": (["facet", "place"], ["address", "port", *_SEEN]),
    "ix_endpoint_port": (["port", "place", "facet"], _SEEN),
}
_SEARCHED = ("id", "url", "product", "title", "owner", "server", "kind")
_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_BATCH = 2000


def upgrade() -> None:
    """To this revision. The words of the rows that are there are put together from their columns."""
    for name, (columns, carried) in _CARRIED.items():
        op.drop_index(name, "endpoint")
        op.create_index(name, "endpoint", [*columns, *carried])
    op.add_column("endpoint", sa.Column("words", _TEXT, nullable=False, server_default=""))
    _fill()
    if op.get_bind().dialect.name == "sqlite":
        op.create_index("ix_endpoint_words", "endpoint", ["words", "place"])


def _fill() -> None:
    connection = op.get_bind()
    endpoint = sa.table("endpoint", *(sa.column(name) for name in (*_SEARCHED, "words")))
    change = sa.update(endpoint).where(endpoint.c.id == sa.bindparam("of")).values(words=sa.bindparam("told"))
    last = ""
    while True:
        columns = [endpoint.c[name] for name in _SEARCHED]
        page = sa.select(*columns).where(endpoint.c.id > last).order_by(endpoint.c.id).limit(_BATCH)
        rows = connection.execute(page).all()
        if not rows:
            return
        connection.execute(
            change, [{"of": row[0], "told": "\x1f".join(v.lower() if v else "" for v in row)} for row in rows]
        )
        last = rows[-1][0]


def downgrade() -> None:
    """Back from this revision."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_endpoint_words", "endpoint")
    op.drop_column("endpoint", "words")
    for name, (columns, _) in _CARRIED.items():
        op.drop_index(name, "endpoint")
        op.create_index(name, "endpoint", columns)
