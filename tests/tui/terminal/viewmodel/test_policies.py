"""The page of policies, line by line."""

from datetime import timedelta

import pytest

from inventory.calls import Recording
from inventory.model import PolicySet, PolicyState, Principal, PrincipalKind
from router.audit.evidence import Evidence
from router.policy.impact import Coverage, Impact, Unknown
from tui.viewmodel import policies
from tui.viewmodel.policies import Governed
from tui.viewmodel.text import plain, width_of

NOTHING = Coverage(0, 0, 0, 0, 0)


def governed(now, state: PolicyState | None = None, covered: Coverage = NOTHING, **parts) -> Governed:
    found = Evidence(state or PolicyState(), now - timedelta(hours=3), None, covered, parts.pop("impacts", ()), ())
    return Governed(found._replace(recordings=parts.pop("recordings", ())), **parts)


def version(now, number: int) -> PolicySet:
    return PolicySet(number=number, engine="cedar", text="", at=now - timedelta(days=1), who="ana", why="teams")


def said(lines) -> list[str]:
    return [plain(one).rstrip() for one in lines]


def test_nothing_is_known_yet(now) -> None:
    text = said(policies.page(governed(now), 80, now))
    assert "no policies yet: every caller may do everything" in text
    assert "no call was recorded" in text
    assert "nobody was seen yet" in text
    assert "no gateway's calls are recorded" in text
    assert not any("MAY IT BE ENFORCED" in one or "KEYS IN USE" in one for one in text)


def test_the_versions_that_count_and_the_newest_are_named(now) -> None:
    state = PolicyState(enforced=1, candidate=3, percent=10)
    text = said(
        policies.versions(governed(now, state, versions=tuple(version(now, n) for n in (4, 3, 2, 1))), 120, now)
    )
    assert [one.split(" by ")[0] for one in text[1:]] == [
        "v4 cedar ◌ not in use 1d",
        "v3 cedar ◐ candidate, 10 % of the callers are held to it 1d",
        "v1 cedar ✓ enforced 1d",
    ]


def test_coverage_says_who_is_not_known(now) -> None:
    unknown = tuple(Unknown(f"id-{n}", f"id-{n}", ("team", "department"), 20 - n) for n in range(15))
    anonymous = (Unknown("anonymous 10.0.0.0/24 curl", "", (), 1),)
    text = said(policies.coverage(Coverage(20, 5, 1234, 1000, 9, unknown, anonymous), 100, "3 h"))
    assert text[1].endswith("5 of 20 identities known to the policies")
    assert text[2] == "1,000 of 1,234 calls judged by the candidate, 9 anonymous"
    assert text[3] == "? id-0 lacks team, department  20 calls"
    assert text[-2] == "? anonymous 10.0.0.0/24 curl has no identity  1 call"
    assert text[-1] == "  and 3 more"


def test_only_anonymous_callers(now) -> None:
    assert "nobody said who they are" in said(policies.coverage(Coverage(0, 0, 5, 5, 5), 80, "1 d"))


def test_who_would_break_comes_with_route_and_reason(now, evil) -> None:
    at = now - timedelta(minutes=5)
    rows = (
        Impact("would deny", evil, evil, "churn", "no policy permits it", 3, at, at),
        Impact("would limit", "ana", "ana", "iris", "over the limit by team", 1, at, at),
    )
    judged = NOTHING._replace(calls=4, decided=4)
    trying = governed(now, PolicyState(candidate=1), judged, impacts=rows).evidence
    text = said(policies.impacts(trying, 100, now))
    assert "1 would be denied" in text[0]
    assert text[1].startswith("✗ would deny ")
    assert text[1].endswith(" on churn")
    assert "\x1b" not in text[1]
    assert text[2] == "    no policy permits it · 3 calls, the last 5m ago"
    assert text[3] == "◐ would limit ana on iris"


def test_what_nobody_judged_is_not_known(now) -> None:
    assert policies.impacts(governed(now).evidence, 80, now) == []
    unknown = governed(now, PolicyState(candidate=1), NOTHING._replace(calls=9)).evidence
    assert said(policies.impacts(unknown, 80, now))[1] == "? no call was judged by the candidate yet"
    fine = governed(now, PolicyState(candidate=1), NOTHING._replace(calls=9, decided=9)).evidence
    assert said(policies.impacts(fine, 80, now))[1] == "nobody who called would be treated otherwise"


def test_the_gate_is_there_for_a_candidate_only(now) -> None:
    state = PolicyState(candidate=1)
    assert policies.gate(governed(now), 80) == []
    assert said(policies.gate(governed(now, state), 80))[1] == "✓ nothing is in the way"
    assert said(policies.gate(governed(now, state, why_not=("too few calls",)), 80))[1] == "✗ too few calls"


def test_keys_in_use_are_gaps(now) -> None:
    seen = now - timedelta(hours=2)
    callers = (
        Principal(id="key:abcd1234", kind=PrincipalKind.KEY, first_seen=seen, last_seen=seen),
        Principal(id="ana", kind=PrincipalKind.TOKEN, attributes={"a": ("b", "c")}, first_seen=seen, last_seen=now),
    )
    text = said(policies.page(governed(now, callers=callers), 100, now))
    assert any(one.startswith("KEYS IN USE") and "1 gap" in one for one in text)
    assert "! key:abcd1234  last used 2h ago" in text
    assert any("token ana  a b/c" in one for one in text)
    assert any("key key:abcd1234  nothing is known" in one for one in text)


@pytest.mark.parametrize(
    ("lost", "behind", "seconds", "words"),
    [
        (0, 0, 5, "edge 7 calls  ✓ none lost  ✓ up to date  as of 5s ago"),
        (3, 900, 5, "edge 7 calls  ✗ 3 lost  ◐ 900 bytes behind  as of 5s ago"),
        (0, 0, 600, "edge 7 calls  ✓ none lost  ✓ up to date  ✗ silent for 10m"),
    ],
)
def test_what_the_record_lacks(lost, behind, seconds, words, now) -> None:
    one = Recording("edge", "1:2", 5, 7, lost, behind, now - timedelta(seconds=seconds))
    assert said(policies.record([one], 100, now))[1] == words


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_line_fits(width, now, evil) -> None:
    state = PolicyState(enforced=1, candidate=2)
    rows = (Impact("would deny", evil * 20, evil, "churn", evil * 20, 3, now, now),)
    whole = governed(
        now, state, Coverage(3, 1, 9, 9, 2, (Unknown(evil * 30, "x", ("team",), 4),)), impacts=rows,
        versions=(version(now, 2),), unread="the policies cannot be read here: " + evil, why_not=("x" * 300,),
    )  # fmt: skip
    assert all(width_of(one) <= width for one in policies.page(whole, width, now))
