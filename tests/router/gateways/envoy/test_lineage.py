"""Envoys that run are known by their command lines. Processes that only look like one stand in for them."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from router.gateways.envoy.files import Files
from router.gateways.envoy.lineage import Running, running

Start = Callable[..., int]
SHELL = os.path.realpath("/bin/sh")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process with these words behind its program."""
    with contextlib.ExitStack() as started:

        def one(*words: str, user: int | None = None) -> int:
            command = [SHELL, "-c", "echo; read word", "sh", *words]
            process = subprocess.Popen(command, user=user, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
            started.enter_context(process)
            started.callback(process.terminate)
            assert process.stdout is not None
            process.stdout.readline()
            return process.pid

        yield one


async def test_the_newest_comes_first_and_only_those_of_the_folder(files: Files, start: Start, tmp_path: Path) -> None:
    first, second = files.configuration("a"), files.configuration("b")
    old = start("--config-path", str(first), "--base-id-path", str(files.base))
    new = start("--config-path", str(second), "--base-id", "7", "--restart-epoch", "1")
    start("--config-path", str(tmp_path / "other" / second.name), "--base-id", "7", "--restart-epoch", "2")
    start("--config-path", str(files.standalone))
    program = Path(SHELL)
    assert await running(files) == [Running(new, 1, 7, second, program), Running(old, 0, None, first, program)]
    files.base.write_text("9\n", encoding="ascii")
    assert [one.base for one in await running(files)] == [7, 9]


@pytest.mark.skipif(os.getuid() != 0, reason="only root starts processes of other users")
async def test_a_process_of_another_user_is_no_envoy_of_ours(files: Files, start: Start) -> None:
    start("--config-path", str(files.configuration("a")), "--base-id", "7", user=65_534)
    assert await running(files) == []


def test_each_text_has_a_file_of_its_own_that_is_known_again(files: Files) -> None:
    assert files.configuration("a") != files.configuration("b")
    assert files.made(files.configuration("a"))
    assert not files.made(files.lastgood)
