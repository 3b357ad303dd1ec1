"""Shadow, zombie, orphan, ghost, bypass and unseen."""

from itertools import product

import pytest
from making import NOW, ago, endpoint, scan

from inventory.drift import Drift, Report, drift
from inventory.model import (
    Declaration,
    DeclarationKind,
    DeclarationState,
    Endpoint,
    Governance,
    Kind,
    Membership,
    Presence,
    Registered,
    Routing,
    ScanStatus,
    Standing,
    Workload,
)

READ = scan(id="s9", scope="list", source="catalogue", targets=("catalogue:/x",), ports=())


def registered(key: str = "iris", withdrawn: bool = False, **parts: object) -> Registered:
    defaults = {"source": "catalogue:/x", "key": key, "name": key, "scope": "list", "scan": "s9", "at": NOW}
    return Registered(
        declaration=Declaration.model_validate(defaults | parts),
        first_seen=ago(days=9),
        last_seen=NOW,
        withdrawn_at=NOW if withdrawn else None,
    )


def lists(report: Report) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for item in report.items:
        found.setdefault(item.drift.value, set()).add(item.subject)
    return found


def seen(**parts: object) -> Endpoint:
    return endpoint(**{"presence": Presence.SEEN, "owner": "ana", **parts})


WORKLOAD = Workload(cluster="c1", namespace="ml", kind="Deployment", name="iris", uid="u1")
HERE = {"urls": ("http://127.0.0.9:5000",)}


@pytest.mark.parametrize(
    ("kind", "presence", "governance", "routing", "state"),
    product(
        (Kind.MODEL_ENDPOINT, Kind.ORDINARY_WEB, None),
        (Presence.SEEN, Presence.GONE),
        (Governance.UNREVIEWED, Governance.EXEMPT, Governance.RETIRED),
        (Routing.DIRECT, Routing.ENFORCED, Routing.SEALED),
        (None, DeclarationState.ACTIVE, DeclarationState.RETIRED),
    ),
)
def test_what_runs(kind, presence, governance, routing, state) -> None:
    one = seen(kind=kind, presence=presence, governance=governance, routing=routing)
    known = [registered(state=state, **HERE)] if state else []
    found = set(lists(drift([one], known, [], [READ]))) & {"shadow", "zombie", "orphan", "bypass"}
    if kind is not Kind.MODEL_ENDPOINT or presence is Presence.GONE:
        assert found == set()
        return
    zombie = governance is Governance.RETIRED or state is DeclarationState.RETIRED
    shadow = not zombie and state is None and governance is Governance.UNREVIEWED and routing is Routing.DIRECT
    assert found == {
        name
        for name, holds in (("zombie", zombie), ("shadow", shadow), ("bypass", routing is Routing.ENFORCED))
        if holds
    }


def test_what_is_withdrawn_declares_nothing() -> None:
    assert lists(drift([seen()], [registered(withdrawn=True, **HERE)], [], [READ])) == {"shadow": {"abc234"}}


def test_an_owner_may_come_from_the_declaration() -> None:
    nobodys = seen(owner=None)
    assert lists(drift([nobodys], [registered(**HERE)], [], [])) == {"orphan": {"abc234"}}
    assert lists(drift([nobodys], [registered(owner="bo", **HERE)], [], [])) == {}


