"""Scans: what was asked of whom, what answered, and what stays unknown."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from inventory.model import Scan, ScanStatus
from tui.viewmodel import words
from tui.viewmodel.bars import Share, stacked
from tui.viewmodel.columns import Column
from tui.viewmodel.table import Cell, Table
from tui.viewmodel.text import Line, Run, Tone, age, clean, line, number, span

COLUMNS = (
    Column("status", "Status", 12, 12),
    Column("scope", "Scope", 12, 20, grow=True),
    Column("account", "Where its probes went", 16, 32),
    Column("planned", "Planned", 8, 10, drop=2, align="right"),
    Column("answered", "Answered", 8, 9, drop=1, align="right"),
    Column("unknown", "Unknown", 7, 9, drop=1, align="right"),
    Column("when", "Started", 7, 7, align="right"),
    Column("took", "Took", 4, 6, drop=3, align="right"),
    Column("why", "Reason", 12, 40, drop=4, grow=True),
)
LEGEND = line(
    Run("━ answered  ", Tone.GOOD), Run("═ refused  ", Tone.INFO), Run("╍ silent or lost  ", Tone.WARN),
    Run("┄ not reached ", Tone.BAD),
)  # fmt: skip


def table(items: Sequence[Scan], now: datetime) -> Table[Scan]:
    """The scans, newest first."""
    empty = ("No scan has run yet.", "gnomon scan 127.0.0.0/24 runs one.")
    return Table(COLUMNS, items, lambda scan: scan.id, partial(cells, now=now), empty)


def cells(scan: Scan, now: datetime) -> tuple[Cell, ...]:
    """One row, in the order of ``COLUMNS``. What is running is not yet unknown."""
    account = scan.account
    unknown = account.silent + account.lost + account.unprobed
    took = span(((scan.ended_at or now) - scan.started_at).total_seconds())
    running = scan.status is ScanStatus.RUNNING
    return (
        line(words.scan_status(scan.status)),
        line(Run(clean(scan.scope), Tone.STRONG)),
        partial(account_bar, scan),
        line(number(account.planned)),
        line(number(account.answered)),
        line(Run("…" if running else number(unknown), Tone.WARN if unknown else Tone.MUTED)),
        line(Run(age(scan.started_at, now), Tone.MUTED)),
        line(Run(took, Tone.MUTED)),
        line(Run(clean(scan.reason or "", 300), Tone.MUTED)),
    )


def account_bar(scan: Scan, width: int) -> Line:
    """Where the probes of a scan went."""
    account = scan.account
    return stacked(
        [
            Share(account.answered, Tone.GOOD, "━"),
            Share(account.refused, Tone.INFO, "═"),
            Share(account.silent + account.lost, Tone.WARN, "╍"),
            Share(account.unprobed, Tone.BAD, "┄"),
        ],
        width,
    )
