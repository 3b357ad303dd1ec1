"""Quiet hours: when a scope is sent nothing. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? )?(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: (?P<zone>[\w/+-]+))?",
    re.IGNORECASE,
)


class QuietError(ValueError):
    """Quiet hours that cannot be understood. Its text is one sentence that quotes them."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day until another, on some days of the week (0 is Monday) as the clock of a zone tells.

    An end that is no later than the begin is of the next day; the day is that of the begin.
    """

    days: frozenset[int]
    begin: time
    end: time
    zone: tzinfo

    def until(self, now: datetime) -> datetime | None:
        """When they end that hold at ``now``, in UTC. None where none do."""
        local = now.astimezone(self.zone)
        for day in (local.date() - timedelta(days=1), local.date()):
            if day.weekday() not in self.days:
                continue
            begin = datetime.combine(day, self.begin, self.zone)
            last = day if self.end > self.begin else day + timedelta(days=1)
            end = datetime.combine(last, self.end, self.zone)
            if begin <= local < end:
                return end.astimezone(UTC)
        return None


def parse_quiet(text: str) -> QuietHours:
    """The hours that ``22:00-06:00``, ``mon-fri 08:00-18:00`` or ``sat 00:00-24:00 Europe/Berlin`` name.

    Without a zone they are in UTC. Raises QuietError.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise QuietError(
            f"{text!r} names no quiet hours: write them as 22:00-06:00, mon-fri 08:00-18:00 or "
            "08:00-18:00 Europe/Berlin (UTC where no zone is named)"
        )
    try:
        zone: tzinfo = ZoneInfo(found["zone"]) if found["zone"] else UTC
    except (KeyError, ValueError, OSError) as error:
        raise QuietError(f"quiet hours {text!r}: this machine knows no time zone {found['zone']!r}") from error
    return QuietHours(_days(found["first"], found["last"], text), _time(found["begin"], text), _end(found, text), zone)


def _end(found: re.Match[str], text: str) -> time:
    return time() if found["end"] == "24:00" else _time(found["end"], text)


def _time(digits: str, text: str) -> time:
    try:
        return time.fromisoformat(digits)
    except ValueError as error:
        raise QuietError(f"quiet hours {text!r}: {digits} is no time of the day") from error


def _days(first: str | None, last: str | None, text: str) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    names = [first.lower(), (last or first).lower()]
    for name in names:
        if name not in _DAYS:
            raise QuietError(f"quiet hours {text!r}: {name!r} is no day; the days are {', '.join(_DAYS)}")
    begin, end = map(_DAYS.index, names)
    return frozenset(range(begin, end + 1)) if begin <= end else frozenset([*range(begin, 7), *range(end + 1)])


def quiet_until(hours: Iterable[QuietHours], now: datetime) -> datetime | None:
    """When all of the quiet hours end that hold at ``now``, also where they follow each other. None where none do."""
    hours, moment = tuple(hours), now
    # A week of steps is more than any sensible set takes; quiet hours without an end are told as far as that.
    for _ in range(7 * 24):
        ends = [end for one in hours if (end := one.until(moment))]
        if not ends:
            break
        moment = max(ends)
    return moment if moment > now else None
