"""HTML made of values, so that nothing which a scanned host said can become markup. Pure."""

from collections.abc import Iterable
from html import escape
from typing import Final

from tui.viewmodel.text import clean

LONGEST: Final = 400
"""Characters of any one text: a host may say more than anybody wants to read."""


class Html(str):
    """Markup that is safe as it is. Everything else is text, and is escaped where it is put in."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def tag(name: str, *children: Child, **attributes: str | None) -> Html:
    """An element. Attributes lose a trailing underscore, as ``class_``; one that is None is left out."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(value, LONGEST))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{said}>{text(*children)}</{name}>")


def text(*children: Child) -> Html:
    """Children one after the other: markup as it is, anything else escaped, and freed of what would move a reader."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Html):
            parts.append(child)
        elif isinstance(child, str | int | float):
            parts.append(escape(clean(child, LONGEST)))
        elif child is not None:
            parts.append(text(*child))
    return Html("".join(parts))


def table(heads: Iterable[str], rows: Iterable[Iterable[Child]], *, numeric: frozenset[int] = frozenset()) -> Html:
    """A table. ``numeric`` are the columns, counted from 0, that are set to the right."""
    sides = {True: "n", False: None}
    head = tag("tr", [tag("th", one, scope="col", class_=sides[n in numeric]) for n, one in enumerate(heads)])
    body = [tag("tr", [tag("td", cell, class_=sides[n in numeric]) for n, cell in enumerate(row)]) for row in rows]
    return tag("table", tag("thead", head), tag("tbody", body))


def bar(percent: float | None) -> Html:
    """A bar from 0 to 100, or an empty frame where there is no denominator."""
    width = f"width:{0 if percent is None else max(0.0, min(100.0, percent)):.1f}%"
    level = "none" if percent is None else "good" if percent >= 90 else "warn" if percent >= 40 else "bad"
    return tag("span", tag("span", class_=level, style=width), class_="bar", aria_hidden="true")


def spark(percents: Iterable[float | None]) -> Html:
    """A line of percentages from left to right; what is not known leaves a gap."""
    known = list(percents)
    step = 100 / max(1, len(known) - 1)
    pieces: list[str] = []
    pen = "M"
    for number, percent in enumerate(known):
        if percent is None:
            pen = "M"
            continue
        pieces.append(f"{pen}{number * step:.1f} {24 - percent * 0.22:.1f}")
        pen = "L"
    return tag("svg", tag("path", d=" ".join(pieces)), viewBox="0 0 100 26", class_="spark", role="img")
