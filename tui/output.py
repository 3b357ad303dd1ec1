"""stdout is data, stderr is narration.

Listings are written as a table for people, or as JSON or CSV for programs. Narration and progress go
to stderr: a bar on a terminal, quiet lines in a pipe. Nothing that a scanned host said can move a
cursor: tables and narration show control characters as pictures, JSON escapes them.
"""

import csv
import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_LINE_EVERY = 5.0
GAP = "  "
_PIECES = 4096
"""Pieces of JSON that are written at once."""
# A spreadsheet runs a cell that begins so; a host may choose its title.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How a listing is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, the key of the row's value, and whether it holds numbers.

    The higher its ``rank``, the sooner it is left out where a terminal is narrow; 0 always stays.
    """

    heading: str
    key: str
    numeric: bool = False
    rank: int = 0


def write_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], form: Format) -> None:
    """Write a listing to stdout.

    A table shows ``columns``; JSON is an array of the whole rows; CSV has a column for each key of
    the rows, lists and objects in it as JSON.
    """
    if form is Format.JSON:
        write_json(rows)
    elif form is Format.CSV:
        _write_csv(rows, columns)
    elif rows:
        _write_table(rows, columns)


def write_json(value: object) -> None:
    """Write one JSON value to stdout, indented; moments in ISO 8601."""
    # A piece is a bracket or a comma: one by one they would take as long as all that was asked.
    pieces = json.JSONEncoder(indent=2, default=str).iterencode(value)
    while some := "".join(islice(pieces, _PIECES)):
        sys.stdout.write(some)
    sys.stdout.write("\n")


def write_text(text: str) -> None:
    """Write lines to stdout as they are, but for control characters."""
    from tui.viewmodel.text import clean

    for line in text.splitlines():
        sys.stdout.write(clean(line) + "\n")


def _write_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    from rich.cells import cell_len, set_cell_size

    from tui.viewmodel.text import clean

    texts = {one.key: [clean(_shown(row.get(one.key))) for row in rows] for one in columns}
    widths = {one.key: max(map(cell_len, [one.heading, *texts[one.key]])) for one in columns}
    # In a pipe nothing is cut: a program, or a pager, reads it.
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    shown = fitting(columns, widths, room)
    lines = [[one.heading for one in shown], *zip(*(texts[one.key] for one in shown), strict=True)]
    for line in lines:
        cells = [
            " " * (widths[one.key] - cell_len(cell)) + cell if one.numeric else set_cell_size(cell, widths[one.key])
            for one, cell in zip(shown, line, strict=True)
        ]
        whole = GAP.join(cells).rstrip()
        sys.stdout.write((whole if room is None else set_cell_size(whole, room).rstrip()) + "\n")
    if left_out := [one.heading for one in columns if one not in shown]:
        narrate(f"left out for want of width: {', '.join(left_out)}")


def fitting(columns: Sequence[Column], widths: Mapping[str, int], room: int | None) -> list[Column]:
    """The columns that fit into so many cells, in their order; those of the highest rank are left out first.

    ``widths`` are by key. Columns of rank 0 stay, whatever the room; None is room for everything.
    """
    shown = list(columns)
    for column in sorted(columns, key=lambda one: -one.rank):
        total = sum(widths[one.key] for one in shown) + len(GAP) * (len(shown) - 1)
        if room is None or total <= room or column.rank == 0:
            break
        shown.remove(column)
    return shown


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return str(value)


def _write_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    keys = list(dict.fromkeys(key for row in rows for key in row)) or [column.key for column in columns]
    writer = csv.writer(sys.stdout)
    writer.writerow(keys)
    for row in rows:
        writer.writerow([_cell(row.get(key)) for key in keys])


def _cell(value: object) -> object:
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def narrate(sentence: str) -> None:
    """Say something to the person, on stderr."""
    from tui.viewmodel.text import clean

    sys.stderr.write(f"{clean(sentence)}\n")
    sys.stderr.flush()


def log_to_stderr() -> None:
    """Have what the layers log, from INFO, narrated on stderr with the time, one clean line each."""
    from tui.viewmodel.text import clean

    class OneLine(logging.Formatter):
        """No line break or escape of a logged text gets through."""

        def format(self, record: logging.LogRecord) -> str:
            return clean(super().format(record))

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # What these libraries say at every step, gnomon says itself where it matters.
    for noisy in ("apscheduler", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def on_terminal() -> bool:
    """Whether the terminal UI can be shown: it reads standard input and draws on standard error.

    Where standard output is none, a program waits for data.
    """
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


class Report(Protocol):
    """How long work tells how far it is: ``done`` of ``total``, and a few words."""

    def __call__(self, done: int, total: int, words: str) -> None:
        """Show the state of the work."""


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A progress bar on a terminal; in a pipe a line every few seconds."""
    if sys.stderr.isatty():
        with _bar(title) as report:
            yield report
        return
    last = time.monotonic()

    def quiet(done: int, total: int, words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= QUIET_LINE_EVERY:
            last = now
            narrate(f"{title}: {done} of {total}, {words}")

    yield quiet


@contextmanager
def _bar(title: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from tui.viewmodel.text import clean

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[words]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(file=sys.stderr, markup=False, highlight=False, emoji=False),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=None, words="")
        yield _updater(bar, task, clean)


def _updater(bar: "Progress", task: "TaskID", clean: Any) -> Report:
    def update(done: int, total: int, words: str) -> None:
        bar.update(task, completed=done, total=total or None, words=clean(words))

    return update
