"""How much of what a scan asked got lost on the way, as far as that was measured. Pure.

Not of pydantic, as the rest of the model is: the process that sends frames counts in it, and begins sooner so.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

_Z = 1.959964
"""The normal quantile of a two-sided bound of 95 %."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What became of probes whose answer was certain, because their door had answered before.

    ``asked`` such probes were sent, and ``unanswered`` of them met silence: they, or their answers, got
    lost. ``silent`` doors were given up, and ``risk`` is the sum of the probabilities, one a door, that all the
    probes to it got lost: each at most the upper bound of the loss when it went.
    Raises ValueError for counts that cannot be.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    asked: int = 0
    unanswered: int = 0
    silent: int = 0
    risk: float = 0.0

    def __post_init__(self) -> None:
        """Check that the counts add up."""
        if min(self.asked, self.unanswered, self.silent, self.risk) < 0:
            raise ValueError("no count of a loss is negative")
        if self.unanswered > self.asked:
            raise ValueError("no more probes can stay unanswered than were asked")

    def __add__(self, other: Self) -> Self:
        return type(self)(
            asked=self.asked + other.asked,
            unanswered=self.unanswered + other.unanswered,
            silent=self.silent + other.silent,
            risk=self.risk + other.risk,
        )

    @property
    def rate(self) -> float | None:
        """The share of probes that got lost, 0 to 1. None where nothing answered, so that nobody can tell."""
        return self.unanswered / self.asked if self.asked else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Between which shares the true one lies, with 95 % confidence: (0, 1) where nothing is known.

        Source: the score interval of Wilson (JASA 22, 1927), which is good for rare events as well.
        """
        if not self.asked:
            return 0.0, 1.0
        n, share = self.asked, self.unanswered / self.asked
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half) if self.unanswered else 0.0, min(1.0, middle + half)

    @property
    def missed(self) -> float | None:
        """With what probability a door that would have answered was taken for silent, at most.

        The mean over the silent doors, for losses that are independent of each other. None where nothing
        answered, so that no loss was measured.
        """
        if not self.asked:
            return None
        return min(1.0, self.risk / self.silent) if self.silent else 0.0
