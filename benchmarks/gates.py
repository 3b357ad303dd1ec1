"""How often a gate errs, and how soon it decides, under continuous looking. Simulated, with seeds.

Each rollout is a stream of paired answers that agree with a fixed probability; the gate looks after every one
of them. Beside it is the classic test of the same error and power, that may look only once, at a sample size
that was fixed before; and that same test looked at continuously, which is what thresholds on a dashboard do.
Run: python benchmarks/gates.py [ROLLOUTS]
"""

import math
import random
import statistics
import sys
import time
from datetime import UTC, datetime
from typing import NamedTuple

from inventory.model import ShadowEvidence
from router.gates import Decision, Gate, decide
from router.shadow.statistics import rejects_at_most

ERROR = Gate().error
FIXED_ERROR = 0.05
"""The classic test may err a little more often: the comparison is not in the gate's favour."""

POWER = 0.95
BREAKING = 5


class Scenario(NamedTuple):
    """What the gate asks for, and what a model without regression has."""

    name: str
    asked: float
    good: float

    @property
    def bad(self) -> float:
        """One point worse than good, which is what the gate asks for at least."""
        return self.good - 0.01


SCENARIOS = [
    Scenario("exact model, gate 99%", 0.99, 1.0),
    Scenario("noisy model, gate 98.5%", 0.985, 0.995),
    Scenario("noisier model, gate 97%", 0.97, 0.98),
    Scenario("noisiest model, gate 94%", 0.94, 0.95),
]


def passing(asked: float, most: int) -> list[int]:
    """For each number of disagreements, how many agreements let the gate advance. It only grows."""
    table, few = [], 1
    for failures in range(most):
        many = few + 64
        while not rejects_at_most(many, failures, asked, ERROR):
            few, many = many, many * 2
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if rejects_at_most(middle, failures, asked, ERROR) else (middle, many)
        table.append(many)
        few = max(1, many - 1)
    return table


def breaking(asked: float, disagreements: int) -> list[int]:
    """For each number of disagreements, at most how many agreements make the gate roll back; -1 for none."""
    table, most = [], -1
    for failures in range(disagreements):
        while rejects_at_most(failures, most + 1, 1 - asked, ERROR / BREAKING):
            most += 1
        table.append(most)
    return table


def rollout(
    rate: float, advance: list[int], back: list[int], horizon: int, chance: random.Random
) -> tuple[Decision, int]:
    """The first verdict of a gate that looks after every pair, and after how many pairs.

    Between two disagreements only agreements are added, so the tables find the moment without every step.
    """
    agreed = 0
    for failures in range(len(advance)):
        if failures and agreed <= back[failures]:
            return Decision.ROLL_BACK, agreed + failures
        run = horizon if rate >= 1 else int(math.log(1 - chance.random()) / math.log(rate))
        if agreed + run >= advance[failures]:
            seen = max(agreed, advance[failures]) + failures
            return (Decision.ADVANCE, seen) if seen <= horizon else (Decision.HOLD, horizon)
        agreed += run
        if agreed + failures >= horizon:
            return Decision.HOLD, horizon
    raise AssertionError("the tables are too short for the horizon")


