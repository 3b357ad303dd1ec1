from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.cron import ScheduleError
from inventory.model import Schedule
from scanner.triggers import first_run, following_run

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
moments = st.integers(0, 5 * 366 * 86400).map(lambda seconds: NOON + timedelta(seconds=seconds, microseconds=7))


def cron(text: str, **changes: object) -> Schedule:
    return Schedule.model_validate({"name": "s", "scope": "s", "cron": text, **changes})


def every(seconds: int, **changes: object) -> Schedule:
    return Schedule.model_validate({"name": "s", "scope": "s", "interval_seconds": seconds, **changes})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 * * * *", datetime(2026, 11, 23, 13, 0, tzinfo=UTC)),
        ("0 12 * * *", datetime(2026, 11, 24, 12, 0, tzinfo=UTC)),
        ("0 0 * * 0", datetime(2026, 11, 29, 0, 0, tzinfo=UTC)),
        ("0 0 * * 7", datetime(2026, 11, 29, 0, 0, tzinfo=UTC)),
        ("0 0 * * 1", datetime(2026, 11, 30, 0, 0, tzinfo=UTC)),
        ("0 0 25 * 5", datetime(2026, 11, 25, 0, 0, tzinfo=UTC)),
        ("0 0 28 * 5", datetime(2026, 11, 27, 0, 0, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
    ],
)
def test_cron_counts_as_crontab_does(text: str, expected: datetime) -> None:
    assert first_run(cron(text), NOON) == expected


def test_an_interval_begins_one_interval_from_now() -> None:
    assert first_run(every(90), NOON) == NOON + timedelta(seconds=90)


def test_a_paused_schedule_has_no_next_run() -> None:
    assert first_run(every(90, paused=True, next_run_at=NOON), NOON) is None


@pytest.mark.parametrize("schedule", [every(60), cron("0 * * * *")])
def test_what_was_planned_survives_a_restart_and_many_missed_runs_are_one(schedule: Schedule) -> None:
    later = NOON + timedelta(minutes=7)
    assert first_run(schedule.model_copy(update={"next_run_at": later}), NOON) == later
    long_ago = NOON - timedelta(days=400)
    assert first_run(schedule.model_copy(update={"next_run_at": long_ago}), NOON) == NOON


@given(st.integers(1, 10**7), moments, moments)
def test_an_interval_keeps_its_phase_and_skips_what_was_missed(seconds: int, planned: datetime, now: datetime) -> None:
    following = following_run(every(seconds), planned, now)
    assert following is not None
    assert following > max(planned, now)
    assert (following - planned) % timedelta(seconds=seconds) == timedelta(0)
    assert following - max(planned, now) <= timedelta(seconds=seconds)


@given(st.sampled_from(["* * * * *", "*/7 3 * * *", "0 0 1 * 1", "30 2 * * mon-fri"]), moments)
def test_a_cron_run_is_always_later(text: str, now: datetime) -> None:
    following = following_run(cron(text), now, now)
    assert following is not None
    assert now < following < now + timedelta(days=32)
    assert (following.second, following.microsecond) == (0, 0)


def test_a_malformed_cron_expression_is_an_error() -> None:
    with pytest.raises(ScheduleError, match="five are needed"):
        first_run(cron("daily"), NOON)
