"""When the next probe may go. Pure: every function takes the present moment of a clock that the caller chose.

Three rules hold together. The schedule has a probe due every 1/rate seconds, and a sender that was held up
makes up for at most ``DEBT``, at ``CATCHING_UP`` times the rate: both are generic cell rate algorithms (ITU-T
I.371, annex A). And no 100 ms hold more than ``ABOVE`` times their share, counted by when probes went, not by
when they were permitted: between the two a busy machine may let any time pass.
"""

from collections import deque
from dataclasses import dataclass, field

DEBT = 0.1
"""Seconds that a late sender may make up for in the end: no 10 s then hold more than 101 % of their share."""

CATCHING_UP = 1.08
STEP = 0.02
"""Seconds that a late sender may make up for at once."""

WINDOW = 0.1
ABOVE = 1.09
HELD = 0.05
"""Seconds after which a sender that is held asks again."""

_GRAIN = 0.001
_EARLIEST = float("-inf")


@dataclass(slots=True)
class Pacer:
    """A limit of ``rate`` probes a second, which may change. Moments are seconds of any steady clock.

    After each ``permits`` that permits something, and before the next, say with ``went`` what became of it.
    While it is ``held`` nothing may go.
    """

    rate: float
    held: bool = field(default=False, init=False)
    _due: float | None = field(default=None, init=False)
    _next: float = field(default=_EARLIEST, init=False)
    _log: deque[list[float]] = field(default_factory=deque, init=False)
    _recent: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """A rate that lets nothing through would wait for ever."""
        if self.rate <= 0:
            raise ValueError("a rate is more than 0 probes a second")

    @property
    def most_in_window(self) -> int:
        """How many probes any ``WINDOW`` seconds hold at most: one more than their share where that is few."""
        share = self.rate * WINDOW
        return max(int(share * ABOVE), int(share + 1e-9) + 1)

    def permits(self, now: float, most: int) -> int:
        """How many probes may go at ``now``, at most ``most``; they count as sent."""
        if self.held or most <= 0:
            return 0
        due, soon = self._moments(now)
        left = self.most_in_window - self._in_window(now)
        if due > now or soon > now or left <= 0:
            return 0
        fast = self.rate * CATCHING_UP
        count = min(most, int((now - due) * self.rate) + 1, int((now - soon) * fast) + 1, left)
        self._due, self._next = due + count / self.rate, soon + count / fast
        return count

    def went(self, count: int, now: float, *, unsent: int = 0) -> None:
        """Say that ``count`` of the permitted probes had gone by ``now``, and that ``unsent`` will not go."""
        if unsent and self._due is not None:
            self._due -= unsent / self.rate
            self._next -= unsent / (self.rate * CATCHING_UP)
        if not count:
            return
        self._recent += count
        # What went within a millisecond is kept together, as of the last of it: that errs to fewer.
        if self._log and now - self._log[-1][0] < _GRAIN:
            self._log[-1][1] = now
            self._log[-1][2] += count
        else:
            self._log.append([now, now, count])

    def delay(self, now: float) -> float:
        """Seconds until the next probe is due; 0 where it is. While it is held, until it is worth asking again."""
        if self.held:
            return HELD
        wait = max(0.0, *(moment - now for moment in self._moments(now)))
        if self._in_window(now) >= self.most_in_window:
            wait = max(wait, self._log[0][1] + WINDOW - now)
        return wait

    def _moments(self, now: float) -> tuple[float, float]:
        """When the next probe is due by the schedule, and by the speed of catching up."""
        due = now if self._due is None else self._due
        return max(due, now - DEBT), max(self._next, now - STEP)

    def _in_window(self, now: float) -> int:
        while self._log and self._log[0][1] <= now - WINDOW:
            self._recent -= int(self._log.popleft()[2])
        return self._recent
