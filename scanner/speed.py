"""How fast a scan goes and how long it will take. The clock is given, so that it can be told in advance."""

import time
from collections import deque
from collections.abc import Callable

from scanner.sources.source import Progress

WINDOW = 5.0
"""Seconds over which a rate is measured."""


class Speedometer:
    """Turns running totals into progress."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, probed: int = 0) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), probed)])

    def recall(self, probed: int) -> None:
        """Note probes that the totals hold from now on and that went at another time."""
        self._marks = deque((moment, before + probed) for moment, before in self._marks)

    def progress(self, probed: int, sendable: int, unfinished: int, found: int, asked: int) -> Progress:
        """Progress at this moment, from totals: probes sent and sendable, listeners unfinished, open and asked.

        The last percent is kept for the questions, so that 100 is only said when all is done.
        """
        now = self._clock()
        self._marks.append((now, probed))
        while len(self._marks) > 2 and now - self._marks[1][0] >= WINDOW:
            self._marks.popleft()
        then, before = self._marks[0]
        elapsed = now - then
        rate = (probed - before) / elapsed if elapsed > 0 else 0.0
        left = sendable - probed
        done = probed / sendable if sendable else 1.0
        percent = 100.0 if not left and not unfinished else min(99.0, 99.0 * done)
        return Progress(
            rate=rate,
            percent=percent,
            open=found,
            identified=asked,
            seconds_left=self._seconds_left(left, unfinished, rate),
        )

    @staticmethod
    def _seconds_left(left: int, unfinished: int, rate: float) -> float | None:
        if left:
            return left / rate if rate > 0 else None
        return None if unfinished else 0.0
