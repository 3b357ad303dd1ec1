"""The one database: SQLModel tables, repositories, Alembic migrations.

SQLite by default, PostgreSQL for teams.
Everything that gnomon's processes share is here, and nothing else is shared. Repositories take and
give the values of ``inventory.model``; no row leaves this package. Not here: any rule about what
the values mean, which is in the pure modules of ``inventory``.
"""

from inventory.store.errors import StoreError
from inventory.store.store import Store, open_store

__all__ = ["Store", "StoreError", "open_store"]
