"""The real command line, in this process, with nothing of the user's."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from inventory.settings import Settings


@dataclass(frozen=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/inventory.db"


@pytest.fixture
def gnomon(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, database_url: str
) -> Callable[..., Ran]:
    """Runs a command on a database of this test's own."""
    from tui import cli

    for name in Settings.model_fields:
        monkeypatch.delenv(f"GNOMON_{name.upper()}", raising=False)
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("GNOMON_ACTOR", "ana")

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["gnomon", "--database", database_url, *arguments])
        capsys.readouterr()
        code = cli._run()
        out, err = capsys.readouterr()
        return Ran(int(code), out, err)

    return run
