"""When the next probe may go. Pure: every function takes the present moment of a clock that the caller chose.

The schedule is the generic cell rate algorithm (ITU-T I.371, annex A) with a fixed tolerance: the
probe n is due 1/rate after the probe n-1, and a sender that was held up may make up at most the
tolerance. What it missed beyond that is given up, so that a limit is never paid back in a burst.
"""

from dataclasses import dataclass, field

TOLERANCE = 0.0095
"""Seconds that a late sender may catch up on.

A window of 100 ms then holds at most 110% of its share, and a timer that wakes a few milliseconds
late still keeps the rate to within 1%.
"""

HELD = 0.05
"""Seconds after which a sender that is held asks again."""


@dataclass(slots=True)
class Pacer:
    """A limit of ``rate`` probes a second, which may change. Moments are seconds of any steady clock.

    While it is ``held`` nothing may go.
    """

    rate: float
    held: bool = field(default=False, init=False)
    _due: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        """A rate that lets nothing through would wait for ever."""
        if self.rate <= 0:
            raise ValueError("a rate is more than 0 probes a second")

    def permits(self, now: float, most: int) -> int:
        """How many probes may go at ``now``, at most ``most``; they count as sent."""
        due = max(self._due, now - TOLERANCE)
        if self.held or due > now or most <= 0:
            return 0
        count = min(most, int((now - due) * self.rate) + 1)
        self._due = due + count / self.rate
        return count

    def give_back(self, count: int) -> None:
        """Say that ``count`` permitted probes were not sent after all."""
        self._due -= count / self.rate

    def delay(self, now: float) -> float:
        """Seconds until the next probe is due; 0 where it is. While it is held, until it is worth asking again."""
        return HELD if self.held else max(0.0, self._due - now)
