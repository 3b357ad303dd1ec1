"""Endpoints of clusters in the store, on every database: joined by workload, whatever happens to addresses."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from making import NOW, ago, identified, observation, scan

from inventory.model import (
    Ended,
    Exposed,
    Governance,
    Listener,
    Placed,
    Presence,
    Routing,
    Scheme,
    Workload,
)
from inventory.store import Store, open_store

FRAUD = Workload(cluster="c1", namespace="risk", kind="Deployment", name="fraud", uid="uid-fraud")
CHURN = Workload(cluster="c1", namespace="crm", kind="Deployment", name="churn", uid="uid-churn")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def at(address: str, site: str = "k8s-prod", port: int = 8000) -> Listener:
    return Listener(site=site, address=address, port=port)


def placed(workload: Workload, holder: str, address: str, hours: float, scan_id: str = "s1", **more):
    fact = Placed(workload=workload, port=8000, pod=more.pop("pod", holder), holder=holder, since=ago(hours=hours))
    return observation(fact, at=ago(hours=hours), listener=at(address, **more), scan=scan_id)


def see(store: Store, *seen):
    store.observations.append(seen)
    return store.endpoints.refold({one.listener for one in seen}, NOW)


def test_an_address_of_a_subnet_and_a_pod_become_one_endpoint(store: Store):
    wire = [observation(Exposed(scheme=Scheme.HTTP), listener=at("10.0.0.5"), at=ago(hours=1), scan="subnet"),
            observation(identified(), listener=at("10.0.0.5"), at=ago(hours=1), scan="subnet")]  # fmt: skip
    (before,) = see(store, *wire)
    assert before.cluster is None
    (joined,) = see(store, placed(FRAUD, "a", "10.0.0.5", 2))
    assert [one.id for one in store.endpoints.list()] == [joined.id] != [before.id]
    assert (joined.product, joined.cluster.workload) == ("flask", FRAUD)


def test_a_node_port_is_the_workload_behind_it(store: Store):
    see(store, placed(FRAUD, "a", "10.0.0.5", 3))
    see(store, placed(FRAUD, "service", "10.9.0.1", 3, pod=None, port=31080))
    see(store, observation(identified(product="vllm"), listener=at("10.9.0.1", port=31080), scan="subnet"))
    (one,) = store.endpoints.list()
    assert (one.address, one.port, one.product) == ("10.0.0.5", 8000, "vllm")


def test_what_was_decided_and_routed_stays_when_every_pod_moves(store: Store):
    (one,) = see(store, placed(FRAUD, "a", "10.0.0.5", 5))
    store.triage.apply([one.id], governance=Governance.MANAGED, exempt_until=None, owner="team", who="a", why="ours")
    store.endpoints.set_routing(one.id, Routing.ENFORCED)
    gone = observation(Ended(holder="a"), at=ago(hours=2), listener=at("10.0.0.5"))
    (moved,) = see(store, gone, placed(FRAUD, "b", "10.0.0.6", 2, "s2"))
    assert (moved.id, moved.address) == (one.id, "10.0.0.6")
    assert (moved.governance, moved.owner, moved.routing) == (Governance.MANAGED, "team", Routing.ENFORCED)
    assert [each.id for each in store.endpoints.list()] == [one.id]


def test_a_recycled_address_never_merges_strangers(store: Store):
    see(
        store,
        placed(FRAUD, "a", "10.0.0.5", 9),
        observation(identified(product="vllm"), at=ago(hours=8), listener=at("10.0.0.5"), scan="w1"),
    )
    see(store, observation(Ended(holder="a"), at=ago(hours=7), listener=at("10.0.0.5")))
    see(
        store,
        placed(CHURN, "b", "10.0.0.5", 5),
        observation(identified(product="flask"), at=ago(hours=4), listener=at("10.0.0.5"), scan="w2"),
    )
    found = {one.cluster.workload.name: one for one in store.endpoints.list()}
    assert {name: one.product for name, one in found.items()} == {"fraud": "vllm", "churn": "flask"}
    assert found["fraud"].presence is Presence.GONE
    assert found["churn"].presence is Presence.SEEN


def test_the_same_address_at_another_site_is_somebody_else(store: Store):
    see(store, placed(FRAUD, "a", "10.0.0.5", 2))
    see(store, observation(identified(), listener=at("10.0.0.5", site="office"), scan="subnet"))
    assert {(one.site, one.cluster is None) for one in store.endpoints.list()} == {
        ("k8s-prod", False),
        ("office", True),
    }


def test_only_whole_scans_of_its_namespace_tell_that_it_is_gone(store: Store):
    see(store, placed(FRAUD, "a", "10.0.0.5", 5))
    covering = {"site": "k8s-prod", "scope": "prod", "source": "kubernetes", "ports": ()}

    def settle(number: int, **more) -> Presence:
        started = ago(hours=4) + timedelta(minutes=number)
        done = scan(**covering | {"id": f"k{number}", "started_at": started, "ended_at": started} | more)
        store.scans.save(done)
        store.endpoints.settle(done, NOW)
        return store.endpoints.list()[0].presence

    assert settle(1, targets=("c1/risk",), status="incomplete") is Presence.SEEN
    assert settle(2, targets=("c1/crm",)) is Presence.SEEN
    assert settle(3, targets=("c2/risk",)) is Presence.SEEN
    assert settle(4, source="subnet", targets=("10.0.0.0/8",), ports=(8000,)) is Presence.SEEN
    assert settle(5, targets=("c1/risk",)) is Presence.STALE
    assert settle(6, targets=("c1/risk", "c1/crm")) is Presence.GONE


def test_folding_everything_again_gives_the_same(store: Store):
    seen = [
        placed(FRAUD, "a", "10.0.0.5", 9),
        observation(identified(), at=ago(hours=8), listener=at("10.0.0.5"), scan="w"),
        observation(Ended(holder="a"), at=ago(hours=7), listener=at("10.0.0.5")),
        placed(FRAUD, "b", "10.0.0.6", 6, "s2"),
        placed(CHURN, "c", "10.0.0.5", 5, "s2"),
    ]
    for one in seen:
        see(store, one)
    step_by_step = store.endpoints.list()
    store.endpoints.refold({one.listener for one in seen}, NOW)
    assert store.endpoints.list() == step_by_step


@pytest.mark.parametrize("first", ["uid-a", "uid-z"])
def test_what_a_pod_belongs_to_is_what_was_said_last(store: Store, first: str):
    unknown = Workload(cluster="c1", namespace="risk", kind="ReplicaSet", name="fraud-1", uid=first)
    see(store, placed(unknown, "a", "10.0.0.5", 5), observation(identified(), listener=at("10.0.0.5"), scan="w"))
    (one,) = see(store, placed(FRAUD, "a", "10.0.0.5", 4))
    assert one.cluster.workload == FRAUD
    assert [(each.id, each.product) for each in store.endpoints.list()] == [(one.id, "flask")]
