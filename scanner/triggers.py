"""When a schedule runs, worked out from moments that are given. Pure; the cron arithmetic is APScheduler's."""

from datetime import UTC, datetime, timedelta

from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from inventory.cron import WEEKDAYS, Cron, parse_cron
from inventory.model import Schedule


def first_run(schedule: Schedule, now: datetime) -> datetime | None:
    """When a schedule is to run next, seen at ``now``; None for one that is paused.

    However many runs were missed, they become one, now. Raises ScheduleError.
    """
    if schedule.paused:
        return None
    if schedule.next_run_at is not None:
        return max(schedule.next_run_at, now)
    return following_run(schedule, now, now)


def following_run(schedule: Schedule, planned: datetime, now: datetime) -> datetime | None:
    """When a schedule runs again after the run that was planned for ``planned``, always later than ``now``.

    An interval keeps its phase. None where there is no such moment. Raises ScheduleError.
    """
    if schedule.interval_seconds is not None:
        interval = timedelta(seconds=schedule.interval_seconds)
        return planned + interval * max(1, (now - planned) // interval + 1)
    found = _trigger(parse_cron(schedule.cron or "")).get_next_fire_time(None, now + timedelta(microseconds=1))
    return found.astimezone(UTC) if found else None


def _trigger(cron: Cron) -> CronTrigger | OrTrigger:
    def of(days: str, weekdays: str) -> CronTrigger:
        return CronTrigger(
            minute=_list(cron.minutes),
            hour=_list(cron.hours),
            month=_list(cron.months),
            day=days,
            day_of_week=weekdays,
            timezone=UTC,
        )

    days, weekdays = _list(cron.days), ",".join(WEEKDAYS[day] for day in cron.weekdays)
    return OrTrigger([of(days, "*"), of("*", weekdays)]) if cron.either_day else of(days, weekdays)


def _list(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))
