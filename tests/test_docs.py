"""The documentation is held against the code: what is not documented, or no longer there, fails the suite."""

import re
from itertools import product
from pathlib import Path

import click
import pytest
import typer.main
from making import NOW, ago, endpoint

from inventory.model import Governance, Kind, Posture, Routing
from inventory.risk import assess
from inventory.settings import Settings
from tui.commandline import make_app
from tui.exits import Exit

ROOT = Path(__file__).parent.parent
OPERATORS = (ROOT / "docs" / "operators.md").read_text()
PAGES = {path.name: path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))}


def commands(group: click.Group, prefix: str = "gnomon") -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        found |= (
            commands(command, f"{prefix} {name}") if hasattr(command, "commands") else {f"{prefix} {name}": command}
        )
    return found


COMMANDS = commands(typer.main.get_command(make_app()))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str):
    assert f"| `{name}` |" in OPERATORS


def test_no_setting_is_documented_that_is_not_there():
    table = OPERATORS.split("## Settings")[1].split("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Settings.model_fields)


def test_every_weight_of_risk_is_documented():
    table = OPERATORS.split("## Risk")[1].split("##")[0]
    parts = product([None, *Kind], Posture, Governance, Routing, ["127.0.0.1", "1.1.1.1"])
    for kind, posture, governance, routing, address in parts:
        one = endpoint(
            kind=kind, posture=posture, governance=governance, routing=routing, address=address, first_seen=ago(days=60)
        )
        holed = one.model_copy(update={"product": "mlflow", "version": "2.0"})
        for reason in (*assess(one, NOW)[1], *assess(holed, NOW)[1]):
            assert re.search(rf"(^| |-){abs(reason.weight)}( |$)", table, re.MULTILINE), reason


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_documented(code: Exit):
    assert f"| {code.value} |" in OPERATORS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str):
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_commands_that_exist(page: str):
    known = {" ".join(name.split()[:2]) for name in COMMANDS}
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```", PAGES[page], re.MULTILINE | re.DOTALL))
    named = re.findall(r"`(gnomon [a-z]+)[ `]", PAGES[page])
    named += re.findall(r"^(?:\$ )?(gnomon [a-z]+)", fenced, re.MULTILINE)
    assert [one for one in named if one not in known] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    folder = ROOT if (ROOT / page).exists() else ROOT / "docs"
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert (folder / target).exists(), f"{page} links to {target}"
