"""Transitions and presence, as cross products."""

from datetime import timedelta
from itertools import product

import pytest
from making import NOW, ago, scan

from inventory.lifecycle import TransitionError, decide, in_force, presence
from inventory.model import Governance, Presence, ScanStatus, Triage

TOMORROW = NOW + timedelta(days=1)
RULES = {"now": NOW, "stale_after": timedelta(days=7), "gone_after_scans": 2}


@pytest.mark.parametrize(("before", "to"), product(Governance, Governance))
def test_any_decision_may_follow_any_other_with_a_reason(before: Governance, to: Governance):
    until = TOMORROW if to is Governance.EXEMPT else None
    after = decide(Triage(endpoint="e", governance=before, owner="ana"), to, until=until, why="agreed", now=NOW)
    assert (after.governance, after.exempt_until, after.owner) == (to, until, "ana")


@pytest.mark.parametrize(
    ("to", "until", "why", "words"),
    [
        (Governance.MANAGED, None, "  ", "reason"),
        (Governance.EXEMPT, None, "x", "date"),
        (Governance.EXEMPT, NOW, "x", "past"),
        (Governance.BLOCKED, TOMORROW, "x", "only an exemption"),
    ],
)
def test_a_refused_decision_says_why(to, until, why, words):
    with pytest.raises(TransitionError, match=words):
        decide(Triage(endpoint="e"), to, until=until, why=why, now=NOW)


def test_an_exemption_ends_on_its_date():
    triage = Triage(endpoint="e", governance=Governance.EXEMPT, exempt_until=TOMORROW)
    assert in_force(triage, NOW) is Governance.EXEMPT
    assert in_force(triage, TOMORROW) is Governance.UNREVIEWED


@pytest.mark.parametrize(
    ("last_seen", "missed", "expected"),
    [
        (ago(hours=1), 0, Presence.SEEN),
        (ago(hours=1), 1, Presence.STALE),
        (ago(hours=1), 2, Presence.GONE),
        (ago(hours=1), 3, Presence.GONE),
        (ago(days=30), 0, Presence.UNKNOWN),
    ],
)
def test_presence_counts_complete_scans_that_missed_it(last_seen, missed, expected):
    scans = [scan(id=f"s{n}", started_at=ago(minutes=n)) for n in range(missed)]
    assert presence("127.0.0.9", 5000, last_seen, scans, **RULES) is expected


@pytest.mark.parametrize(
    "other",
    [
        {"status": ScanStatus.INCOMPLETE},
        {"status": ScanStatus.FAILED},
        {"status": ScanStatus.RUNNING},
        {"targets": ("127.9.0.0/24",)},
        {"ports": (80,)},
        {"exclude": ("127.0.0.8/30",)},
    ],
)
def test_a_scan_that_could_not_have_seen_it_proves_nothing(other):
    scans = [scan(id=f"s{n}", **other) for n in range(5)]
    assert presence("127.0.0.9", 5000, ago(hours=1), scans, **RULES) is Presence.SEEN


def test_a_sighting_long_ago_by_scans_that_still_cover_it_is_stale():
    old = scan(started_at=ago(days=40))
    assert presence("127.0.0.9", 5000, ago(days=30), [old], **RULES) is Presence.STALE
