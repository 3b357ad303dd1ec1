"""The running counts of one pair of backends, and the bounded examples kept of where they differ. Pure."""

import random
from datetime import datetime

from inventory.model import Disagreement, ShadowEvidence
from router.shadow.compare import Outcome, Result
from router.shadow.pair import Loss, Pair
from router.shadow.rules import STATUS
from router.shadow.sketch import LatencySketch
from router.shadow.statistics import lower_bound, upper_bound
from router.shadow.tree import Difference

ALPHA = 0.05
"""The error that each of the saved bounds of the agreement is allowed."""

MAX_EXAMPLES = 40
EXAMPLES_A_GROUP = 5
MAX_GROUPS = 50
MAX_SWAPS = 20
OTHER_GROUPS = "(other)"

COUNTS = (
    "pairs",
    "agreed",
    "incomparable",
    "lost",
    "status_mismatches",
    "primary_errors",
    "shadow_errors",
    "new_errors",
)
"""The counts of evidence that only grow."""


class Tally:
    """Counts that only grow. ``counted_up_to`` is the byte of the capture file that an earlier run reached."""

    def __init__(self, route: str, primary: str, shadow: str, basis: str, *, counted_up_to: int = 0) -> None:
        self.basis = basis
        self.counted_up_to = counted_up_to
        self.changed = False
        self._names = {"route": route, "primary": primary, "shadow": shadow}
        self._counts = dict.fromkeys(COUNTS, 0)
        self._incomparable: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._unread: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._swaps: dict[str, dict[str, int]] = {}
        self._distances: dict[str, float | None] = {}
        self._examples: list[Disagreement] = []
        self._primary_latency, self._shadow_latency = LatencySketch(), LatencySketch()
        self._revision: int | None = None

    @classmethod
    def resume(cls, row: ShadowEvidence, *, same_file: bool) -> "Tally":
        """Go on from saved evidence."""
        cursor = row.cursor if same_file else 0
        tally = cls(row.route, row.primary, row.shadow, row.basis, counted_up_to=cursor)
        tally._counts = {name: getattr(row, name) for name in COUNTS}
        tally._incomparable = dict(row.incomparable_reasons)
        tally._lost = dict(row.lost_reasons)
        tally._unread = dict(row.unread)
        tally._paths = dict(row.paths)
        tally._swaps = {group: dict(swaps) for group, swaps in row.swaps.items()}
        tally._distances = dict(row.distances)
        tally._examples = list(row.disagreements)
        tally._primary_latency = LatencySketch(row.primary_latency)
        tally._shadow_latency = LatencySketch(row.shadow_latency)
        tally._revision = row.revision
        return tally

    def count(self, pair: Pair, result: Result, revision: int | None = None) -> None:
        """Count one pair, of a revision of its route, by what comparing it came to.

        Answers that nobody was asked for, or that were cut off, say nothing about errors or latency.
        """
        self.changed = True
        self._counts["pairs"] += 1
        self._revision = revision or self._revision
        if result.unread:
            self._unread[result.unread] = self._unread.get(result.unread, 0) + 1
        if result.outcome is Outcome.INCOMPARABLE:
            self._counts["incomparable"] += 1
            reason = result.reason
            self._incomparable[reason] = self._incomparable.get(reason, 0) + 1
        elif result.outcome is Outcome.AGREE:
            self._counts["agreed"] += 1
        else:
            self._count_differences(result)
        if result.outcome is Outcome.INCOMPARABLE and result.reason != "truncated":
            return
        primary, shadow, _ = pair
        if primary.failed or shadow.failed:
            self._count_errors(pair)
        if primary.micros is not None:
            self._primary_latency.add(primary.micros)
        if shadow.micros is not None:
            self._shadow_latency.add(shadow.micros)

    def lose(self, reason: Loss, count: int = 1) -> None:
        """Count requests whose answers will never be compared."""
        self.changed = True
        self._counts["lost"] += count
        self._lost[reason.value] = self._lost.get(reason.value, 0) + count

    def keep(self, example: Disagreement, chance: random.Random) -> None:
        """Maybe keep an example: a fair sample within its group, and no group crowds out the others.

        Source: J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11 (1985), algorithm R.
        """
        mine = [at for at, other in enumerate(self._examples) if other.group == example.group]
        if len(mine) < EXAMPLES_A_GROUP:
            if len(self._examples) >= MAX_EXAMPLES and not self._make_room():
                return
            self._examples.append(example)
            return
        seen = self._paths.get(example.group, self._paths.get(OTHER_GROUPS, len(mine)))
        place = chance.randrange(max(seen, len(mine)))
        if place < len(mine):
            self._examples[mine[place]] = example

    def evidence(self, at: datetime, capture: str, cursor: int) -> ShadowEvidence:
        """The counts as they stand, with bounds and quantiles."""
        counts = self._counts
        compared = counts["pairs"] - counts["incomparable"]
        differed = compared - counts["agreed"]
        primary, shadow = self._primary_latency, self._shadow_latency
        return ShadowEvidence(
            **self._names,
            **counts,
            lower_bound=lower_bound(counts["agreed"], differed, ALPHA) if compared else None,
            upper_bound=upper_bound(counts["agreed"], differed, ALPHA) if compared else None,
            primary_p50=primary.quantile(0.5),
            shadow_p50=shadow.quantile(0.5),
            primary_p99=primary.quantile(0.99),
            shadow_p99=shadow.quantile(0.99),
            updated_at=at,
            disagreements=tuple(sorted(self._examples, key=lambda example: (example.group, example.at))),
            incomparable_reasons=dict(self._incomparable),
            lost_reasons=dict(self._lost),
            unread=dict(self._unread),
            paths=_most_first(self._paths),
            swaps={group: _most_first(swaps) for group, swaps in self._swaps.items()},
            distances=dict(self._distances),
            primary_latency=dict(primary.buckets),
            shadow_latency=dict(shadow.buckets),
            revision=self._revision,
            basis=self.basis,
            capture=capture,
            cursor=cursor,
        )

    def _count_differences(self, result: Result) -> None:
        if result.differences[0].path == STATUS:
            self._counts["status_mismatches"] += 1
        for group in {difference.group for difference in result.differences}:
            known = group in self._paths or len(self._paths) < MAX_GROUPS
            name = group if known else OTHER_GROUPS
            self._paths[name] = self._paths.get(name, 0) + 1
        for difference in result.differences:
            if difference.group in self._paths:
                self._measure(difference)

    def _measure(self, difference: Difference) -> None:
        """How far apart the two are at most, and which label became which."""
        group, distance = difference.group, difference.distance
        before = self._distances.get(group, 0.0)
        self._distances[group] = None if distance is None or before is None else max(before, distance)
        if not difference.label:
            return
        swaps = self._swaps.setdefault(group, {})
        swap = f"{difference.primary} -> {difference.shadow}"
        name = swap if swap in swaps or len(swaps) < MAX_SWAPS else OTHER_GROUPS
        swaps[name] = swaps.get(name, 0) + 1

    def _count_errors(self, pair: Pair) -> None:
        if pair.primary.failed:
            self._counts["primary_errors"] += 1
        if pair.shadow.failed:
            self._counts["shadow_errors"] += 1
            if not pair.primary.failed:
                self._counts["new_errors"] += 1

    def _make_room(self) -> bool:
        """Drop an example of the group that has most; False where no group has more than one."""
        groups: dict[str, list[int]] = {}
        for at, example in enumerate(self._examples):
            groups.setdefault(example.group, []).append(at)
        largest = max(groups.values(), key=len)
        if len(largest) < 2:
            return False
        del self._examples[largest[0]]
        return True


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
