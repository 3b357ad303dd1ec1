"""Pure: what passed, over time. Latencies are counted in buckets, so that counts of any times add up exactly.

A bucket is named by its upper bound in milliseconds.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from inventory.model import Sample

FINE_SECONDS = 15
"""The length of a sample when it is taken."""

FINE_KEPT = 2 * 3600.0
"""Seconds for which samples are kept as they were taken."""

COARSE_SECONDS = 600
"""The length of samples that are older than that."""

COARSE_KEPT = 7 * 86400.0
"""Seconds after which a sample is forgotten."""


def add_counts(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    """Two sets of buckets as one."""
    return {bound: one.get(bound, 0) + other.get(bound, 0) for bound in sorted(one.keys() | other.keys())}


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The latency in milliseconds that ``share`` (0 to 1) of the answers did not exceed; None without answers.

    It is interpolated within its bucket, so it is as exact as the buckets are narrow.
    """
    total = sum(counts.values())
    if total == 0:
        return None
    rank, below, lower = share * total, 0, 0
    for bound in sorted(counts):
        inside = counts[bound]
        if inside and below + inside >= rank:
            return lower + (bound - lower) * max(0.0, rank - below) / inside
        below, lower = below + inside, bound
    return float(lower)


def joined(samples: Iterable[Sample], seconds: int) -> list[Sample]:
    """Samples of one route and backend each, put together into longer ones that begin at multiples of ``seconds``."""
    found: dict[tuple[str, str, datetime], Sample] = {}
    for one in sorted(samples, key=lambda sample: sample.at):
        at = datetime.fromtimestamp(one.at.timestamp() // seconds * seconds, UTC)
        key = one.route, one.backend, at
        before = found.get(key)
        found[key] = one.model_copy(update={"at": at}) if before is None else before.model_copy(
            update={
                "seconds": before.seconds + one.seconds,
                "requests": before.requests + one.requests,
                "failures": before.failures + one.failures,
                "shadowed": before.shadowed + one.shadowed,
                "in_flight": max(before.in_flight, one.in_flight),
                "latency": add_counts(before.latency, one.latency),
            }
        )  # fmt: skip
    return list(found.values())
