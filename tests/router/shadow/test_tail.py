import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.shadow.records import MAX_LINE
from router.shadow.tail import Tail, prepare


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "capture" / "pairs.jsonl"
    prepare(path)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as opened:
        opened.write(data)


def texts(tail: Tail) -> list[bytes]:
    return [line.text for line in tail.read()]


@pytest.mark.parametrize("holes", [True, False])
def test_what_is_deleted_is_gone_and_a_new_reader_starts_after_it(
    file: Path, holes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not holes:
        monkeypatch.setattr("router.shadow.tail._punch", lambda descriptor, start, length: False)
    tail = Tail(file)
    append(file, b"secret\n" * 3000 + b"kept\n")
    lines = tail.read()
    tail.delete(lines[-2].end)
    append(file, b"more\n")
    assert b"secret" not in file.read_bytes()
    assert file.stat().st_size == 3000 * 7 + 10
    if holes:
        assert file.stat().st_blocks * 512 < 3000 * 7
    assert texts(tail) == [b"more"]
    again = Tail(file)
    assert [line.text.strip(b"\0") for line in again.read()] == [b"kept", b"more"]
    again.close()
    tail.close()


def test_everything_deleted_leaves_nothing_to_read(file: Path) -> None:
    tail = Tail(file)
    append(file, b"x" * 100 + b"\n")
    tail.read()
    tail.delete(tail.position)
    again = Tail(file)
    assert texts(again) == []
    append(file, b"new\n")
    assert texts(again) == [b"new"]
    again.close()
    tail.close()


def test_positions_are_those_of_the_file(file: Path) -> None:
    tail = Tail(file)
    append(file, b"one\ntwo\nthr")
    assert [(line.start, line.end) for line in tail.read()] == [(0, 4), (4, 8)]
    append(file, b"ee\n")
    assert [(line.text, line.start, line.end) for line in tail.read()] == [(b"three", 8, 14)]
    assert [tail.ends_a_line(at) for at in (0, 4, 14, 5, 15)] == [True, True, True, False, False]
    tail.close()


def test_an_endless_line_is_skipped_in_bounded_memory(file: Path) -> None:
    tail = Tail(file)
    append(file, b"a" * (3 * MAX_LINE) + b"\nnext\n")
    found = []
    while tail.position < file.stat().st_size:
        found += texts(tail)
        assert len(tail._rest) <= MAX_LINE
    assert found == [b"next"]
    assert tail.oversized == 1
    tail.close()


def test_truncation_and_replacement_are_noticed(file: Path) -> None:
    tail = Tail(file)
    append(file, b"one\n")
    assert tail.unread == 4
    tail.read()
    assert not tail.was_truncated()
    os.truncate(file, 0)
    assert tail.unread < 0
    assert tail.was_truncated()
    append(file, b"two\n")
    assert tail.unread == 4
    assert texts(tail) == [b"two"]
    assert tail.is_at(file)
    file.rename(file.with_name("other"))
    assert not tail.is_at(file)
    file.write_bytes(b"")
    assert not tail.is_at(file)
    tail.close()


def test_what_was_written_after_a_truncation_is_not_deleted_as_consumed(file: Path) -> None:
    tail = Tail(file)
    append(file, b"one\ntwo\nthree\n")
    tail.read()
    os.truncate(file, 0)
    append(file, b"four\n")
    tail.delete(tail.position)
    assert tail.was_truncated()
    assert texts(tail) == [b"four"]
    tail.close()


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda text: text.replace(b"\n", b".").replace(b"\0", b"."))),
       st.lists(st.integers(1, 40), min_size=1))  # fmt: skip
def test_lines_arrive_whole_however_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "folder" / "file"
    prepare(path)
    tail = Tail(path)
    whole, found, at = b"".join(line + b"\n" for line in lines), [], 0
    while at < len(whole):
        size = cuts[at % len(cuts)]
        append(path, whole[at : at + size])
        at += size
        found += texts(tail)
        tail.delete(tail.position)
    tail.close()
    assert found == lines
