"""The bars around every screen: where one is, whether what is shown is fresh, and what can be done."""

from collections.abc import Sequence
from datetime import datetime

from tui.viewmodel.text import Line, Run, Tone, clean, line, span

TABS = (("go.pulse", "1", "Pulse"), ("go.endpoints", "2", "Endpoints"), ("go.gaps", "3", "Gaps"),
        ("go.routes", "4", "Routes"), ("go.scans", "5", "Scans"), ("go.policies", "6", "Policies"))  # fmt: skip
ROOMY = 100
"""From this width on, tabs have air between them."""


def tab(key: str, title: str, *, here: bool, width: int) -> Line:
    """One screen's name with its key; the one that is shown stands out by a mark, too."""
    air = "  " if width >= ROOMY else " "
    mark = Run("▸" if here else " ", Tone.ACCENT)
    return line(air[1:], mark, Run(f"{key} ", Tone.ACCENT if here else Tone.FAINT),
                Run(title, Tone.TITLE if here else Tone.MUTED))  # fmt: skip


def freshness(
    now: datetime, *, loaded: bool, stale_since: datetime | None, frozen: bool, held_back: bool, read_only: bool
) -> Line:
    """Whether what is shown is what is known: live, frozen, stale since when, or still being read."""
    parts: list[Run] = [Run("◇ read-only  ", Tone.INFO)] if read_only else []
    if stale_since is not None:
        parts.append(Run(f"✗ stale {span((now - stale_since).total_seconds())} ", Tone.BAD))
    elif frozen:
        parts.append(Run("❚❚ frozen, news waits " if held_back else "❚❚ frozen ", Tone.WARN))
    elif not loaded:
        parts.append(Run("◌ reading ", Tone.INFO))
    else:
        parts.append(Run("● live ", Tone.GOOD))
    return tuple(parts)


def crumbs(titles: Sequence[str], note: str) -> Line:
    """The path to the screen, and what it says of itself."""
    runs: list[Run] = [Run(" ")]
    for n, title in enumerate(titles):
        last = n == len(titles) - 1
        runs += [Run(" ▸ ", Tone.FAINT)] if n else []
        runs.append(Run(clean(title, 120), Tone.STRONG if last else Tone.MUTED))
    runs.append(Run(f"  {clean(note, 300)}", Tone.MUTED))
    return line(*runs)


def hint(key: str, title: str, *, blocked: bool) -> Line:
    """A key and what it does; faint where it cannot run."""
    return line(" ", Run(key, Tone.FAINT if blocked else Tone.ACCENT), " ",
                Run(title, Tone.FAINT if blocked else Tone.MUTED), " ")  # fmt: skip
