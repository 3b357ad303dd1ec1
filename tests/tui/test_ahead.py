"""What is begun before a command is loaded, decided from the arguments alone."""

import json
import subprocess
import sys

import pytest
import typer

from tui.ahead import FLAGS, VALUED_BEFORE, command_of, targets_of
from tui.commandline import MODULES, make_app


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        ("scan 10.0.0.0/24 --ports 80,8000-8100 web.example", ["10.0.0.0/24", "web.example"]),
        ("--database sqlite:///scan --config=a.toml scan --resume 10.0.0.1 -- -odd", ["10.0.0.1", "-odd"]),
        ("scan --ports=80 --allow-public 10.0.0.1 --rate 5", ["10.0.0.1"]),
        ("scan --scope lab", []),
        ("scan 10.0.0.1 --explain", []),
        ("scan --listen=eth0 10.0.0.0/8", []),
        ("scan --help", []),
        ("scope add lab 10.0.0.0/24", []),
        ("--database scan endpoints", []),
        ("", []),
    ],
)
def test_the_targets_of_a_scan_are_read_from_its_arguments(arguments: str, targets: list[str]) -> None:
    assert targets_of(arguments.split()) == targets


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("scan 10.0.0.0/24", "scan"),
        ("--database scan endpoints --help", "endpoints"),
        ("--config=a.toml -- tui", "tui"),
        ("--help scan", None),
        ("-h", None),
        ("--version", None),
        ("", None),
    ],
)
def test_the_command_is_read_from_its_arguments(arguments: str, name: str | None) -> None:
    assert command_of(arguments.split()) == name


def test_of_the_command_line_only_what_holds_the_named_command_is_loaded() -> None:
    whole = typer.main.get_command(make_app()).commands  # type: ignore[attr-defined]
    for names in MODULES.values():
        for name in names:
            part = typer.main.get_command(make_app(name)).commands  # type: ignore[attr-defined]
            assert part.keys() == names
            assert part[name].help == whole[name].help
    assert typer.main.get_command(make_app("nonsense")).commands.keys() == whole.keys()  # type: ignore[attr-defined]


def test_the_options_with_and_without_values_are_those_of_the_commands() -> None:
    whole = typer.main.get_command(make_app())
    scan = whole.commands["scan"]  # type: ignore[attr-defined]
    options = [one for one in scan.params if one.param_type_name == "option"]
    flags = {name for one in options if one.is_flag for name in (*one.opts, *one.secondary_opts)}
    assert flags | {"--help", "-h"} == FLAGS
    before = [one for one in whole.params if one.param_type_name == "option" and not one.is_flag]
    assert {name for one in before for name in one.opts} == VALUED_BEFORE


def test_the_process_that_sends_frames_is_there_without_the_model_and_the_store() -> None:
    program = (
        "import json, sys\n"
        "import scanner.io.probing, scanner.io.prober, scanner.io.packets, scanner.batches, scanner.io.ways\n"
        "json.dump(sorted(sys.modules), sys.stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "numpy" in loaded
    assert not loaded & {"pydantic", "sqlalchemy", "inventory.model", "typer"}
