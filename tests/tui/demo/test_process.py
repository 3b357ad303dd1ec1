"""The servers' processes: they start, they are awaited, and none is left, whoever is killed."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import naming, still_running

from tui.demo.process import DemoError, Program, Servers, free_port, port_problem

SERVER = """
    import os, signal, subprocess, sys, time
    {before}
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    HTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""

# A grandchild with a session of its own that ignores SIGTERM, and whose parent ends at once.
ESCAPE = (
    "subprocess.Popen([sys.executable, '-c', 'import subprocess, sys; subprocess.Popen([sys.executable, "
    '"-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"], '
    "start_new_session=True)', sys.argv[3]]).wait()"
)
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

PARENT = """
    import asyncio, json, os, pathlib, signal, sys, time
    from tui.demo.process import Program, Servers
    # A shell that starts the suite in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = pathlib.Path(sys.argv[1])
    programs = [Program(**one) for one in json.loads(sys.argv[2])]
    servers = Servers(folder, temporary=folder)
    for program in programs:
        servers.start(program)
    asyncio.run(servers.ready(programs, 20))
    print(json.dumps(servers.pids), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def program(tmp_path):
    """Make a server program on a free port; its command line names the test's folder, to be found by."""

    def make(name: str, before: str = "") -> Program:
        code = textwrap.dedent(SERVER).format(before=before)
        port = free_port("127.0.0.1", 0)
        argv = (sys.executable, "-c", code, "127.0.0.1", str(port), str(tmp_path))
        return Program(name, argv, "127.0.0.1", port, environment={"TEST_FOLDER": str(tmp_path)})

    return make


async def test_servers_answer_and_then_are_gone(tmp_path, program):
    programs = [program("plain"), program("stubborn", STUBBORN), program("escaping", ESCAPE)]
    with Servers(tmp_path) as servers:
        for one in programs:
            servers.start(one)
        await servers.ready(programs, 20)
        pids = servers.pids
        assert set(pids) == {"plain", "stubborn", "escaping", "warden"}
        everybody = naming(str(tmp_path))
        assert len(everybody) == 4, "three servers and the escaped grandchild"
    assert still_running([*everybody, *pids.values()], 0.0) == []
    assert tmp_path.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_none_outlives_a_parent_that_is_killed(tmp_path, program, number):
    folder = tmp_path / "stage"
    folder.mkdir()
    programs = [program("plain"), program("stubborn", STUBBORN), program("escaping", ESCAPE)]
    given = json.dumps([vars(one) for one in programs])
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(folder), given],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        pids = json.loads(parent.stdout.readline())
        everybody = {*naming(str(tmp_path)), *pids.values()} - {parent.pid}
        assert len(everybody) == 5
        parent.send_signal(number)
        parent.wait()
    assert still_running(list(everybody), 10.0) == []
    assert not folder.exists(), "the warden deletes the temporary folder"


async def test_no_server_outlives_a_warden_that_is_killed(tmp_path, program):
    one = program("plain")
    servers = Servers(tmp_path)
    try:
        servers.start(one)
        await servers.ready([one], 20)
        pids = servers.pids
        os.kill(pids["warden"], signal.SIGKILL)
        assert still_running(list(pids.values()), 10.0) == []
        with pytest.raises(DemoError, match="looks after the demonstration's servers has ended"):
            await _until_refused(servers, one)
    finally:
        servers.close()


async def _until_refused(servers: Servers, program: Program) -> None:
    async with asyncio.timeout(5):
        while True:
            servers.start(program)
            await asyncio.sleep(0)


async def test_a_server_that_fails_to_start_is_quoted(tmp_path, program):
    lines = "".join(f"print('line {n}', file=sys.stderr);" for n in range(50))
    one = program("broken", f"{lines} sys.exit(3)")
    with Servers(tmp_path) as servers:
        servers.start(one)
        with pytest.raises(DemoError, match=r"(?s)the server broken .*status 3.*last words.*line 49") as failure:
            await servers.ready([one], 20)
    assert "line 3\n" not in str(failure.value)


async def test_a_server_that_is_silent_is_not_awaited_for_ever(tmp_path, program):
    silent, good = program("silent", "time.sleep(600)"), program("good")
    with Servers(tmp_path) as servers:
        servers.start(silent)
        servers.start(good)
        await servers.ready([good], 20)
        with pytest.raises(DemoError, match=r"the server silent .* did not answer in time; it said nothing"):
            await servers.ready([good, silent], 0.2)


async def test_a_program_that_does_not_exist_is_named(tmp_path):
    one = Program("ghost", (str(tmp_path / "nothing"),), "127.0.0.1", free_port("127.0.0.1", 0))
    with Servers(tmp_path) as servers:
        servers.start(one)
        with pytest.raises(DemoError, match=r"the server ghost .* cannot be started: .*No such file"):
            await servers.ready([one], 20)


def test_a_temporary_folder_is_deleted_unless_it_is_kept(tmp_path):
    for keep in (False, True):
        folder = tmp_path / f"keep-{keep}"
        folder.mkdir()
        (folder / "file").touch()
        with Servers(folder, temporary=folder) as servers:
            if keep:
                servers.keep()
        assert folder.exists() is keep


@pytest.mark.parametrize("taken_by", ["127.61.90.1", "0.0.0.0"])
def test_a_port_in_use_is_said_in_one_sentence(taken_by):
    with socket.socket() as other:
        other.bind((taken_by, 0))
        other.listen()
        port = other.getsockname()[1]
        assert port_problem("127.61.90.1", port) == (
            f"port {port} of 127.61.90.1 is in use by another program: stop it and try again"
        )
        assert free_port("127.61.90.1", port) != port
        assert (port_problem("127.61.90.2", port) is None) == (taken_by != "0.0.0.0")
    assert port_problem("127.61.90.1", port) is None
    assert free_port("127.61.90.1", port) == port


def test_an_address_that_is_not_ours_is_said():
    assert "not an address of this machine" in port_problem("192.0.2.1", 5000)


def test_closing_twice_is_closing_once(tmp_path):
    servers = Servers(Path(tmp_path))
    servers.close()
    with contextlib.suppress(ValueError):
        servers.close()
    assert servers.pids.keys() == {"warden"}
