"""Latencies in bounded memory: quantiles within 1%, mergeable, and bounds that hold however often one looks.

Source: C. Masson, J. E. Rim, H. K. Lee, "DDSketch", VLDB 12 (2019): buckets whose limits grow by a constant
factor. Where there are too many, the smallest values are put together, so that p99 keeps its accuracy. The
bounds invert the test of ``statistics`` at the quantile's level, as in S. R. Howard, A. Ramdas, "Sequential
estimation of quantiles with applications to A/B testing and best-arm identification", Bernoulli 28 (2022).
"""

import math
from collections.abc import Mapping

from router.shadow.statistics import rejects_at_most

ACCURACY = 0.01
"""The relative error of a quantile, where its bucket was not put together with others."""

MAX_BUCKETS = 512

_FACTOR = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_FACTOR = math.log(_FACTOR)


class LatencySketch:
    """Durations in microseconds, counted by bucket. Two sketches of one accuracy merge by adding counts."""

    def __init__(self, buckets: Mapping[int, int] | None = None) -> None:
        self.buckets: dict[int, int] = dict(buckets or {})
        self.count = sum(self.buckets.values())

    def add(self, micros: int) -> None:
        """Count one duration. Anything below one microsecond counts as one."""
        bucket = math.ceil(math.log(micros) / _LOG_FACTOR) if micros > 1 else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        if len(self.buckets) > MAX_BUCKETS:
            self._collapse()

    def merge(self, other: "LatencySketch") -> None:
        """Count everything that another sketch has counted."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count
        self.count += other.count
        while len(self.buckets) > MAX_BUCKETS:
            self._collapse()

    def quantile(self, level: float) -> float | None:
        """The duration in milliseconds below which a share of ``level`` lies; None while nothing is counted."""
        rank = level * (self.count - 1)
        seen = 0
        for bucket, count in sorted(self.buckets.items()):
            seen += count
            if seen > rank:
                return _milliseconds(bucket)
        return None

    def quantile_bounds(self, level: float, alpha: float) -> tuple[float, float]:
        """Milliseconds between which the true quantile lies, each side wrong with a chance of at most alpha.

        Valid at every moment of looking. Zero and infinity where the counts do not bound it yet.
        """
        low, high = 0.0, math.inf
        below = 0
        for bucket in sorted(self.buckets):
            # The quantile is not below this bucket if provably more than 1 - level of the values are not.
            if not rejects_at_most(self.count - below, below, 1 - level, alpha):
                break
            # The lowest bucket of a full sketch holds whatever was smaller, too.
            low = 0.0 if not below and len(self.buckets) == MAX_BUCKETS else _limit(bucket - 1)
            below += self.buckets[bucket]
        at_most = 0
        for bucket in sorted(self.buckets):
            at_most += self.buckets[bucket]
            if rejects_at_most(at_most, self.count - at_most, level, alpha):
                high = _limit(bucket)
                break
        return low, high

    def _collapse(self) -> None:
        lowest, second = sorted(self.buckets)[:2]
        self.buckets[second] += self.buckets.pop(lowest)


def _milliseconds(bucket: int) -> float:
    """The value of a bucket that is within the accuracy of everything in it."""
    return 2 * _FACTOR**bucket / (1 + _FACTOR) / 1000 if bucket else 0.001


def _limit(bucket: int) -> float:
    """The upper limit of a bucket, in milliseconds."""
    return _FACTOR**bucket / 1000 if bucket >= 0 else 0.0
