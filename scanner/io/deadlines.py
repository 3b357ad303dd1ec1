"""Deadlines for thousands of answers at once: one tick of the event loop looks at all of them.

Time in which the loop did not turn counts against nobody: a host is never called silent because this
machine was busy. So a deadline may end late, by a tick where the loop turns as it should; never early.
"""

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

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
    """The deadlines of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._clock = 0.0
        self._looked = 0.0
        self._ticking = False
        self.live: set[Deadline] = set()

    def start(self, seconds: float, expired: Callable[[], None]) -> Deadline:
        """Call ``expired`` when so much time has passed, unless the deadline is stopped before."""
        if not self._ticking:
            self._ticking = True
            self._looked = self._loop.time()
            self._loop.call_later(TICK, self._tick)
        # The part of a tick that is over already is given away, so that no deadline ends early.
        deadline = Deadline(self, self._clock + TICK + seconds, expired)
        self.live.add(deadline)
        return deadline

    def _tick(self) -> None:
        now = self._loop.time()
        self._clock += min(now - self._looked, _MOST)
        self._looked = now
        for deadline in [one for one in self.live if one.due <= self._clock]:
            # One that expired may have stopped another.
            if deadline in self.live:
                self.live.discard(deadline)
                deadline.expired()
        self._ticking = bool(self.live)
        if self._ticking:
            self._loop.call_later(TICK, self._tick)


_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines] = WeakKeyDictionary()


def deadlines_of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """The deadlines of an event loop, always the same ones."""
    found = _OF_LOOP.get(loop)
    if found is None:
        found = _OF_LOOP[loop] = Deadlines(loop)
    return found
