"""Policy decisions: how many a second in process, and how long 1,000 callers on 1,000 routes take to decide again.

100 Cedar policies. Every single question is asked of the engine in the first three figures: where policies begin with
what a caller must be, or with office hours, so that most are left out, and where none can be.
Run: python -m benchmarks.policy
"""

import time
from datetime import UTC, datetime

from inventory.model import PolicySet, Principal, PrincipalKind
from router.policy import Question
from router.policy.effective import compile_routes, context_at
from router.policy.engines.cedar import CedarEngine, load

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
POLICIES = 100
SIDE = 1000
SLICED = """@id("p{0}") permit(principal, action, resource) when {{
  principal has department && principal.department == "d{0}" &&
  resource has data_class && resource.data_class == "c{1}" }};
"""
TIMED = SLICED.replace("when {{", "when {{ context.hour >= 8 && context.hour < 18 &&")
WHOLE = SLICED.replace("when {{", "when {{ !(context.hour < 0) &&")


def engine_of(template: str) -> CedarEngine:
    text = "".join(template.format(number, number % 5) for number in range(POLICIES))
    return load(PolicySet(number=1, engine="cedar", text=text, at=NOW, who="bench", why="bench"))


def rate(engine: CedarEngine, side: int = 100) -> float:
    """Decisions a second, each on a caller and a route of its own."""
    questions = [
        Question(f"u{i}", {"department": f"d{i}"}, f"r{j}", {"data_class": f"c{j % 5}"}, context_at(NOW))
        for i in range(side)
        for j in range(side)
    ]
    engine.decide(questions[:side])
    best = float("inf")
    for _ in range(3):
        begun = time.perf_counter()
        engine.decide(questions)
        best = min(best, time.perf_counter() - begun)
    return len(questions) / best


def everything(engine: CedarEngine) -> float:
    """Seconds to decide who may call what, for all callers and all routes."""
    people = [
        Principal(
            id=f"https://login.example|u{i}",
            kind=PrincipalKind.TOKEN,
            attributes={"department": f"d{i % 120}", "owner": f"o{i}"},
            first_seen=NOW,
            last_seen=NOW,
        )
        for i in range(SIDE)
    ]
    routes = {f"r{j}": {"data_class": f"c{j % 6}", "owner": f"o{j}"} for j in range(SIDE)}
    begun = time.perf_counter()
    rules = compile_routes(routes, people, engine, None, 0, NOW)
    took = time.perf_counter() - begun
    assert sum(len(rule.exceptions) for rule in rules.values()) > SIDE
    return took


def main() -> None:
    sliced, timed, whole = (engine_of(template) for template in (SLICED, TIMED, WHOLE))
    print(f"{POLICIES} policies that begin with whom they concern: {rate(sliced):,.0f} decisions a second")
    print(f"{POLICIES} policies that begin with office hours:      {rate(timed):,.0f} decisions a second")
    print(f"{POLICIES} policies of which none can be left out:     {rate(whole):,.0f} decisions a second")
    print(f"{SIDE:,} callers x {SIDE:,} routes decided again:       {everything(whole):.2f} s")


if __name__ == "__main__":
    main()
