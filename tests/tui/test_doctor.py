"""The doctor tells what does not work, and what to do about it."""

import json
import socket
from pathlib import Path

from inventory.settings import Settings
from tui.doctor import examine


def settings(tmp_path: Path, **parts) -> Settings:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        free = trial.getsockname()[1]
    defaults = {"database": f"sqlite:///{tmp_path}/a.db", "state_folder": tmp_path / "state", "gateway_port": free}
    return Settings(**(defaults | parts))


def test_everything_works_where_it_should(tmp_path: Path):
    findings = examine(settings(tmp_path))
    assert [one for one in findings if not one.works] == []
    assert any("Envoy 1." in one.finding for one in findings)


def test_what_does_not_work_is_said_with_advice(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = {
            one.check: one
            for one in examine(
                settings(
                    tmp_path,
                    database=f"sqlite:///{blocker}/a.db",
                    state_folder=blocker / "state",
                    gateway_port=server.getsockname()[1],
                )
            )
        }
    for check, words in (
        ("database", "--database"),
        ("state folder", "GNOMON_STATE_FOLDER"),
        ("gateway port", "GNOMON_GATEWAY_PORT"),
    ):
        assert not found[check].works
        assert words in found[check].finding


def test_the_command_fails_where_something_does(gnomon, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("GNOMON_GATEWAY_PORT", str(server.getsockname()[1]))
        ran = gnomon("doctor", "--format", "json")
    assert ran.code == 1
    assert {row["check"]: row["works"] for row in json.loads(ran.out)}["gateway port"] is False
