"""What was counted between two looks at evidence that only grows. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from inventory.model import ShadowEvidence
from router.shadow.sketch import LatencySketch
from router.shadow.statistics import lower_bound, upper_bound
from router.shadow.tally import ALPHA, COUNTS

K = TypeVar("K", str, int)

_TABLES = ("incomparable_reasons", "lost_reasons", "unread", "paths", "primary_latency", "shadow_latency")


def since(before: ShadowEvidence | None, now: ShadowEvidence | None) -> ShadowEvidence | None:
    """The evidence that came after ``before``; all of ``now`` where counting began anew in between.

    It has its own bounds and quantiles, and of the examples those that are younger.
    """
    if before is None or now is None or not _grown(before, now):
        return now
    counts = {name: getattr(now, name) - getattr(before, name) for name in COUNTS}
    tables = {name: _subtracted(getattr(before, name), getattr(now, name)) for name in _TABLES}
    compared = counts["pairs"] - counts["incomparable"]
    differed = compared - counts["agreed"]
    primary, shadow = LatencySketch(tables["primary_latency"]), LatencySketch(tables["shadow_latency"])
    return now.model_copy(
        update={
            **counts,
            **tables,
            "lower_bound": lower_bound(counts["agreed"], differed, ALPHA) if compared else None,
            "upper_bound": upper_bound(counts["agreed"], differed, ALPHA) if compared else None,
            "primary_p50": primary.quantile(0.5),
            "shadow_p50": shadow.quantile(0.5),
            "primary_p99": primary.quantile(0.99),
            "shadow_p99": shadow.quantile(0.99),
            "disagreements": tuple(one for one in now.disagreements if one.at > before.updated_at),
        }
    )


def mark(now: ShadowEvidence | None) -> ShadowEvidence | None:
    """What must be remembered of evidence to subtract it later: everything but the examples."""
    return now.model_copy(update={"disagreements": ()}) if now else None


def _grown(before: ShadowEvidence, now: ShadowEvidence) -> bool:
    return before.basis == now.basis and all(getattr(now, name) >= getattr(before, name) for name in COUNTS)


def _subtracted(before: Mapping[K, int], now: Mapping[K, int]) -> dict[K, int]:
    """Each count without what it was before. Buckets of a full sketch are put together: none goes below zero."""
    left = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: count for key, count in left.items() if count > 0}
