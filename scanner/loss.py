"""How much gets lost on the way, how often silence is asked again because of it, and when to slow down. Pure."""

import math
import threading
from collections import deque
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from inventory.loss import Loss

ACCEPTED = 0.001
"""With what probability a door that would answer may be taken for silent."""

MOST_ATTEMPTS = 12
"""Probes to one door. Where half of them get lost, ten miss less than one door in a thousand."""

_UNSEEN = math.sqrt(ACCEPTED)
"""What loss is taken to be at most while none was seen, so that two probes to a door suffice."""

ENOUGH = 4000
"""Probes to doors that had answered, on which the loss of the moment rests. None lost of so many is ``ACCEPTED``."""


class LossMeter:
    """Counts the fate of probes whose answer was certain. Any thread may ask, and any may record."""

    def __init__(self, before: Loss | None = None) -> None:
        self._lock = threading.Lock()
        self._before = before or Loss()
        self._total = [0, 0]
        self._silent, self._risk = 0, 0.0
        self._recent: deque[tuple[int, int]] = deque()
        self._moment = [0, 0]

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            return {name: copy(value) for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def record(self, asked: int, unanswered: int) -> None:
        """Note probes and how many met silence, which may also be known later than that they were asked.

        Whoever records keeps to the order in which they went: the quick answers come first, and would
        make it look better than it is.
        """
        with self._lock:
            for counts in (self._total, self._moment):
                counts[0] += asked
                counts[1] += unanswered
            self._recent.append((asked, unanswered))
            while self._moment[0] - self._recent[0][0] >= ENOUGH:
                old = self._recent.popleft()
                self._moment[0] -= old[0]
                self._moment[1] -= old[1]

    def silence(self, doors: int, risk: float) -> None:
        """Note that some doors were given up, and with what probability each was missed."""
        with self._lock:
            self._silent += doors
            self._risk += doors * risk

    @property
    def loss(self) -> Loss:
        """All of it so far."""
        with self._lock:
            silent = Loss(silent=self._silent, risk=self._risk)
            return self._before + _loss(self._total[0], self._total[1]) + silent

    @property
    def recent(self) -> Loss:
        """The loss of the moment, over at most ``ENOUGH`` probes and a little."""
        with self._lock:
            return _loss(self._moment[0], self._moment[1])


def _loss(asked: int, unanswered: int) -> Loss:
    return Loss(asked=asked, unanswered=min(asked, unanswered))


@dataclass(slots=True)
class Doubt:
    """How likely it is that all the probes to a silent door got lost, and whether that calls for one more.

    ``risk`` is what can be proved: the product of the upper bounds of the loss when each went.
    """

    attempts: int = 0
    risk: float = 1.0
    _assumed: float = 1.0

    def silence(self, recent: Loss, frames: int = 1) -> None:
        """Note that probes of one or several frames met silence, given the loss of that moment."""
        high = recent.bounds[1]
        self.attempts += frames
        self.risk *= high**frames
        self._assumed *= (high if recent.unanswered else min(high, _UNSEEN)) ** frames

    def interrupted(self, recent: Loss) -> None:
        """Note a probe whose answer nobody was there to hear: one of those that suffice, and a proof of nothing."""
        self.attempts += 1
        if not recent.unanswered:
            self._assumed *= _UNSEEN

    def remains(self, *, lively: bool) -> bool:
        """Whether the door is worth one more probe.

        It is until the door is missed with a probability of ``ACCEPTED`` at most. ``lively``: something
        else near the door answers, so one probe is never enough. Where no loss was seen, but too few
        probes were watched to be that certain, two are.
        """
        if self.attempts >= MOST_ATTEMPTS:
            return False
        # Two attempts at what is assumed while nothing was seen are enough, whatever the last digit says.
        return self._assumed > ACCEPTED * (1 + 1e-9) or (lively and self.attempts < 2)


TOLERATED = 0.02
"""Loss that no scan slows down for."""

_ENOUGH_TO_JUDGE = 200
_JUDGE_EVERY = 1.0
_AS_GOOD = 0.75
_RECOVERY = 1.25
_SLOWEST_SHARE, _SLOWEST = 1 / 64, 50.0


@dataclass(slots=True)
class BackOff:
    """Slows a scan down while that costs nothing, because only more gets lost at the higher rate.

    Halves the rate when loss rises beyond what is tolerated. Where nearly as many probes arrive as before,
    the link was too full, and it goes on halving; where half as many arrive, the loss is not the scan's
    doing: the rate is given back and that loss is tolerated from then on. Without loss the rate recovers
    in steps of a quarter. Rates in probes a second, moments in seconds of any steady clock.
    """

    limit: float
    settling: float = 1.0
    """Seconds until what was sent at a new rate is judged: as long as an answer may take, and a little."""
    rate: float = field(init=False)
    slowest: float = field(init=False)
    _tolerated: float = field(default=TOLERATED, init=False)
    _trial: tuple[float, float] | None = field(default=None, init=False)
    _asked: int = field(default=0, init=False)
    _unanswered: int = field(default=0, init=False)
    _since: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Begin at the limit."""
        self.rate = self.slowest = self.limit

    def heed(self, asked: int, unanswered: int, now: float, sending: float) -> float:
        """Take in what became of watched probes, and give the rate for what comes next.

        ``sending`` is the rate at which probes really went lately.
        """
        if self._since is None:
            self._since = now
        if now < self._since:
            return self.rate
        self._asked += asked
        self._unanswered += unanswered
        if self._asked < _ENOUGH_TO_JUDGE or now - self._since < _JUDGE_EVERY:
            return self.rate
        epoch = _loss(self._asked, self._unanswered)
        self._asked = self._unanswered = 0
        self._since = now
        before = self.rate
        self._judge(epoch, min(sending, self.rate))
        if self.rate < before:
            self._since = now + self.settling
        self.slowest = min(self.slowest, self.rate)
        return self.rate

    def _judge(self, epoch: Loss, sending: float) -> None:
        arriving = sending * (1 - (epoch.rate or 0.0))
        if epoch.bounds[0] <= self._tolerated:
            self._trial = None
            self.rate = min(self.limit, self.rate * _RECOVERY)
        elif self._trial is None or arriving >= self._trial[1] * _AS_GOOD:
            self._trial = (self._trial[0] if self._trial else self.rate, arriving)
            self._halve(sending)
        else:
            self.rate, self._tolerated, self._trial = self._trial[0], epoch.bounds[1] * 1.1, None

    def _halve(self, sending: float) -> None:
        slowest = min(self.limit, max(_SLOWEST, self.limit * _SLOWEST_SHARE if self.limit < 1e6 else _SLOWEST))
        self.rate = max(slowest, min(self.rate, sending) / 2)
