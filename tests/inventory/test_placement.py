"""Who had a listener when: pods come and go, and their addresses are given to others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import NOW, ago, identified, observation

from inventory.fold import fold_all, fold_workload
from inventory.identity import workload_endpoint_id
from inventory.model import (
    Declared,
    Ended,
    Exposed,
    Exposure,
    Hop,
    Listener,
    Observation,
    Owned,
    Placed,
    Reached,
    Scheme,
    Standing,
    Workload,
)
from inventory.placement import by_workload, tenants

FRAUD = Workload(cluster="c1", namespace="risk", kind="Deployment", name="fraud", uid="uid-fraud")
CHURN = Workload(cluster="c1", namespace="crm", kind="Deployment", name="churn", uid="uid-churn")
HERE = Listener(site="k8s-prod", address="10.0.0.5", port=8000)
THERE = Listener(site="k8s-prod", address="10.0.0.6", port=8000)


def placed(workload: Workload, holder: str, hours: float, *, seen: float | None = None, **more) -> Observation:
    where, scan, pod = more.pop("listener", HERE), more.pop("scan", "s1"), more.pop("pod", f"pod-{holder}")
    fact = Placed(workload=workload, port=8000, pod=pod, holder=holder, since=ago(hours=hours))
    return observation(fact, at=ago(hours=hours if seen is None else seen), listener=where, scan=scan)


def ended(holder: str, hours: float, listener: Listener = HERE) -> Observation:
    return observation(Ended(holder=holder), at=ago(hours=hours), listener=listener)


def seen(hours: float, listener: Listener = HERE, **more) -> Observation:
    return observation(identified(**more), at=ago(hours=hours), listener=listener, scan=f"wire-{hours}")


@pytest.mark.parametrize(
    ("hours", "owner"),
    [(11, None), (9, FRAUD), (6.5, FRAUD), (6, None), (5, None), (4, CHURN), (1, CHURN)],
    ids=["before any pod", "first pod", "before its end", "at its end", "between", "second pod begins", "second pod"],
)
def test_what_is_seen_on_an_address_is_of_the_pod_that_had_it_then(hours, owner):
    history = [placed(FRAUD, "a", 10), ended("a", 6), placed(CHURN, "b", 4)]
    sighting = seen(hours)
    found = by_workload([*history, sighting])
    assert sighting in found[None if owner is None else (owner, 8000)]


def test_a_new_pod_has_the_address_though_the_end_of_the_old_one_was_missed():
    sighting = seen(1)
    found = by_workload([placed(FRAUD, "a", 10), placed(CHURN, "b", 4), sighting])
    assert sighting in found[CHURN, 8000]
    assert sighting not in found[FRAUD, 8000]


@given(st.permutations([placed(FRAUD, "a", 10), ended("a", 6), placed(CHURN, "b", 4), seen(8), seen(5), seen(2)]))
def test_the_order_of_observations_changes_nothing(shuffled):
    straight = sorted(shuffled, key=lambda o: (o.at, o.id))
    assert tenants(shuffled) == tenants(straight)
    parts = {key: frozenset(o.id for o in part) for key, part in by_workload(shuffled).items()}
    assert parts == {key: frozenset(o.id for o in part) for key, part in by_workload(straight).items()}
    endpoints, workloads = fold_all([HERE], {HERE: shuffled + shuffled})
    expected, named = fold_all([HERE], {HERE: straight})
    assert ({one.id: one for one in endpoints}, workloads) == ({one.id: one for one in expected}, named)


def test_an_endpoint_of_a_workload_outlives_the_addresses_of_its_pods():
    before = fold_workload(FRAUD, 8000, [placed(FRAUD, "a", 10), seen(9)])
    history = [placed(FRAUD, "a", 10), seen(9), ended("a", 5), placed(FRAUD, "b", 5, listener=THERE, scan="s2")]
    (after,) = fold_workload(FRAUD, 8000, history)
    assert [one.id for one in before] == [after.id] == [workload_endpoint_id("k8s-prod", FRAUD, 8000, "/")]
    assert after.address == "10.0.0.6"
    assert after.product == "flask"
    assert [pod.address for pod in after.cluster.pods] == ["10.0.0.6"]


def test_two_workloads_on_one_address_are_two_endpoints_that_share_nothing():
    history = [placed(FRAUD, "a", 10), seen(9, product="vllm"), ended("a", 6), placed(CHURN, "b", 4), seen(2)]
    endpoints, workloads = fold_all([HERE], {HERE: history})
    assert {(one.cluster.workload.name, one.product) for one in endpoints} == {("fraud", "vllm"), ("churn", "flask")}
    assert workloads == {"uid-fraud", "uid-churn"}


def test_the_same_address_in_two_clusters_is_two_endpoints():
    other = Workload(cluster="c2", namespace="risk", kind="Deployment", name="fraud", uid="uid-fraud")
    elsewhere = Listener(site="k8s-test", address=HERE.address, port=8000)
    one, two = placed(FRAUD, "a", 1), placed(other, "a", 1, listener=elsewhere)
    endpoints, _ = fold_all([HERE, elsewhere], {HERE: [one], elsewhere: [two]})
    assert len({endpoint.id for endpoint in endpoints}) == 2


@pytest.mark.parametrize(
    ("history", "over"),
    [
        ([placed(FRAUD, "a", 9)], False),
        ([placed(FRAUD, "a", 9), ended("a", 1)], True),
        ([placed(FRAUD, "a", 9), placed(FRAUD, "b", 9, listener=THERE), ended("a", 1)], False),
        ([placed(FRAUD, "a", 9), placed(FRAUD, "b", 9, listener=THERE), ended("a", 2), ended("b", 1, THERE)], True),
        ([placed(FRAUD, "a", 9), ended("a", 5), placed(FRAUD, "b", 3, scan="s2")], False),
        ([placed(FRAUD, "a", 9), placed(FRAUD, "b", 3, scan="s2"), ended("b", 1)], True),
    ],
    ids=["there", "ended", "one of two", "both", "came back", "an older scan's pod does not count"],
)
def test_a_workload_has_ended_when_every_pod_of_the_newest_scan_has(history, over):
    (one,) = fold_workload(FRAUD, 8000, history)
    assert (one.cluster.ended is not None) is over
    if over:
        assert one.cluster.ended == ago(hours=1)
        assert one.last_seen < one.cluster.ended


def test_what_a_cluster_says_is_laid_over_what_answered():
    path = (Hop(kind="HTTPRoute", namespace="risk", name="fraud", leads="routes"),)
    said = [
        placed(FRAUD, "a", 3),
        observation(Reached(exposures=(Exposure(via="service", url="http://fraud.risk.svc"),)), listener=HERE),
        observation(Declared(standing=Standing.MANAGED, why="a route", by="HTTPRoute", path=path), listener=HERE),
        observation(Owned(owner="team-fraud", said_by="label team", confidence=0.9), listener=HERE),
        observation(Exposed(scheme=Scheme.HTTP), listener=HERE, scan="wire"),
        observation(identified(), listener=HERE, base_path="/api", scan="wire"),
    ]
    (one,) = fold_workload(FRAUD, 8000, said)
    assert [(way.via, way.url) for way in one.exposures] == [
        ("pod", "http://10.0.0.5:8000/api"),
        ("service", "http://fraud.risk.svc"),
    ]
    assert (one.cluster.standing, one.cluster.path, one.owner) == (Standing.MANAGED, path, "team-fraud")


def test_the_supposition_of_a_specification_never_replaces_an_answer():
    supposed = identified(product="vllm", conclusive=False, confidence=0.99)
    history = [placed(FRAUD, "a", 9), seen(8), observation(supposed, at=NOW, listener=HERE)]
    (one,) = fold_workload(FRAUD, 8000, history)
    assert one.product == "flask"
