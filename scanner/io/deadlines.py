"""Deadlines for thousands of answers at once: one tick of the event loop looks at all of them.

Time in which the loop did not turn counts against nobody: a host is never called silent because this
machine was busy. So a deadline may end late, by a tick where the loop turns as it should; never early.
"""

import asyncio
from collections.abc import Callable

TICK = 0.05
"""Seconds between two looks."""
_MOST = 2 * TICK
"""Seconds that count, at most, from one look to the next."""


class Deadline:
    """One of them. ``stop`` it when what it guards is over; ``expired`` is called once if that never happens."""

    __slots__ = ("_all", "due", "expired")

    def __init__(self, all_of_them: "Deadlines", due: float, expired: Callable[[], None]) -> None:
        self._all = all_of_them
        self.due = due
        self.expired = expired

    def stop(self) -> None:
        """It is not needed any more. May be called twice."""
        self._all.live.discard(self)


class Deadlines:
    """The deadlines of the event loop that runs when they are started."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._looked = 0.0
        self._ticking = False
        self.live: set[Deadline] = set()

    def start(self, seconds: float, expired: Callable[[], None]) -> Deadline:
        """Call ``expired`` when so much time has passed, unless the deadline is stopped before."""
        if not self._ticking:
            self._look_later()
        # The part of a tick that is over already is given away, so that no deadline ends early.
        deadline = Deadline(self, self._clock + TICK + seconds, expired)
        self.live.add(deadline)
        return deadline

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = True
        self._looked = loop.time()
        loop.call_later(TICK, self._look)

    def _look(self) -> None:
        self._clock += min(asyncio.get_running_loop().time() - self._looked, _MOST)
        for deadline in [one for one in self.live if one.due <= self._clock]:
            # One that expired may have stopped another.
            if deadline in self.live:
                self.live.discard(deadline)
                deadline.expired()
        self._ticking = False
        if self.live:
            self._look_later()
