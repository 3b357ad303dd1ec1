"""The gaps: what is still ungoverned, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence

from inventory.coverage import Gap
from inventory.model import Endpoint
from tui.viewmodel import words
from tui.viewmodel.bars import Share, stacked
from tui.viewmodel.columns import Column
from tui.viewmodel.table import Table
from tui.viewmodel.text import Line, Run, Tone, clean, line, number

COLUMNS = (
    Column("risk", "Risk", 5, 5, align="right"),
    Column("gap", "Gap", 22, 34, grow=True),
    Column("kind", "Kind", 10, 13, drop=2),
    Column("owner", "Owner", 8, 16, drop=3),
    Column("why", "Why it is not governed", 24, 60, drop=1, grow=True),
)


def key_of(gap: Gap) -> str:
    """A gap's key: endpoint ids and scope names could meet, their titles tell them apart."""
    return f"{gap.subject} {gap.title}"


def table(items: Sequence[Gap], endpoints: Mapping[str, Endpoint], words_sought: str = "") -> Table[Gap]:
    """The gaps that hold every word sought in their title, kind or reason, riskiest first."""

    def cells_of(gap: Gap) -> tuple[Line, ...]:
        return cells(gap, endpoints.get(gap.subject))

    empty = ("No gap matches.", "Press esc to clear the filter.") if words_sought else ("No gap is known.",)
    return Table(COLUMNS, select(items, endpoints, words_sought), key_of, cells_of, empty)


def select(items: Sequence[Gap], endpoints: Mapping[str, Endpoint], words_sought: str) -> list[Gap]:
    """The gaps that hold every word sought, in letter-case-blind plain text."""
    sought = words_sought.lower().split()

    def text(gap: Gap) -> str:
        endpoint = endpoints.get(gap.subject)
        about = f"{endpoint.kind} {endpoint.product} {endpoint.owner}" if endpoint else "scope"
        return f"{gap.title} {gap.why} {about}".lower()

    return [gap for gap in items if all(word in text(gap) for word in sought)] if sought else list(items)


def cells(gap: Gap, endpoint: Endpoint | None) -> tuple[Line, ...]:
    """One row, in the order of ``COLUMNS``. A gap without an endpoint is a scope that was not covered."""
    return (
        words.risk(gap.risk),
        words.place(endpoint) if endpoint else line(Run(clean(gap.title, 200), Tone.STRONG)),
        line(words.kind(endpoint.kind)) if endpoint else line(Run("▨ scope", Tone.WARN)),
        words.owner(endpoint) if endpoint else line(words.NONE),
        line(clean(gap.why, 300)),
    )


def bands(items: Sequence[Gap], width: int) -> Line:
    """How many gaps are of high, middle and low risk, as one bar."""
    counts = Counter(words.risk_tone(gap.risk) for gap in items)
    parts = ((Tone.BAD, "▲", "━"), (Tone.WARN, "◆", "╍"), (Tone.MUTED, "·", "┄"))
    labels = [Run(f"{glyph} {number(counts[tone])}  ", tone) for tone, glyph, _ in parts]
    size = sum(len(run.text) for run in labels)
    shares = [Share(counts[tone], tone, fill) for tone, _, fill in parts]
    return line(*labels, *stacked(shares, max(width - size, 4)))