@pytest.mark.parametrize(
    ("parts", "presence", "status", "expected"),
    [
        (HERE, Presence.SEEN, ScanStatus.COMPLETE, None),
        (HERE, Presence.GONE, ScanStatus.COMPLETE, Drift.GHOST),
        (HERE, Presence.STALE, ScanStatus.COMPLETE, Drift.GHOST),
        (HERE, Presence.UNKNOWN, ScanStatus.COMPLETE, Drift.UNSEEN),
        ({"urls": ("http://127.0.0.7:5000",)}, None, ScanStatus.COMPLETE, Drift.GHOST),
        ({"urls": ("http://127.0.0.7:5000",)}, None, ScanStatus.INCOMPLETE, Drift.UNSEEN),
        ({"urls": ("http://127.0.0.7:5001",)}, None, ScanStatus.COMPLETE, Drift.UNSEEN),
        ({"urls": ("http://127.0.0.7:5000",), "site": "lab-b"}, None, ScanStatus.COMPLETE, Drift.UNSEEN),
        ({"urls": ("http://iris.example:5000",)}, None, ScanStatus.COMPLETE, Drift.UNSEEN),
        ({"urls": ("http://i.example:5000",), "places": ("127.0.0.7:5000",)}, None, ScanStatus.COMPLETE, Drift.GHOST),
        ({}, None, ScanStatus.COMPLETE, Drift.UNSEEN),
        ({"kind": DeclarationKind.MODEL}, None, ScanStatus.COMPLETE, None),
        ({"urls": ("http://127.0.0.7:5000",), "state": "retired"}, None, ScanStatus.COMPLETE, None),
        (
            {"kind": "route", "urls": ("http://gw.example",), "backends": ("http://127.0.0.7:5000",)},
            None,
            ScanStatus.COMPLETE,
            Drift.GHOST,
        ),
    ],
)
def test_what_is_declared_and_not_there(parts, presence, status, expected) -> None:
    known = [seen(presence=presence)] if presence else []
    report = drift(known, [registered(**parts)], [], [scan(status=status)])
    found = [item.drift for item in report.items if item.drift in {Drift.GHOST, Drift.UNSEEN}]
    assert found == ([expected] if expected else [])


@pytest.mark.parametrize("routing", Routing)
def test_what_is_sealed_is_gone_around_only_by_the_word_of_its_cluster(routing: Routing) -> None:
    route = registered(kind="route", urls=(), backends=("http://127.0.0.9:5000",))
    found = lists(drift([seen(routing=routing)], [route], [], [READ]))
    assert (Drift.BYPASS in found) is (routing is not Routing.SEALED)


@pytest.mark.parametrize(
    ("urls", "expected"), [((), True), (("http://127.0.0.8:80",), True), (("http://127.0.0.9:5000",), False)]
)
def test_a_gateway_that_is_gone_around(urls: tuple[str, ...], expected: bool) -> None:
    route = registered(kind="route", urls=urls, backends=("http://127.0.0.9:5000",))
    found = lists(drift([seen()], [route], [], [READ]))
    assert found == ({"bypass": {"abc234"}} if expected else {})


@pytest.mark.parametrize("status", [ScanStatus.INCOMPLETE, ScanStatus.FAILED, ScanStatus.COMPLETE])
def test_a_source_that_was_not_read_to_the_end_makes_nothing_sure(status: ScanStatus) -> None:
    half = READ.model_copy(update={"status": status, "reason": "it answered 401"})
    complete_before = READ.model_copy(update={"id": "s1", "started_at": ago(days=1)})
    report = drift([seen()], [], [], [half, complete_before, scan(status=ScanStatus.FAILED)])
    (item,) = report.items
    complete = status is ScanStatus.COMPLETE
    assert (item.drift, item.sure) == (Drift.SHADOW, complete)
    assert report.incomplete == (() if complete else ("list: it answered 401",))
    assert report.sources == 0


@pytest.mark.parametrize(
    ("standing", "presence", "expected"),
    [
        (Standing.MANAGED, Presence.SEEN, set()),
        (Standing.BYPASSABLE, Presence.SEEN, {"bypass"}),
        (Standing.SHADOW, Presence.SEEN, {"shadow"}),
        (Standing.UNKNOWN, Presence.SEEN, {"shadow"}),
        (Standing.ZOMBIE, Presence.SEEN, {"zombie"}),
        (Standing.GHOST, Presence.UNKNOWN, {"ghost"}),
        (Standing.SHADOW, Presence.GONE, set()),
    ],
)
def test_what_a_cluster_says_of_its_workloads(standing: Standing, presence: Presence, expected: set[str]) -> None:
    one = seen(presence=presence, cluster=Membership(workload=WORKLOAD, standing=standing, why="so it is"))
    report = drift([one], [], [], [])
    assert {item.drift.value for item in report.items} == expected
    declared = registered(workload="ml/deployment/iris")
    assert "shadow" not in lists(drift([one], [declared], [], []))
