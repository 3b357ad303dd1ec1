"""Alembic's entry: the connection is given, since only the store knows how to open one."""

from alembic import context
from sqlmodel import SQLModel

from inventory.store import gateway_tables, governance_tables, tables

assert gateway_tables.GatewayRouteRow.metadata is SQLModel.metadata
assert governance_tables.CallRow.metadata is SQLModel.metadata
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    user_module_prefix=f"{tables.__name__}.",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
