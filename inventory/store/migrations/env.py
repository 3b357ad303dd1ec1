"""Alembic's entry: the connection is given, since only the store knows how to open one."""

from alembic import context
from sqlmodel import SQLModel

from inventory.store import gateway_tables, governance_tables, rollout_tables, tables, tables_history

assert gateway_tables.GatewayRouteRow.metadata is SQLModel.metadata
assert governance_tables.CallRow.metadata is SQLModel.metadata
assert rollout_tables.RolloutRow.metadata is SQLModel.metadata
assert tables_history.EventRow.metadata is SQLModel.metadata
for table in SQLModel.metadata.tables.values():
    for index in table.indexes:
        if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs["postgresql_where"] = where
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    user_module_prefix=f"{tables.__name__}.",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
