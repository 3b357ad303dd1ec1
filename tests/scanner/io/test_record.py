import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.io import record as module
from scanner.io.record import MOST_AT_ONCE, Record, clock, forget, record_path
from scanner.tally import FORBIDDEN, LOST, OPEN, PENDING, REFUSED, SILENT, Settled

ENDS = OPEN, REFUSED, SILENT, LOST, FORBIDDEN


@given(st.lists(st.tuples(st.sampled_from((PENDING, *ENDS)), st.booleans()), max_size=900))
def test_what_is_settled_is_what_ended_before_the_first_that_did_not(probes: list[tuple[int, bool]]) -> None:
    # 256 places, which go round several times as long as nothing stays behind.
    record = Record.in_memory(planned=200)
    states: list[int] = []
    for state, look in probes:
        if record.room == 0:
            break
        record.states[record.take()] = state
        states.append(state)
        if look:
            record.settle()
    settled = record.settle()
    ended = states.index(PENDING) if PENDING in states else len(states)
    assert record.base == settled.probes == ended
    assert settled == Settled(ended, *(states[:ended].count(end) for end in ENDS))
    live = [position for position in range(ended, len(states)) if states[position] in {OPEN, PENDING}]
    assert list(record.live(ended)) == live
    fates = record.fates(ended)
    assert fates == Settled(len(states) - ended, *(states[ended:].count(end) for end in ENDS))


def test_there_is_no_room_for_more_than_it_holds() -> None:
    record = Record.in_memory(planned=256)
    slots = [record.take() for _ in range(256)]
    assert record.room == 0
    record.states[slots[0]] = REFUSED
    assert (record.settle().probes, record.room) == (1, 1)


def test_it_outlives_a_kill_at_any_moment(tmp_path: Path) -> None:
    path = record_path(tmp_path, "lab", "2/8")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        record = Record.create(path, "plan", 100_000, 10)
        for number in range(50_000):
            slot = record.take()
            record.attempts[slot], record.moments[slot] = 1, clock(time.monotonic())
            if number % 3 == 0:
                record.states[slot] = OPEN
                os.write(writing, b".")
        os._exit(0)
    os.close(writing)
    for _ in range(500):
        os.read(reading, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen = 500
    while piece := os.read(reading, 65_536):
        seen += len(piece)
    record = Record.take_up(path, "plan", 100_000, 10)
    assert record is not None
    opened = record.fates(10).answered
    # What was told is in it, and at most one more that could not be told any more.
    assert opened in {seen, seen + 1}
    assert record.taken - 10 in range(3 * opened - 2, 3 * opened + 2)
    assert path.stat().st_mode & 0o077 == 0


def test_only_what_belongs_to_the_plan_and_reaches_back_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.probes"
    assert Record.take_up(path, "plan", 1000, 0) is None
    record = Record.create(path, "plan", 1000, 100)
    for _ in range(50):
        record.take()
    assert Record.take_up(path, "plan", 1000, 100) is not None
    assert Record.take_up(path, "plan", 1000, 151) is None
    assert Record.take_up(path, "another", 1000, 100) is None
    assert Record.take_up(path, "plan", 100_000, 100) is None
    monkeypatch.setattr(module, "_BOOT", tmp_path / "another-start")
    (tmp_path / "another-start").write_text("another start of the machine")
    assert Record.take_up(path, "plan", 1000, 100) is None
    path.write_bytes(b"\0" * 7)
    assert Record.take_up(path, "plan", 1000, 100) is None


def test_what_may_have_been_written_over_is_not_believed(tmp_path: Path) -> None:
    path, planned = tmp_path / "lab.probes", 1 << 40
    record = Record.create(path, "plan", planned, 0)
    record.taken = record.size + 5
    reaches = 5 + MOST_AT_ONCE
    assert Record.take_up(path, "plan", planned, reaches) is not None
    assert Record.take_up(path, "plan", planned, reaches - 1) is None


def test_a_new_record_leaves_the_former_one_to_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "records" / "lab.probes"
    former = Record.create(path, "plan", 1000, 0)
    Record.create(path, "later plan", 10, 0)
    former.states[former.take()] = OPEN
    assert former.settle().answered == 1
    assert Record.take_up(path, "plan", 1000, 0) is None
    forget(tmp_path, "lab", None)
    assert not path.exists()


def test_how_long_an_answer_may_take_is_learnt_from_those_that_came(tmp_path: Path) -> None:
    path = tmp_path / "lab.probes"
    record = Record.create(path, "plan", 1000, 0)
    record.heard(1000.0)

    def patience() -> float:
        taken_up = Record.take_up(path, "plan", 1000, 0)
        assert taken_up is not None
        return taken_up.spent().patience

    record.expect(2.0)
    assert patience() == 2.0
    record.answers(99, 0.03)
    record.expect(2.0)
    assert patience() == 2.0
    record.answers(1, 0.02)
    record.expect(2.0)
    assert 0.03 < patience() < 0.12
    record.answers(1, 30.0)
    record.expect(2.0)
    assert patience() == 2.0
    for _ in range(200):
        record.answers(1, 0.001)
    record.expect(2.0)
    assert patience() == 0.02
    spent = record.spent()
    assert spent.on(clock(998.5)) == pytest.approx(1.5)
    # Sent after the last moment at which anything was heard.
    assert spent.on(clock(1000.4)) == 0.0
    assert spent.on(clock(1000.0 - 2**32 / 1000 + 1)) == 0.0


def test_the_clock_of_records_goes_round_without_harm() -> None:
    record = Record.in_memory()
    record.heard(2**32 / 1000 + 1)
    assert record.spent().on(clock(2**32 / 1000 - 1)) == pytest.approx(2.0)


def test_a_disk_without_room_is_an_error_and_no_later_crash(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("limits of file size are signals elsewhere")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            Record.create(tmp_path / "lab.probes", "plan", 100_000, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert not (tmp_path / "lab.probes").exists()
