"""Frames that another process sends: the same account, and no process that outlives its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.io.prober import Prober
from scanner.io.record import Record
from scanner.tally import OPEN, REFUSED, SILENT

RUN = """
import asyncio, json, os, signal, sys
from pathlib import Path
from inventory.model import Loss, Scope, utc_now
from inventory.settings import Settings
from scanner.doors import Doors
from scanner.io import prober
from scanner.io.record import Record
from scanner.plan import make_plan
from scanner.ports import parse_ports
from scanner.targets import Addresses, parse_network

path, rate, what = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
plan = make_plan([Addresses(parse_network("10.72.0.0/24"))], parse_ports("8000-8003"), key=b"test")
scope = Scope(name="lab", targets=("10.72.0.0/24",), ports="8000-8003", rate=rate, created_at=utc_now())

async def main():
    doors = Doors(scope, plan, Settings(scan_timeout=0.6), Loss())
    parts = await doors.look()
    process = doors._prober._process
    record = Record.in_memory(len(plan)) if what == "memory" else Record.create(path, parts, len(plan), 0)
    answered, refused, settled, error = [], 0, 0, ""
    found = doors.open(record)
    if what == "hold":
        process = doors._prober
        process.hold(True)
        first = asyncio.ensure_future(anext(found))
        await asyncio.wait({first}, timeout=1.0)
        error = f"{record.taken} of them had gone; "
        process.hold(False)
        process = process._process
        settled = (await first).settled.probes
    try:
        async for tally in found:
            answered += tally.answered
            refused += tally.refused
            settled = tally.settled.probes
            if what == "kill":
                process.kill()
            if what == "wait":
                print(process.pid, flush=True)
    except OSError as trouble:
        error = str(trouble)
    await doors.close()
    print(json.dumps({
        "answered": sorted(answered), "refused": refused, "settled": settled, "error": error, "base": record.base,
        "taken": record.taken, "ended": process.returncode, "controls": doors.loss.asked,
    }))

with prober.spare():
    asyncio.run(main())
"""

OPEN_PAIRS = [("10.72.0.7", 8001), ("10.72.0.9", 8003)]


def test_the_account_is_that_of_a_scan_in_one_process(lab, serve, tmp_path):
    serve(OPEN_PAIRS)
    for what in ("file", "memory"):
        told = lab.scan(RUN, str(tmp_path / "lab.probes"), "100000", what)
        assert told["answered"] == [list(pair) for pair in OPEN_PAIRS]
        assert (told["refused"], told["settled"], told["base"], told["taken"]) == (1022, 1024, 1024, 1024)
        assert (told["error"], told["ended"]) == ("", 0)
        assert told["controls"] >= 400


def test_nothing_goes_while_the_scan_is_held(lab, tmp_path):
    told = lab.scan(RUN, str(tmp_path / "lab.probes"), "100000", "hold")
    assert told["error"] == "0 of them had gone; "
    assert (told["settled"], told["taken"]) == (1024, 1024)


def test_a_process_that_is_killed_is_said_to_have_ended(lab, tmp_path):
    told = lab.scan(RUN, str(tmp_path / "lab.probes"), "200", "kill")
    assert told["error"] == "the process that sends the frames has ended: scan again with --resume"
    assert told["ended"] == -signal.SIGKILL


def test_no_frame_goes_once_the_scan_was_killed(lab, tmp_path):
    command = ["ip", "netns", "exec", lab.near, sys.executable, "-c", RUN, str(tmp_path / "lab.probes"), "100", "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as scan:
        assert scan.stdout is not None
        sender = int(scan.stdout.readline())
        scan.kill()
    deadline = time.monotonic() + 10
    while _lives(sender) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _lives(sender)


@pytest.mark.parametrize("stuck", [False, True])
def test_a_process_ends_when_it_is_closed_though_it_heeds_nothing_and_is_waited_for(stuck):
    prober = Prober()
    pid, words = prober._process.pid, []

    def wait() -> None:
        try:
            words.append(prober.next())
        except OSError as error:
            words.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    if stuck:
        os.kill(pid, signal.SIGSTOP)
    prober.close()
    waiting.join()
    assert not _lives(pid)
    assert prober._process.returncode == (-signal.SIGKILL if stuck else 0)
    assert len(words) == 1
    assert isinstance(words[0], OSError)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@given(st.lists(st.sampled_from([OPEN, REFUSED, SILENT]), max_size=200), st.integers(0, 1000))
def test_a_record_follows_what_another_process_settled(states: list[int], base: int) -> None:
    ours, theirs = Record.in_memory(256, base), Record.in_memory(256, base)
    for state in states:
        theirs.states[theirs.take()] = state
    ours.follow(theirs.settle())
    assert (ours.base, ours.taken) == (theirs.base, base)
    ours.taken = theirs.taken
    assert ours.settle() == theirs.settle()
    assert ours.room == theirs.room
