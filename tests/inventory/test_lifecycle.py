"""Transitions and presence, as cross products."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, endpoint, scan

from inventory.lifecycle import PresenceRule, TransitionError, decide, in_force, next_change, presence
from inventory.model import Governance, Presence, ScanStatus, Triage
from inventory.risk import assess

TOMORROW = NOW + timedelta(days=1)
RULE = PresenceRule(stale_after=timedelta(days=7), gone_after=timedelta(0), gone_after_scans=2)


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
    assert presence(endpoint(last_seen=last_seen), scans, NOW, RULE) is expected


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
    assert presence(endpoint(last_seen=ago(hours=1)), scans, NOW, RULE) is Presence.SEEN


def test_a_sighting_long_ago_by_scans_that_still_cover_it_is_stale():
    old = scan(started_at=ago(days=40))
    assert presence(endpoint(last_seen=ago(days=30)), [old], NOW, RULE) is Presence.STALE


def test_what_is_missed_is_gone_only_after_its_own_time():
    patient = PresenceRule(stale_after=timedelta(days=7), gone_after=timedelta(hours=3), gone_after_scans=1)
    scans = [scan(id="s0")]
    assert presence(endpoint(last_seen=ago(hours=2)), scans, NOW, patient) is Presence.STALE
    assert presence(endpoint(last_seen=ago(hours=3)), scans, NOW, patient) is Presence.GONE


@given(
    st.builds(
        endpoint,
        presence=st.sampled_from(Presence),
        governance=st.sampled_from(Governance),
        first_seen=st.integers(0, 80).map(lambda days: ago(days=days)),
        last_seen=st.integers(0, 20).map(lambda days: ago(days=days)),
        exempt_until=st.none() | st.integers(-9, 9).map(lambda days: ago(days=days)),
    )
)
def test_nothing_changes_by_time_alone_before_the_next_change_is_due(one):
    def said(moment):
        there = presence(one, [], moment, RULE)
        triage = Triage(endpoint=one.id, governance=one.governance, exempt_until=one.exempt_until)
        return there, in_force(triage, moment), assess(one, moment)[0]

    one = one.model_copy(update={"presence": said(NOW)[0], "governance": said(NOW)[1]})
    due = next_change(one, RULE, NOW)
    assert due is None or due > NOW
    before = (due or NOW + timedelta(days=400)) - timedelta(microseconds=1)
    assert said(before) == said(NOW)
