"""stdout is data: exact JSON, safe CSV, tables that nothing can break."""

import csv
import io
import itertools
import json
import logging
import os
import sys

import pytest

from tui.output import Column, Format, fitting, log_to_stderr, narrate, on_terminal, progress, write_rows

ROWS = [
    {"name": "a\x1b[31mred", "n": 1, "list": ["x"], "none": None},
    {"name": "=cmd()", "n": 0.5, "list": [], "none": True},
    {"name": "[bold]markup[/bold]", "n": 2, "list": [], "none": False},
]
COLUMNS = (Column("NAME", "name"), Column("N", "n", numeric=True), Column("NONE", "none"))


def test_json_is_the_rows(capsys):
    write_rows(ROWS, COLUMNS, Format.JSON)
    out = capsys.readouterr().out
    assert json.loads(out) == ROWS
    assert "\x1b" not in out


def test_csv_has_every_key_and_no_formulas(capsys):
    write_rows(ROWS, COLUMNS, Format.CSV)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["name", "n", "list", "none"]
    assert rows[2][0] == "'=cmd()"
    assert rows[1][2] == '["x"]'


def test_an_empty_listing_is_still_data(capsys):
    write_rows([], COLUMNS, Format.JSON)
    assert json.loads(capsys.readouterr().out) == []
    write_rows([], COLUMNS, Format.CSV)
    assert capsys.readouterr().out.strip() == "name,n,none"
    write_rows([], COLUMNS, Format.TABLE)
    assert capsys.readouterr().out == ""


def test_a_table_shows_control_characters_and_markup_as_text(capsys):
    write_rows(ROWS, COLUMNS, Format.TABLE)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]markup[/bold]" in out
    assert out.splitlines()[0].split() == ["NAME", "N", "NONE"]


def test_narration_is_on_stderr_and_clean(capsys):
    narrate("a\x1b[2Jb\nc")
    out, err = capsys.readouterr()
    assert (out, "\x1b" in err, err.count("\n")) == ("", False, 1)


@pytest.mark.parametrize("interval", [0.0, 1000.0])
def test_progress_in_a_pipe_is_quiet_lines(capsys, monkeypatch, interval):
    monkeypatch.setattr("tui.output.QUIET_LINE_EVERY", interval)
    with progress("scan") as report:
        report(5, 10, "3 open")
    expected = "scan: 5 of 10, 3 open\n" if interval == 0.0 else ""
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("room", "kept"), [(None, "abcd"), (100, "abcd"), (16, "abcd"), (15, "abd"), (9, "ab"), (8, "ab"), (1, "ab")]
)
def test_a_narrow_terminal_drops_columns_of_the_highest_rank(room, kept):
    columns = [Column("A", "a"), Column("B", "b"), Column("C", "c", rank=2), Column("D", "d", rank=1)]
    widths = {"a": 4, "b": 2, "c": 2, "d": 2}
    assert "".join(one.key for one in fitting(columns, widths, room)) == kept


def test_wide_characters_keep_columns_in_line(capsys):
    write_rows([{"name": "模型", "n": 1}, {"name": "abcd", "n": 22}], COLUMNS[:2], Format.TABLE)
    header, first, second = capsys.readouterr().out.splitlines()
    assert (header, first, second) == ("NAME   N", "模型   1", "abcd  22")


def test_what_is_logged_is_one_clean_line_on_stderr(capsys, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    log_to_stderr()
    logging.getLogger("scanner").info("a host said \x1b[2J%s", "two\nlines")
    logging.getLogger("apscheduler").info("noise")
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), "\x1b" in err, "noise" in err) == ("", 1, False, False)
    assert "INFO scanner: a host said" in err


STREAMS = ("stdin", "stdout", "stderr")


@pytest.mark.parametrize("kinds", itertools.product(["terminal", "pipe"], repeat=3), ids="-".join)
def test_the_screen_needs_a_terminal_to_read_and_to_draw_on(kinds: tuple[str, ...], monkeypatch) -> None:
    ends = {"terminal": os.openpty(), "pipe": os.pipe()}
    try:
        for name, kind in zip(STREAMS, kinds, strict=True):
            # Whether it can be read or written does not matter: only what it is.
            monkeypatch.setattr(sys, name, os.fdopen(os.dup(ends[kind][1]), "wb"))
        assert on_terminal() is ("pipe" not in kinds)
        for name in STREAMS:
            getattr(sys, name).close()
    finally:
        monkeypatch.undo()
        for end in itertools.chain(*ends.values()):
            os.close(end)
