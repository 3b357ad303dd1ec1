from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.quiet import QuietError, parse_quiet, quiet_until

# A Friday.
FRIDAY = datetime(2026, 11, 27, tzinfo=UTC)


def at(hour: float, day: int = 0) -> datetime:
    return FRIDAY + timedelta(days=day, hours=hour)


@pytest.mark.parametrize(
    ("text", "now", "until"),
    [
        ("08:00-18:00", at(7.99), None),
        ("08:00-18:00", at(8), at(18)),
        ("08:00-18:00", at(18), None),
        ("22:00-06:00", at(23), at(6, 1)),
        ("22:00-06:00", at(5), at(6)),
        ("22:00-06:00", at(12), None),
        ("fri 22:00-06:00", at(3, 1), at(6, 1)),
        ("fri 22:00-06:00", at(3), None),
        ("mon-fri 08:00-18:00", at(9), at(18)),
        ("mon-fri 08:00-18:00", at(9, 1), None),
        ("Sat-Mon 00:00-24:00", at(9, 1), at(0, 2)),
        ("08:00-18:00 Europe/Berlin", at(7.5), at(17)),
        ("08:00-18:00 Europe/Berlin", at(17.5), None),
        ("08:00-18:00 UTC", at(17.5), at(18)),
    ],
)
def test_quiet_hours_hold_from_their_begin_until_their_end(text, now, until):
    assert parse_quiet(text).until(now) == until


def test_hours_that_follow_each_other_are_waited_for_together():
    hours = [parse_quiet("20:00-24:00"), parse_quiet("00:00-06:00")]
    assert quiet_until(hours, at(21)) == at(6, 1)
    assert quiet_until(hours, at(12)) is None
    assert quiet_until([], at(12)) is None


def test_hours_without_an_end_are_told_as_far_as_a_week():
    until = quiet_until([parse_quiet("00:00-24:00")], at(1))
    assert until is not None
    assert until >= at(0, 7)


@given(st.integers(0, 47), st.integers(0, 47), st.integers(0, 7 * 48 - 1))
def test_every_half_hour_of_a_week_is_quiet_or_not(begin, end, step):
    now = FRIDAY + timedelta(minutes=30 * step)
    half = now.hour * 2 + now.minute // 30
    inside = (begin <= half < end) if end > begin else (half >= begin or half < end)
    text = "-".join(f"{number // 2:02}:{number % 2 * 30:02}" for number in (begin, end))
    until = parse_quiet(text).until(now)
    assert (until is not None) == inside
    if until is not None:
        assert now < until <= now + timedelta(days=1)


@pytest.mark.parametrize("text", ["", "8-18", "08:00", "25:00-26:00", "foo 08:00-18:00", "08:00-18:00 Europe/Nowhere",
                                  "mon-xyz 08:00-18:00", "08:00-18:61", "08:00-18:00 ../etc/passwd"])  # fmt: skip
def test_what_is_no_time_is_refused_in_one_sentence(text):
    with pytest.raises(QuietError, match="quiet hours") as caught:
        parse_quiet(text)
    assert "\n" not in str(caught.value)