def fixed_sample(scenario: Scenario) -> int:
    """The sample size of the exact one-sided binomial test of the same error and power."""
    size = 20
    while True:
        # The most disagreements that still reject "at most asked agree".
        most, tail = -1, binomial(size, 0, 1 - scenario.asked)
        while tail <= FIXED_ERROR:
            most += 1
            tail += binomial(size, most + 1, 1 - scenario.asked)
        if most >= 0:
            power = sum(binomial(size, failures, 1 - scenario.good) for failures in range(most + 1))
            if power >= POWER:
                return size
        size += max(1, size // 200)


def binomial(size: int, count: int, rate: float) -> float:
    if rate <= 0:
        return float(count == 0)
    ways = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    return math.exp(ways + count * math.log(rate) + (size - count) * math.log1p(-rate))


def naive(scenario: Scenario, rate: float, size: int, chance: random.Random) -> bool:
    """Whether the fixed-sample test's normal approximation, looked at after every pair, ever says advance."""
    agreed = 0
    for seen in range(1, size + 1):
        agreed += chance.random() < rate
        share = agreed / seen
        if seen >= 50 and share - 1.645 * math.sqrt(scenario.asked * (1 - scenario.asked) / seen) > scenario.asked:
            return True
    return False


def check_tables(scenario: Scenario, advance: list[int], back: list[int]) -> None:
    """The tables say what ``decide`` says: otherwise the simulation would be of something else."""
    gate = Gate(agreement=scenario.asked, new_errors=0.99, minimum_pairs=1, error=ERROR)
    for failures in (0, 1, 7, 60):
        cases = [(advance[failures], Decision.ADVANCE), (advance[failures] - 1, Decision.HOLD)]
        if back[failures] >= 0:
            cases += [(back[failures], Decision.ROLL_BACK), (back[failures] + 1, Decision.HOLD)]
        for agreed, expected in cases:
            evidence = ShadowEvidence(
                route="r", primary="p", shadow="s", updated_at=datetime.now(UTC), pairs=agreed + failures, agreed=agreed
            )
            found = next(check for check in decide(evidence, gate).checks if check.name == "agreement")
            assert found.decision is expected, (scenario, failures, agreed, found)


def measure(scenario: Scenario, rollouts: int) -> str:
    chance = random.Random(20260504)
    fixed = fixed_sample(scenario)
    horizon = 4 * fixed
    disagreements = 100 + int(1.5 * horizon * (1 - scenario.bad))
    advance, back = passing(scenario.asked, disagreements), breaking(scenario.asked, disagreements)
    check_tables(scenario, advance, back)
    bad = [rollout(scenario.bad, advance, back, horizon, chance) for _ in range(rollouts)]
    good = [rollout(scenario.good, advance, back, horizon, chance) for _ in range(rollouts)]
    false_advance = sum(decision is Decision.ADVANCE for decision, _ in bad) / rollouts
    advanced = sum(decision is Decision.ADVANCE for decision, _ in good) / rollouts
    false_back = sum(decision is Decision.ROLL_BACK for decision, _ in good) / rollouts
    median = statistics.median(seen for _, seen in good)
    looks = min(200, rollouts)
    careless = sum(naive(scenario, scenario.bad, fixed, chance) for _ in range(looks)) / looks
    held = false_advance <= 0.05 and advanced >= 0.95 and median <= 2 * fixed
    return (
        f"{scenario.name:26} {false_advance:>8.2%} {careless:>8.2%} {advanced:>8.2%} {false_back:>8.2%} "
        f"{median:>8.0f} {fixed:>8} {median / fixed:>6.2f}  {'yes' if held else 'NO'}"
    )


GATES = 7
"""How many gates the usual ladder has: they share the chance to go back without a breach."""


def late_break(good: int, after: float, window: int, chance: random.Random) -> int:
    """How many pairs after a break a step goes back, with ``good`` pairs that agree before it.

    The gate looks after every ten pairs; ``window`` is after how many pairs a new stretch begins.
    """
    allowed, back = 1 - 0.99, ERROR / GATES / BREAKING / 2
    agreed, differed, stretches = good, 0, 1 + good // window
    mark = (good // window) * window, 0
    for seen in range(10, 100_000, 10):
        wrong = sum(chance.random() > after for _ in range(10))
        agreed, differed = agreed + 10 - wrong, differed + wrong
        lately = agreed - mark[0], differed - mark[1]
        share = back / (stretches * (stretches + 1))
        if rejects_at_most(differed, agreed, allowed, back):
            return seen
        if stretches > 1 and rejects_at_most(lately[1], lately[0], allowed, share):
            return seen
        if sum(lately) >= window:
            stretches, mark = stretches + 1, (agreed, differed)
    return 100_000


def print_late_breaks() -> None:
    """How soon a break is noticed that comes after a good past: with stretches, and with the whole step alone."""
    print("\npairs from a break to the way back, median of 20; before it, all pairs agreed; 99 % are asked for")
    print(f"{'agreed before':>14} {'then agree':>11} {'stretches of 500':>17} {'whole step alone':>17}")
    for good, after in ((500, 0.9), (5_000, 0.9), (50_000, 0.9), (50_000, 0.5)):
        row = []
        for window in (500, 10**9):
            chance = random.Random(7)
            found = [late_break(good, after, window, chance) for _ in range(20)]
            row.append(statistics.median(found))
        print(f"{good:>14} {after:>11.0%} {row[0]:>17.0f} {row[1]:>17.0f}")


def main() -> None:
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    before = time.perf_counter()
    print(f"{rollouts} rollouts each, one look after every pair, at most four times the fixed sample")
    print(
        f"{'':26} {'advance at 1 point worse':^17} {'no regression':^17} {'pairs to advance, median':^24}\n"
        f"{'scenario':26} {'gate':>8} {'naive':>8} {'advance':>8} {'back':>8} {'gate':>8} {'fixed':>8} {'ratio':>6}"
        "  bars"
    )
    for scenario in SCENARIOS:
        print(measure(scenario, rollouts))
    print_late_breaks()
    print(f"in {time.perf_counter() - before:.1f} s")


if __name__ == "__main__":
    main()
