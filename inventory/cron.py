"""Cron expressions of five fields, read as crontab(5) reads them. Pure.

APScheduler 3 counts weekdays from Monday and demands both a day of the month and a weekday where
cron is content with either; so expressions are read here, and handed on as plain lists.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LEAP_YEAR = 2024


class ScheduleError(ValueError):
    """A schedule that cannot be understood or never happens. Its text is one sentence."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When something happens, in UTC. Sunday is 0. ``either_day``: the day or the weekday must fit, not both."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: Mapping[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("weekday", 0, 7, {name: number for number, name in enumerate(WEEKDAYS)}),
)


def parse_cron(text: str) -> Cron:
    """Read an expression such as ``30 2 * * mon-fri``. Raises ScheduleError."""
    pieces = text.split()
    if len(pieces) != len(_FIELDS):
        raise ScheduleError(
            f"the cron expression {text!r} has {len(pieces)} fields, and five are needed: "
            "minute, hour, day of the month, month, weekday"
        )
    minutes, hours, days, months, weekdays = (
        _values(piece, field, text) for piece, field in zip(pieces, _FIELDS, strict=True)
    )
    cron = Cron(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=tuple(sorted({day % 7 for day in weekdays})),
        # crontab(5): where both are restricted, that is, begin with no star, one of them is enough.
        either_day=not pieces[2].startswith("*") and not pieces[4].startswith("*"),
    )
    if not cron.either_day and min(days) > max(monthrange(_LEAP_YEAR, month)[1] for month in months):
        raise ScheduleError(f"the cron expression {text!r} never happens: no such month has a day {min(days)}")
    return cron


def open_at(cron: Cron, minutes: int, moment: datetime) -> bool:
    """Whether a moment is within so many minutes from one at which the expression fits."""
    return any(_fits(cron, moment - timedelta(minutes=back)) for back in range(minutes))


def _fits(cron: Cron, moment: datetime) -> bool:
    """Whether the minute of a moment, in UTC, is one that the expression means."""
    at = moment.astimezone(UTC)
    day, weekday = at.day in cron.days, at.isoweekday() % 7 in cron.weekdays
    fitting_day = (day or weekday) if cron.either_day else (day and weekday)
    return fitting_day and at.minute in cron.minutes and at.hour in cron.hours and at.month in cron.months


def _values(piece: str, field: _Field, text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in piece.lower().split(","):
        span, slash, step = part.partition("/")
        stride = _number(step, field, text, part, 1, field.high) if slash else 1
        low, dash, high = span.partition("-")
        if span == "*":
            first, last = field.low, field.high - (1 if field.name == "weekday" else 0)
        else:
            first = _number(low, field, text, part)
            last = _number(high, field, text, part) if dash else (field.high if slash else first)
        if last < first:
            raise ScheduleError(f"the cron expression {text!r}: the range {span!r} ends before it begins")
        found.update(range(first, last + 1, stride))
    return tuple(sorted(found))


def _number(digits: str, field: _Field, text: str, part: str, low: int | None = None, high: int | None = None) -> int:
    least, most = field.low if low is None else low, field.high if high is None else high
    value = field.names.get(digits, -1)
    if digits.isascii() and digits.isdigit() and len(digits) <= 2:
        value = int(digits)
    if not least <= value <= most:
        raise ScheduleError(
            f"the cron expression {text!r}: {part!r} is no {field.name} from {field.low} to {field.high}"
        )
    return value
