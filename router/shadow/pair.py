"""Joins the two answers of a mirrored request, in bounded memory. Pure: the caller brings the time."""

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from router.shadow.records import Record


class Loss(StrEnum):
    """Why an answer will never be compared."""

    LATE = "late"
    CROWDED = "crowded"
    DUPLICATE = "duplicate"
    SHED = "shed"
    """Given up unread, since too much waited."""


class Pair(NamedTuple):
    """Both answers of one request. ``end`` is where the later of their lines ends in the capture file."""

    primary: Record
    shadow: Record
    end: int


class Lost(NamedTuple):
    """An answer whose counterpart did not come: too late, beyond the window's size, or said twice."""

    record: Record
    reason: Loss
    end: int


@dataclass(frozen=True)
class Window:
    """How long an answer waits for its counterpart, and how much of memory all that wait may take.

    A copy that has no answer is written down when its time is over, so the wait is longer than that.
    """

    seconds: float = 75.0
    records: int = 20_000
    size: int = 64 * 1024 * 1024


class _Waiting(NamedTuple):
    record: Record
    since: float
    start: int
    end: int


class Pairer:
    """Answers that wait for each other, oldest first.

    Every record that was added is in exactly one place: 2 x pairs + lost + pending = records.
    """

    def __init__(self, window: Window | None = None) -> None:
        self._window = window or Window()
        self._waiting: OrderedDict[tuple[str, str], _Waiting] = OrderedDict()
        self._paired: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._size = 0

    @property
    def pending(self) -> int:
        """How many answers wait."""
        return len(self._waiting)

    @property
    def oldest_start(self) -> int | None:
        """Where the line of the oldest waiting answer begins in the capture file; None where none waits."""
        return next(iter(self._waiting.values())).start if self._waiting else None

    def add(self, record: Record, now: float, start: int = 0, end: int = 0) -> tuple[Pair | Lost, ...]:
        """What this record makes happen. ``now`` in seconds of any clock that never goes back."""
        key = (record.route, record.rid)
        if key in self._paired:
            # Said again after both were there: it would wait for another such one, and count a second pair.
            return (Lost(record, Loss.DUPLICATE, end),)
        other = self._waiting.get(key)
        if other is None:
            self._waiting[key] = _Waiting(record, now, start, end)
            self._size += record.size
            if len(self._waiting) > self._window.records or self._size > self._window.size:
                return self._crowded_out()
            return ()
        if other.record.role == record.role:
            return (Lost(record, Loss.DUPLICATE, end),)
        del self._waiting[key]
        self._size -= other.record.size
        self._remember(key)
        if record.role == "p":
            return (Pair(record, other.record, end),)
        return (Pair(other.record, record, end),)

    def expire(self, now: float) -> tuple[Lost, ...]:
        """Give up on the answers that have waited longer than the window."""
        gone: list[Lost] = []
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if now - oldest.since <= self._window.seconds:
                break
            gone.append(self._drop_oldest(Loss.LATE))
        return tuple(gone)

    def forget_positions(self) -> None:
        """What waits is no longer in the file that is read: it was rotated or truncated."""
        for key, waiting in self._waiting.items():
            self._waiting[key] = waiting._replace(start=0, end=0)

    def _remember(self, key: tuple[str, str]) -> None:
        """Keep the latest ids whose pair was counted, as many as answers may wait."""
        self._paired[key] = None
        while len(self._paired) > self._window.records:
            self._paired.popitem(last=False)

    def _crowded_out(self) -> tuple[Lost, ...]:
        gone: list[Lost] = []
        while len(self._waiting) > self._window.records or self._size > self._window.size:
            gone.append(self._drop_oldest(Loss.CROWDED))
        return tuple(gone)

    def _drop_oldest(self, reason: Loss) -> Lost:
        _, oldest = self._waiting.popitem(last=False)
        self._size -= oldest.record.size
        return Lost(oldest.record, reason, oldest.end)
