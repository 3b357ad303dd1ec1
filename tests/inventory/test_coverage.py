"""Coverage has denominators; a gap has a reason; nothing unknown counts as covered."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, endpoint, scan

from inventory.coverage import BEHIND_THE_GATEWAY, BYPASS, coverage, is_governed, scope_gaps, unknowns, why_not
from inventory.model import Account, Governance, Kind, Posture, Presence, Routing, ScanStatus, Scope
from inventory.risk import assess


def metric(name: str, endpoints, scans=()):
    (found,) = [m for m in coverage(endpoints, scans).metrics if m.name == name]
    return found


def test_nothing_known_is_no_percentage():
    assert {m.percent for m in coverage([], []).metrics} == {None}
    assert coverage([], []).gaps == ()


@given(
    st.lists(
        st.builds(
            endpoint,
            kind=st.sampled_from([None, *Kind]),
            routing=st.sampled_from(Routing),
            governance=st.sampled_from(Governance),
            presence=st.sampled_from(Presence),
        ),
        max_size=8,
    )
)
def test_no_metric_exceeds_its_whole_and_every_ungoverned_endpoint_is_a_gap(endpoints):
    report = coverage(endpoints, [])
    assert all(0 <= m.part <= m.whole for m in report.metrics)
    present = [e for e in endpoints if e.kind and e.kind.is_ml and e.presence is not Presence.GONE]
    bypassed = [e for e in present if is_governed(e) and e.routing is Routing.ENFORCED and e.presence is Presence.SEEN]
    assert len(report.gaps) == sum(not is_governed(e) for e in present) + len(bypassed)
    assert {gap.subject for gap in report.gaps if gap.why == BYPASS} == {e.id for e in bypassed}


@pytest.mark.parametrize(("governance", "routing"), product(Governance, Routing))
def test_governed_is_what_holds_on_the_wire(governance: Governance, routing: Routing):
    one = endpoint(governance=governance, routing=routing, presence=Presence.SEEN)
    expected = governance is Governance.EXEMPT or (
        governance not in {Governance.BLOCKED, Governance.RETIRED} and routing in BEHIND_THE_GATEWAY
    )
    assert is_governed(one) is expected
    if not expected:
        assert why_not(one)


def test_reach_counts_the_last_scan_of_each_scope_less_exclusions():
    old = scan(id="a", started_at=ago(days=1), account=Account(planned=100, answered=100))
    new = scan(id="b", account=Account(planned=100, answered=1, refused=50, silent=20, lost=4, excluded=25))
    running = scan(id="c", status=ScanStatus.RUNNING, ended_at=None, account=Account(planned=9999))
    assert (metric("probed", [], [new, old, running]).part, metric("probed", [], [new, old]).whole) == (
        75,
        75,
    )
    assert metric("certain", [], [old, new]).part == 51
    assert metric("probed", [], [new]).as_of == NOW


@pytest.mark.parametrize(
    ("targets", "name"),
    [
        (("10.0.0.0/24",), "complete"),
        (("models.example:8000", "https://models.example/v1"), "complete"),
        (("fd00::/64", "ab:cd::1"), "complete"),
        (("k8s:prod",), "sources"),
        (("mlflow:http://127.0.0.1:5000",), "sources"),
    ],
)
def test_a_scope_that_no_scan_ended_in_is_not_covered(targets: tuple[str, ...], name: str):
    other = Scope(name="other", targets=targets, created_at=NOW)
    of_lab = scan(account=Account(planned=10, answered=10))
    running = scan(id="r", scope="other", status=ScanStatus.RUNNING, ended_at=None)
    report = coverage([], [of_lab, running], [Scope(name="lab", targets=("10.1.0.0/24",), created_at=NOW), other])
    figures = {one.name: (one.part, one.whole) for one in report.metrics}
    assert figures["complete"] == ((1, 2) if name == "complete" else (1, 1))
    assert figures["sources"] == ((0, 0) if name == "complete" else (0, 1))
    assert [(gap.subject, gap.why) for gap in report.gaps] == [("other", "authorised, and no scan of it has ended")]
    assert scope_gaps([of_lab, running], [other]) == report.gaps
    (unknown,) = unknowns([], [of_lab], [other], proposals=0, flags=0)
    assert (unknown.what, unknown.count) == ("authorised scopes that no scan has ended in", 1)
    assert unknowns([], [of_lab, scan(id="o", scope="other")], [other], proposals=0, flags=0) == ()


def test_lost_probes_and_unfinished_scopes_are_gaps():
    lossy = scan(account=Account(planned=10, answered=5, lost=5))
    cut = scan(id="b", scope="other", status=ScanStatus.INCOMPLETE, reason="interrupted")
    report = coverage([], [lossy, cut])
    assert [(gap.subject, gap.why) for gap in report.gaps] == [
        ("other", "interrupted"),
        ("lab", "5 of 10 probes were lost: what they would have found is unknown"),
    ]


def test_risk_is_the_sum_of_its_reasons_within_bounds():
    parts = product([None, *Kind], Posture, Governance, Routing, [None, "ana"])
    for kind, posture, governance, routing, owner in parts:
        one = endpoint(kind=kind, posture=posture, governance=governance, routing=routing, owner=owner)
        risk, reasons = assess(one, NOW)
        assert risk == max(0, min(100, sum(reason.weight for reason in reasons)))


def test_an_open_notebook_that_nobody_owns_is_the_worst_and_ordinary_web_is_none():
    worst, _ = assess(endpoint(kind=Kind.NOTEBOOK, first_seen=ago(days=60)), NOW)
    governed, _ = assess(
        endpoint(kind=Kind.NOTEBOOK, posture=Posture.PROTECTED, routing=Routing.SEALED, owner="ana"), NOW
    )
    assert worst == 100
    assert governed < worst
    assert assess(endpoint(kind=Kind.ORDINARY_WEB), NOW) == (0, ())
