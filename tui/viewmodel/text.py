"""Toned text: lines made of runs, measured in terminal cells, safe to print whatever a host said."""

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_NBSP_LIKE = {"\u00a0", "\u2007", "\u202f"}
_MOST_MARKS = 2


class Tone(StrEnum):
    """What a run of text means to the eye. A theme gives each a style; a glyph in the text says it again."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    FAINT = "faint"
    ACCENT = "accent"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    INFO = "info"
    TITLE = "title"


class Run(NamedTuple):
    """A piece of text in one tone. The text holds no control characters and no line breaks."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Run, ...]
"""Runs side by side. The empty tuple is an empty line."""

Align = Literal["left", "right"]


def clean(text: object, limit: int = 4096) -> str:
    r"""The text without anything that a terminal would obey, at most ``limit`` characters of it.

    C0 controls become their control pictures (``\\x1b`` is ``␛``), so that an attempt stays visible. C1
    controls, bidirectional and zero-width format characters, surrogates, private-use characters and
    line separators become ``�``. More than two combining marks on one letter are dropped.
    """
    source = str(text)
    if len(source) > limit:
        source = source[: limit - 1] + ELLIPSIS
    if source.isascii() and source.isprintable():
        return source
    kept: list[str] = []
    marks = 0
    for character in source:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MOST_MARKS:
            kept.append(_safe(character, category))
    return "".join(kept)


def _safe(character: str, category: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in _NBSP_LIKE or category == "Zs":
        return " "
    return "\ufffd" if category in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} else character


def line(*parts: str | Run) -> Line:
    """A line of the parts; a bare string is plain. Empty parts are dropped."""
    return tuple([run for part in parts if (run := part if isinstance(part, Run) else Run(part)).text])


def plain(runs: Line) -> str:
    """The text of a line without its tones."""
    return "".join(run.text for run in runs)


def width_of(runs: Line) -> int:
    """How many terminal cells a line takes: a wide character takes two."""
    return sum([len(text) if text.isascii() else cell_len(text) for text, _ in runs])


def fit(runs: Line, width: int, align: Align = "left") -> Line:
    """The line in exactly ``width`` cells: padded, or cut with an ellipsis at its end."""
    if width <= 0:
        return ()
    taken = width_of(runs)
    if taken == width:
        return runs
    if taken < width:
        padding = Run(" " * (width - taken))
        return line(*runs, padding) if align == "left" else line(padding, *runs)
    left = width - 1
    kept: list[Run] = []
    tone = Tone.PLAIN
    for run in runs:
        tone = run.tone
        size = cell_len(run.text)
        if size > left:
            kept.append(Run(set_cell_size(run.text, left), tone))
            break
        kept.append(run)
        left -= size
        if not left:
            break
    return line(*kept, Run(ELLIPSIS, tone))


def wrap(text: str, width: int, limit: int = 40) -> list[str]:
    """The text in lines of at most ``width`` cells, broken at spaces where it can; at most ``limit`` lines."""
    width = max(width, 2)
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        candidate = f"{current} {word}" if current else word
        if cell_len(candidate) <= width:
            current = candidate
            continue
        if current:
            lines.append(current)
        while cell_len(word) > width and len(lines) < limit:
            head = set_cell_size(word, width).rstrip(" ")
            lines.append(head)
            word = word[len(head) :]  # noqa: PLW2901 - what is left of the word goes on to the next line
        current = word
    if current or not lines:
        lines.append(current)
    return lines if len(lines) <= limit else [*lines[: limit - 1], ELLIPSIS]


def capped(lines: Iterable[Line], width: int) -> list[Line]:
    """The lines, those that are too long cut to ``width`` cells."""
    return [each if width_of(each) <= width else fit(each, width) for each in lines]


def join(lines: Iterable[Line], between: str = "  ") -> Line:
    """The lines as one, with a separator between those that are not empty."""
    joined: list[Run] = []
    for each in lines:
        if each and joined:
            joined.append(Run(between, Tone.FAINT))
        joined.extend(each)
    return tuple(joined)


def number(value: float) -> str:
    """A count with thousands separated: ``12,345``."""
    return f"{value:,.0f}"


def plural(count: int, word: str, many: str | None = None) -> str:
    """A count with its noun: ``1 route``, ``2 routes``."""
    return f"{number(count)} {word if count == 1 else many or word + 's'}"


def span(seconds: float) -> str:
    """A duration in its largest fitting unit: ``12s``, ``3m``, ``5h``, ``2d``, ``7w``. Negative counts as zero."""
    seconds = max(seconds, 0.0)
    for size, unit, until in ((1, "s", 60), (60, "m", 3600), (3600, "h", 86_400), (86_400, "d", 14 * 86_400)):
        if seconds < until:
            return f"{int(seconds // size)}{unit}"
    weeks = int(seconds // (7 * 86_400))
    return f"{weeks}w" if weeks < 104 else f"{weeks // 52}y"


def age(then: datetime, now: datetime) -> str:
    """How long ago a moment was; ``now`` within the last second and for a clock that runs ahead."""
    seconds = (now - then).total_seconds()
    return "now" if seconds < 1 else span(seconds)


def ago(then: datetime, now: datetime) -> str:
    """How long ago a moment was, as the end of a sentence: ``3m ago``, or ``now``."""
    said = age(then, now)
    return said if said == "now" else f"{said} ago"
