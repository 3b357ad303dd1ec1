"""Decisions in words: what a person types into the forms, and the preview of what it will do."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta

from inventory.model import Endpoint, RouteSpec
from tui.viewmodel import words
from tui.viewmodel.text import Line, Run, Tone, clean, line, plural

_SPAN = re.compile(r"(\d{1,4})\s*([dwm])")
_DAYS = {"d": 1, "w": 7, "m": 30}
LONGEST = timedelta(days=366)
SHOWN = 6


def until(text: str, now: datetime) -> datetime:
    """The end of an exemption from ``2027-01-31`` (through that day, UTC), ``30d``, ``2w`` or ``3m`` (of 30 days).

    Raises ValueError with one sentence for anything else, for the past, and for more than a year.
    """
    text = text.strip().lower()
    if match := _SPAN.fullmatch(text):
        end = now + timedelta(days=int(match[1]) * _DAYS[match[2]])
    else:
        try:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError as error:
            raise ValueError("write a date such as 2027-01-31, or a span such as 30d, 2w or 3m") from error
        end = datetime.combine(day, time(23, 59, 59), UTC)
    if end <= now:
        raise ValueError("the date has passed: an exemption ends in the future")
    if end - now > LONGEST:
        raise ValueError("an exemption lasts a year at most: choose a nearer date and look again then")
    return end


def reason(text: str) -> str:
    """A reason that says something. Raises ValueError for an empty one."""
    if len(text.strip()) < 3:
        raise ValueError("a decision needs a reason: say why")
    return text.strip()


def owner(text: str) -> str:
    """An owner's name; empty takes the owner away. Raises ValueError for what could not be shown."""
    name = text.strip()
    if name != clean(name):
        raise ValueError("an owner's name holds printable characters only")
    if len(name) > 120:
        raise ValueError("an owner's name has 120 characters at most")
    return name


def word(text: str, allowed: Sequence[str]) -> str:
    """One of the allowed words, by its beginning. Raises ValueError for anything else."""
    found = [each for each in allowed if text.strip() and each.startswith(text.strip().lower())]
    if len(found) != 1:
        raise ValueError(f"write one of {', '.join(allowed)}")
    return found[0]


def weights(spec: RouteSpec, texts: Mapping[str, str]) -> dict[str, int]:
    """The weight of each backend from what was typed. Raises ValueError where they aren't percents that add up."""
    given: dict[str, int] = {}
    for backend in spec.backends:
        text = texts.get(backend.name, "").strip().removesuffix("%").strip()
        if not (text.isascii() and text.isdecimal()) or int(text) > 100:
            raise ValueError(f"the weight of {backend.name} is a whole number from 0 to 100")
        given[backend.name] = int(text)
    total = sum(given.values())
    if total != 100:
        raise ValueError(f"the weights add up to {total}, and must to 100")
    if all(given[backend.name] == backend.weight for backend in spec.backends):
        raise ValueError("these are the weights that it has")
    return given


def subjects(endpoints: Sequence[Endpoint]) -> list[Line]:
    """What a decision is about: each endpoint, or the first few and a count."""
    lines = [line(*words.risk(e.risk), "  ", *words.place(e), "  ", words.kind(e.kind)) for e in endpoints[:SHOWN]]
    if len(endpoints) > SHOWN:
        lines.append(line(Run(f"      and {plural(len(endpoints) - SHOWN, 'more', 'more')}", Tone.MUTED)))
    return lines


def exemption(endpoints: Sequence[Endpoint], end: datetime, now: datetime) -> list[Line]:
    """What an exemption will do."""
    days = max((end - now).days, 0)
    return [
        line(Run("◐ exempt ", Tone.INFO), f"until {end:%Y-%m-%d %H:%M} UTC, {plural(days, 'day')} from now"),
        line(Run(f"then unreviewed again; {plural(len(endpoints), 'endpoint')} now", Tone.MUTED)),
    ]


def assignment(endpoints: Sequence[Endpoint], name: str) -> list[Line]:
    """What an assignment will do."""
    replaced = sorted({e.owner for e in endpoints if e.owner and e.owner != name})
    lines = [line("owner ", Run(clean(name) or "nobody", Tone.STRONG), f" of {plural(len(endpoints), 'endpoint')}")]
    if replaced:
        lines.append(line(Run(f"instead of {clean(', '.join(replaced), 200)}", Tone.WARN)))
    return lines
