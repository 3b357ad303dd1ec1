"""Starting cold is cheap: what a command does not need is not imported by it."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "textual", "scapy", "kubernetes", "aiohttp", "grpc", "google.protobuf", "numpy", "networkx", "sqlmodel",
    "sqlalchemy", "alembic", "apscheduler", "pydantic", "psycopg", "httptools", "rich",
}  # fmt: skip
NEEDED = {
    ("--help",): set(),
    ("scan", "--help"): {"pydantic"},
    ("endpoints",): {"sqlmodel", "sqlalchemy", "pydantic", "rich", "alembic"},
    ("coverage", "--format", "json"): {"sqlmodel", "sqlalchemy", "pydantic", "alembic", "rich"},
}


@pytest.mark.parametrize("arguments", NEEDED)
def test_a_command_imports_only_what_it_needs(arguments: tuple[str, ...], tmp_path):
    program = (
        "import json, sys\n"
        f"sys.argv = ['gnomon', '--database', 'sqlite:///{tmp_path}/a.db', *{list(arguments)!r}]\n"
        "from tui import cli\n"
        "cli._run()\n"
        "json.dump(sorted(sys.modules), sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert (loaded & HEAVY) <= NEEDED[arguments]
