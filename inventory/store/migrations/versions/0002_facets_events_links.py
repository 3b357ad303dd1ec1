"""Facets, the version that wrote each endpoint, tombstones, events, links, saved views, trends."""

import hashlib
import ipaddress
import json
from collections import Counter
from typing import Any

import sqlalchemy as sa
from alembic import op

from inventory.store.tables import UtcDateTime

revision = "0002"
down_revision = "0001"

_OLD_INDEXES = (
    "first_seen", "governance", "kind", "last_seen", "owner", "posture", "presence", "product", "risk", "routing",
    "scope",
)  # fmt: skip
_NEW_INDEXES = {
    "listener": ["address", "port", "site"],
    "port": ["port", "place"],
    "place": ["place", "facet"],
    "facet": ["facet", "place"],
    "last_seen": ["last_seen", "place", "facet"],
    "first_seen": ["first_seen", "place", "facet"],
    "clock": ["clock"],
    "due_at": ["due_at"],
    "workload_uid": ["workload_uid"],
    "tls_key": ["site", "tls_key"],
    "schema_digest": ["site", "schema_digest"],
}
_PARTIAL = ("due_at", "workload_uid", "tls_key", "schema_digest")
_HISTORY = ("event", "link", "view", "bookmark", "trend")
_TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
_FACET = (
    "site", "scope", "scheme", "kind", "product", "is_model_endpoint", "posture", "presence", "governance", "routing",
    "owner", "risk", "cluster", "namespace",
)  # fmt: skip
_BATCH = 2000


def upgrade() -> None:
    """To this revision. What endpoints have of it is worked out from their rows."""
    op.create_table(
        "facet",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("scope", _TEXT, nullable=False),
        sa.Column("scheme", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=True),
        sa.Column("product", _TEXT, nullable=True),
        sa.Column("is_model_endpoint", sa.Boolean(), nullable=False),
        sa.Column("posture", _TEXT, nullable=False),
        sa.Column("presence", _TEXT, nullable=False),
        sa.Column("governance", _TEXT, nullable=False),
        sa.Column("routing", _TEXT, nullable=False),
        sa.Column("owner", _TEXT, nullable=True),
        sa.Column("risk", sa.Integer(), nullable=False),
        sa.Column("cluster", _TEXT, nullable=True),
        sa.Column("namespace", _TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "block",
        sa.Column("site", _TEXT, nullable=False),
        sa.Column("key", _TEXT, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("site", "key"),
    )
    op.create_table(
        "tombstone",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("successor", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tombstone_clock", "tombstone", ["clock"])
    _history()
    for name in (*_OLD_INDEXES, "listener"):
        op.drop_index(f"ix_endpoint_{name}", "endpoint")
    with op.batch_alter_table("endpoint") as table:
        for name in ("id", "address"):
            table.alter_column(name, type_=_TEXT, existing_type=sa.String(), existing_nullable=False)
        table.add_column(sa.Column("place", _TEXT, nullable=False, server_default=""))
        table.add_column(sa.Column("facet", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("clock", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("due_at", UtcDateTime, nullable=True))
        table.add_column(sa.Column("tls_expires", UtcDateTime, nullable=True))
        for name in ("tls_key", "schema_digest", "cluster", "namespace", "workload", "workload_uid"):
            table.add_column(sa.Column(name, sa.String(), nullable=True))
        table.add_column(sa.Column("membership", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("places", sa.JSON(), nullable=False, server_default="[]"))
    _fill()
    for name, columns in _NEW_INDEXES.items():
        known = sa.text(f"{columns[-1]} IS NOT NULL") if name in _PARTIAL else None
        op.create_index(f"ix_endpoint_{name}", "endpoint", columns, sqlite_where=known, postgresql_where=known)


def _history() -> None:
    op.create_table(
        "event",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_event_endpoint", "event", ["endpoint", "number"])
    op.create_index("ix_event_at", "event", ["at"])
    op.create_table(
        "link",
        sa.Column("place", _TEXT, nullable=False),
        sa.Column("endpoint", _TEXT, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("clock", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("place", "endpoint"),
    )
    op.create_index("ix_link_listener", "link", ["address", "port", "site"])
    op.create_index("ix_link_endpoint", "link", ["endpoint"])
    op.create_table(
        "view",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "bookmark",
        sa.Column("reader", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("reader"),
    )
    op.create_table(
        "trend",
        sa.Column("scan", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("scan"),
    )
    op.create_index("ix_trend_at", "trend", ["at"])


def _fill() -> None:
    connection = op.get_bind()
    endpoint = sa.table(
        "endpoint", *(sa.column(name) for name in ("id", "address", "port", "place", "facet", "due_at", *_FACET))
    )
    counts: Counter[int] = Counter()
    blocks: Counter[tuple[str, str]] = Counter()
    values: dict[int, dict[str, Any]] = {}
    last = ""
    while True:
        page = sa.select(endpoint).where(endpoint.c.id > last).order_by(endpoint.c.id).limit(_BATCH)
        rows = [dict(row) for row in connection.execute(page).mappings()]
        if not rows:
            break
        last = rows[-1]["id"]
        for row in rows:
            its = {name: row[name] for name in _FACET} | {"is_model_endpoint": bool(row["is_model_endpoint"])}
            text = json.dumps([its[name] for name in _FACET])
            number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
            counts[number] += 1
            values[number] = its
            numeric = ipaddress.ip_address(row["address"])
            place = f"{numeric.version}{numeric.packed.hex()}{row['port']:04x}{row['id']}"
            blocks[row["site"], place[: 7 if numeric.version == 4 else 17]] += 1
            change = sa.update(endpoint).where(endpoint.c.id == row["id"]).values(place=place, facet=number)
            connection.execute(change)
    facet = sa.table("facet", *(sa.column(name) for name in ("id", "count", *_FACET)))
    for number, count in counts.items():
        connection.execute(sa.insert(facet).values(id=number, count=count, **values[number]))
    block = sa.table("block", sa.column("site"), sa.column("key"), sa.column("count"))
    for (site, key), count in blocks.items():
        connection.execute(sa.insert(block).values(site=site, key=key, count=count))
    # When each changes by time alone is not known here: at the next look, all are worked out again.
    connection.execute(sa.text("UPDATE endpoint SET due_at = first_seen"))


def downgrade() -> None:
    """To the first schema; endpoints stay, without what only this one keeps."""
    for name in _NEW_INDEXES:
        op.drop_index(f"ix_endpoint_{name}", "endpoint")
    with op.batch_alter_table("endpoint") as table:
        for name in (
            "place", "facet", "clock", "due_at", "tls_expires", "tls_key", "schema_digest", "cluster", "namespace",
            "workload", "workload_uid", "membership", "places",
        ):  # fmt: skip
            table.drop_column(name)
    for name in (*_HISTORY, "tombstone", "block", "facet"):
        op.drop_table(name)
    op.create_index("ix_endpoint_listener", "endpoint", ["site", "address", "port"])
    for name in _OLD_INDEXES:
        op.create_index(f"ix_endpoint_{name}", "endpoint", [name])
