"""The cast: who is started where, and what happens when a place is taken."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from scanner.ports import MODEL_PORTS
from tui.demo import cast
from tui.demo.process import DemoError

PROGRAMS = cast.programs("127.61.7", Path("folder"))


def test_each_has_a_name_and_an_address_of_its_own():
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS) == 7
    assert len({program.address for program in PROGRAMS}) == len(PROGRAMS)
    assert {cast.ORIGINAL, cast.REPLACEMENT} <= {program.name for program in PROGRAMS}


def test_each_listens_where_a_scan_of_model_ports_looks():
    assert {program.port for program in PROGRAMS} <= set(MODEL_PORTS)


def test_no_server_imports_from_where_strangers_may_write():
    assert all("-P" in program.argv for program in PROGRAMS)


def test_when_a_port_is_taken_on_all_stages_it_is_named():
    with ExitStack() as stack:
        for stage in cast.STAGES:
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((f"{stage}.32", 8080))
            one.listen()
        with pytest.raises(DemoError, match=r"cannot start: port 8080 of 127\.61\.\d+\.32 is in use"):
            stack.enter_context(cast.claim_stage())


def test_no_two_demonstrations_get_one_stage():
    """They are told apart from the first moment, long before any server listens."""
    with ExitStack() as stack:
        claimed = []
        while len(claimed) < len(cast.STAGES):
            try:
                claimed.append(stack.enter_context(cast.claim_stage()))
            except DemoError:
                break  # another demonstration runs on this machine
        assert len(claimed) > 1
        with pytest.raises(DemoError, match="cannot start"):
            stack.enter_context(cast.claim_stage())
        assert len(set(claimed)) == len(claimed)
    with cast.claim_stage() as again:
        assert again in claimed, "a stage that was left is free"


def test_a_missing_package_is_named_with_what_to_do():
    cast.check_installed()
    with pytest.raises(DemoError, match=r"serves with no_such_package: install .*gnomon\[demo\]"):
        cast.check_installed(["flask", "no_such_package"])


def test_only_the_user_may_look_into_the_folder(tmp_path):
    folder = cast.make_folder(tmp_path / "servers")
    assert folder.stat().st_mode & 0o077 == 0
    assert all(inside.stat().st_mode & 0o077 == 0 for inside in folder.iterdir())
