"""Scans: what was asked of whom, what answered, and what stays unknown."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from inventory.model import Scan, ScanStatus, Schedule
from tui.viewmodel import words
from tui.viewmodel.bars import Share, stacked
from tui.viewmodel.columns import Column
from tui.viewmodel.detail import heading, paragraph
from tui.viewmodel.table import Cell, Table, of_rows
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, fit, line, number, span

COLUMNS = (
    Column("status", "Status", 12, 12),
    Column("scope", "Scope", 12, 20, grow=True),
    Column("account", "Where its probes went", 16, 32),
    Column("planned", "Planned", 8, 10, drop=2, align="right"),
    Column("answered", "Answered", 8, 9, drop=1, align="right"),
    Column("unknown", "Unknown", 7, 9, drop=1, align="right"),
    Column("when", "Started", 7, 7, align="right"),
    Column("took", "Took", 4, 6, drop=3, align="right"),
    Column("why", "Rate or reason", 16, 40, drop=4, grow=True),
)
LEGEND = line(
    Run("━ answered  ", Tone.GOOD), Run("═ refused  ", Tone.INFO), Run("╍ silent or lost  ", Tone.WARN),
    Run("┄ not reached ", Tone.BAD),
)  # fmt: skip


def table(items: Sequence[Scan], now: datetime) -> Table[Scan]:
    """The scans, newest first."""
    empty = ("No scan has run yet.", "gnomon scan 127.0.0.0/24 runs one.")
    return of_rows(COLUMNS, items, lambda scan: scan.id, partial(cells, now=now), empty=empty)


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
        line(Run(pace(scan, now) if running else clean(scan.reason or "", 300), Tone.INFO if running else Tone.MUTED)),
    )


def progress(scan: Scan, now: datetime) -> tuple[float, float | None]:
    """How fast a running scan is, in probes a second since it began, and the seconds that are left at that rate.

    None where nothing was probed yet: no rate is known, and so no end.
    """
    account = scan.account
    rate = account.probed / max((now - scan.started_at).total_seconds(), 0.001)
    todo = account.planned - account.excluded - account.forbidden - account.probed
    return rate, max(todo, 0) / rate if rate else None


def pace(scan: Scan, now: datetime) -> str:
    """The rate and the time left of a running scan, in words."""
    rate, left = progress(scan, now)
    return f"{number(rate)}/s, {span(left)} left" if left is not None else "starting"


def detail(scan: Scan, schedules: Sequence[Schedule], width: int, now: datetime) -> list[Line]:
    """One scan: what it was about, where its probes went, and when its scope is scanned again."""
    account = scan.account
    rows: list[tuple[str, str]] = [
        ("scope", f"{scan.scope}, site {scan.site}"),
        ("targets", ", ".join(scan.targets)),
        ("without", ", ".join(scan.exclude)),
        ("ports", _ports(scan.ports)),
        ("shard", scan.shard or ""),
        ("requests", number(scan.requests)),
        ("started", f"{scan.started_at:%Y-%m-%d %H:%M:%S} UTC, {ago(scan.started_at, now)}"),
        ("ended", f"{scan.ended_at:%Y-%m-%d %H:%M:%S} UTC" if scan.ended_at else ""),
        ("pace", pace(scan, now) if scan.status is ScanStatus.RUNNING else ""),
        ("reason", scan.reason or ""),
    ]
    lines = [line(Run(scan.id, Tone.STRONG), "  ", words.scan_status(scan.status)), ()]
    for label, text in rows:
        lines += paragraph(label, clean(text, 1000), width) if text else []
    counts = (
        ("answered", account.answered, Tone.GOOD), ("refused", account.refused, Tone.INFO),
        ("silent", account.silent, Tone.WARN), ("lost", account.lost, Tone.WARN),
        ("not reached", account.unprobed, Tone.BAD), ("excluded", account.excluded, Tone.MUTED),
        ("forbidden", account.forbidden, Tone.MUTED),
    )  # fmt: skip
    lines += [(), heading("WHERE ITS PROBES WENT", width, f"{number(account.planned)} planned"),
              account_bar(scan, width)]  # fmt: skip
    lines += [line(*fit(line(Run(name, Tone.MUTED)), 14), *fit(line(Run(number(count), tone)), 12, "right"))
              for name, count, tone in counts if count]  # fmt: skip
    return capped([*lines, (), *scheduled([s for s in schedules if s.scope == scan.scope], width, now)], width)


def scheduled(schedules: Sequence[Schedule], width: int, now: datetime) -> list[Line]:
    """When scopes are scanned: the rule, the last run and the next."""
    lines = [heading("SCHEDULES", width, str(len(schedules)))]
    if not schedules:
        return [*lines, line(Run("none: gnomon schedule add makes one", Tone.MUTED))]
    for each in schedules:
        rule = f"cron {each.cron}" if each.cron else f"every {span(each.interval_seconds or 0)}"
        due = (each.next_run_at - now).total_seconds() if each.next_run_at else None
        when = (
            "paused" if each.paused else "not planned yet" if due is None else f"in {span(due)}" if due > 0 else "due"
        )
        last = f"last {ago(each.last_run_at, now)}" if each.last_run_at else "never ran"
        tone = Tone.WARN if each.paused else Tone.INFO
        lines.append(
            line(Run(clean(each.name), Tone.STRONG), f"  {clean(each.scope)}  ", Run(f"{rule}  ", Tone.MUTED),
                 Run(when, tone), Run(f"  {last}", Tone.MUTED))
        )  # fmt: skip
    return capped(lines, width)


def _ports(ports: Sequence[int]) -> str:
    return f"{len(ports)} ports" if len(ports) > 24 else ", ".join(map(str, ports))


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
