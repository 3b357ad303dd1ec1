from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.cron import Cron, ScheduleError, open_at, parse_cron

ALL_HOURS, ALL_DAYS, ALL_MONTHS = tuple(range(24)), tuple(range(1, 32)), tuple(range(1, 13))
ALL_WEEKDAYS = tuple(range(7))


@pytest.mark.parametrize(
    ("text", "cron"),
    [
        ("0 * * * *", Cron((0,), ALL_HOURS, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, False)),
        ("*/20 2-4 1,15 JAN-mar *", Cron((0, 20, 40), (2, 3, 4), (1, 15), (1, 2, 3), ALL_WEEKDAYS, False)),
        ("5/25 0 * * 7", Cron((5, 30, 55), (0,), ALL_DAYS, ALL_MONTHS, (0,), False)),
        ("0 0 * * mon-fri", Cron((0,), (0,), ALL_DAYS, ALL_MONTHS, (1, 2, 3, 4, 5), False)),
        ("0 0 * * 5-7", Cron((0,), (0,), ALL_DAYS, ALL_MONTHS, (0, 5, 6), False)),
        ("0 0 13 * 5", Cron((0,), (0,), (13,), ALL_MONTHS, (5,), True)),
        ("0 0 */2 * 5", Cron((0,), (0,), tuple(range(1, 32, 2)), ALL_MONTHS, (5,), False)),
        ("0 0 29 2 *", Cron((0,), (0,), (29,), (2,), ALL_WEEKDAYS, False)),
        ("0 0 31 2 1", Cron((0,), (0,), (31,), (2,), (1,), True)),
    ],
)
def test_an_expression_means_what_crontab_says(text: str, cron: Cron) -> None:
    assert parse_cron(text) == cron


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "has 0 fields"),
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("60 * * * *", "'60' is no minute from 0 to 59"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * 8", "'8' is no weekday"),
        ("* * * foo *", "'foo' is no month"),
        ("jan * * * *", "'jan' is no minute"),
        ("*/0 * * * *", "'*/0' is no minute"),
        ("9-5 * * * *", "'9-5' ends before"),
        ("1,,2 * * * *", "'' is no minute"),
        ("-1 * * * *", "'-1' is no minute"),
        ("1-2-3 * * * *", "'1-2-3' is no minute"),
        ("٣ * * * *", "is no minute"),
        ("0 0 31 2,4 *", "never happens"),
    ],
)
def test_a_malformed_expression_is_named_in_one_sentence(text: str, because: str) -> None:
    with pytest.raises(ScheduleError, match=r"\A[^\n]+\Z") as caught:
        parse_cron(text)
    assert because in str(caught.value)


@given(st.text(alphabet="0123456789*/,- janmo", max_size=30))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    try:
        cron = parse_cron(text)
    except ScheduleError:
        return
    assert cron.minutes
    assert set(cron.weekdays) <= set(ALL_WEEKDAYS)


@pytest.mark.parametrize(
    ("text", "minutes", "moment", "is_open"),
    [
        ("0 22 * * mon-fri", 120, "2026-05-04 22:00", True),
        ("0 22 * * mon-fri", 120, "2026-05-04 23:59", True),
        ("0 22 * * mon-fri", 120, "2026-05-05 00:00", False),
        ("0 22 * * mon-fri", 120, "2026-05-04 21:59", False),
        ("0 22 * * mon-fri", 180, "2026-05-09 00:30", True),
        ("0 22 * * mon-fri", 120, "2026-05-10 22:30", False),
        ("0 0 13 * fri", 60, "2026-05-08 00:10", True),
        ("0 0 13 * fri", 60, "2026-05-13 00:10", True),
        ("0 0 13 * fri", 60, "2026-05-14 00:10", False),
    ],
)
def test_a_window_is_open_for_so_long_after_each_moment(text: str, minutes: int, moment: str, is_open: bool) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert open_at(parse_cron(text), minutes, at) is is_open
    assert open_at(parse_cron(text), minutes, at + timedelta(seconds=59)) is is_open
