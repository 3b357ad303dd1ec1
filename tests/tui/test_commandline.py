"""The table of commands is held against what the modules register, and loads no more than it must."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_group

from tui.commandline import COMMANDS, Commands

FOLDER = Path(import_module("tui.commands").__path__[0])


@pytest.mark.parametrize("module", COMMANDS)
def test_a_module_registers_the_commands_of_the_table(module: str) -> None:
    part = typer.Typer()
    import_module(f"tui.commands.{module}").register(part)
    assert set(get_group(part).commands) == set(COMMANDS[module])


def test_every_module_that_registers_at_the_root_is_in_the_table() -> None:
    registering = {path.stem for path in FOLDER.glob("*.py") if "def register(app:" in path.read_text(encoding="utf-8")}
    assert registering == set(COMMANDS)


def test_the_names_are_known_before_anything_is_loaded() -> None:
    commands = Commands()
    assert list(commands) == [name for names in COMMANDS.values() for name in names]
    assert len(commands) == len(set(commands))


def test_a_name_that_is_none_is_not_looked_for_in_modules() -> None:
    commands = Commands()
    assert commands["scan"].name == "scan"
    assert commands.get("nonsense") is None
    with pytest.raises(KeyError):
        commands["nonsense"]


def test_a_command_loads_no_other() -> None:
    program = (
        "import json, sys\n"
        "from tui.commandline import Commands\n"
        "Commands()['db']\n"
        "json.dump([name for name in sys.modules if name.startswith('tui.commands.')], sys.stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.rpartition(".")[2] for name in json.loads(done.stdout)}
    assert "database" in loaded
    assert not loaded & (set(COMMANDS) - {"database", "routes", "moves"})


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "code"), [("tui", 2), ("endpoints", 0), ("nonsense", 2)])
def test_a_stream_that_is_closed_is_no_defect(closed: str, command: str, code: int, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tui.cli", "--database", f"sqlite:///{tmp_path}/a.db", command]
    # A shell closes streams before gnomon begins, as what starts services may.
    script = f'"$@" {closed}'
    done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) is ("2>&-" not in closed)
