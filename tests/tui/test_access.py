"""``gnomon access``: what is put on record, what is shown, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from making import route

from inventory.model import Access, RateLimit
from inventory.store import open_store


@pytest.fixture
def routed(database_url: str) -> str:
    with open_store(database_url) as store:
        store.routes.put(route("iris", endpoint=None), who="ana", why="adopted")
    return database_url


def held(url: str) -> Access | None:
    with open_store(url) as store:
        spec: Any = store.routes.get("iris").spec  # type: ignore[union-attr]
        return spec.access


def test_callers_are_observed_then_held_then_let_go(gnomon, routed: str, tmp_path: Path):
    assert "held to nothing" in gnomon("access", "iris").out
    told = ("--attribute", "department=research", "--attribute", "groups=a,b", "--candidate-limit", "principal=60/1m")
    planned = gnomon("access", "iris", "--observe", *told, "--dry-run")
    assert (planned.code, held(routed)) == (0, None)
    assert gnomon("access", "iris", "--observe", *told).code == 3
    limit = RateLimit(by="principal", requests=60, seconds=60)
    attributes = {"department": "research", "groups": ("a", "b")}
    assert held(routed) == Access(attributes=attributes, limits=(limit,))
    enforced = gnomon("access", "iris", "--enforce", "--limit", "team=5/2h", "--ask", "closed", "--recorded")
    assert enforced.code == 3
    assert "no version of the policies is enforced, so everybody may call" in enforced.err
    team = RateLimit(by="team", requests=5, seconds=7200, candidate=False)
    both = Access(enforce=True, attributes=attributes, limits=(limit, team), ask="closed", recorded=True)
    assert held(routed) == both
    shown = gnomon("access", "iris")
    assert shown.out.splitlines() == [
        "policies are enforced",
        "department = research",
        "groups = a, b",
        "60 requests in 60 s by principal, as a candidate",
        "5 requests in 7200 s by team",
        "each request is asked for; where nobody answers, it is refused",
        "a call that cannot be recorded is refused",
    ]
    assert gnomon("access", "iris", "--limit", "team=9/1h", "--attribute", "groups=").code == 3
    after = held(routed)
    assert after is not None
    assert after.attributes == {"department": "research"}
    assert [one.requests for one in after.limits] == [60, 9]
    assert gnomon("access", "iris", "--limit", "route=50/1s,shared").code == 3
    assert "50 requests in 1 s by route, over all gateways" in gnomon("access", "iris").out.splitlines()
    assert gnomon("access", "iris", "--limit", "route=50/1s,alone").code == 2
    assert gnomon("access", "iris", "--no-limits").code == 3
    assert gnomon("access", "iris", "--off").code == 3
    assert held(routed) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--limit", "user=1/1m"), "is not a limit like"),
        (("--limit", "team=0/1m"), "greater than or equal to 1"),
        (("--limit", "team=1/99d"), "less than or equal to"),
        (("--attribute", "department"), "is not NAME=VALUE"),
        (("--attribute", "Department=x"), "pattern"),
        (("--ask", "sometimes"), "access.ask"),
    ],
)
def test_what_cannot_be_is_one_sentence(gnomon, routed: str, words: tuple[str, ...], said: str):
    done = gnomon("access", "iris", *words)
    assert (done.code, held(routed)) == (2, None)
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
