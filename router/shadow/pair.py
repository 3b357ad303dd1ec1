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


_Key = tuple[str, str]
_Waiting = tuple[Record, int, float, int, int]
"""A record, its size, since when it waits, and where its line begins and ends. A name for each would take longer."""


class Pairer:
    """Answers that wait for each other, oldest first.

    Every record that was added is in exactly one place: 2 x pairs + lost + pending = records.
    """

    def __init__(self, window: Window | None = None) -> None:
        self._window = window or Window()
        self._waiting: OrderedDict[_Key, _Waiting] = OrderedDict()
        # The latest ids whose pair was counted: at least as many as answers may wait, at most twice as many.
        self._paired: set[_Key] = set()
        self._paired_before: set[_Key] = set()
        self._size = 0

    @property
    def pending(self) -> int:
        """How many answers wait."""
        return len(self._waiting)

    @property
    def oldest_start(self) -> int | None:
        """Where the line of the oldest waiting answer begins in the capture file; None where none waits."""
        return next(iter(self._waiting.values()))[3] if self._waiting else None

    def add(self, record: Record, now: float, start: int = 0, end: int = 0) -> tuple[Pair | Lost, ...]:
        """What this record makes happen. ``now`` in seconds of any clock that never goes back."""
        key = (record.place.route, record.rid)
        waiting = self._waiting.get(key)
        if waiting is None:
            if key in self._paired or key in self._paired_before:
                # Said again after both were there: it would wait for another such one, and count a second pair.
                return (Lost(record, Loss.DUPLICATE, end),)
            size = record.size
            self._waiting[key] = (record, size, now, start, end)
            self._size += size
            if self._size > self._window.size or len(self._waiting) > self._window.records:
                return self._crowded_out()
            return ()
        other, size, _, _, _ = waiting
        if other.role == record.role:
            return (Lost(record, Loss.DUPLICATE, end),)
        del self._waiting[key]
        self._size -= size
        if len(self._paired) >= self._window.records:
            self._paired_before, self._paired = self._paired, set()
        self._paired.add(key)
        return (Pair(record, other, end) if record.role == "p" else Pair(other, record, end),)

    def expire(self, now: float) -> tuple[Lost, ...]:
        """Give up on the answers that have waited longer than the window."""
        gone: list[Lost] = []
        while self._waiting:
            _, _, since, _, _ = next(iter(self._waiting.values()))
            if now - since <= self._window.seconds:
                break
            gone.append(self._drop_oldest(Loss.LATE))
        return tuple(gone)

    def forget_positions(self) -> None:
        """What waits is no longer in the file that is read: it was rotated or truncated."""
        for key, (record, size, since, _, _) in self._waiting.items():
            self._waiting[key] = (record, size, since, 0, 0)

    def _crowded_out(self) -> tuple[Lost, ...]:
        gone: list[Lost] = []
        while len(self._waiting) > self._window.records or self._size > self._window.size:
            gone.append(self._drop_oldest(Loss.CROWDED))
        return tuple(gone)

    def _drop_oldest(self, reason: Loss) -> Lost:
        _, (record, size, _, _, end) = self._waiting.popitem(last=False)
        self._size -= size
        return Lost(record, reason, end)
