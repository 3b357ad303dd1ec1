"""Identity over both databases: what moves keeps its id, a person has the last word, and can take it back."""

from collections.abc import Iterator

import pytest
from making import LISTENER, NOW, ago, identified, observation, scan

from inventory.changes import Happening
from inventory.fold import fold
from inventory.lifecycle import TransitionError
from inventory.listing import Order
from inventory.model import (
    Certificate,
    Declared,
    Exposed,
    Exposure,
    Governance,
    Listener,
    Placed,
    Reached,
    Routing,
    Scheme,
    Standing,
    Workload,
)  # fmt: skip
from inventory.store import Store, open_store
from inventory.store.links import LinkState

THERE = Listener(site="default", address="127.0.0.10", port=5000)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def see(store: Store, *facts, listener=LISTENER, at=NOW, path="/", run="s1") -> list:
    seen = [observation(fact, listener=listener, at=at, base_path=path, scan=run) for fact in facts]
    store.observations.append(seen)
    return store.endpoints.refold([listener], at)


def ended(store: Store, name: str, **ago_parts: float) -> None:
    run = scan(id=name, started_at=ago(**ago_parts), ended_at=ago(**ago_parts))
    store.scans.save(run)
    store.endpoints.settle(run, NOW)


KEY = Certificate(key_digest="k1")
DOOR = Exposed(scheme=Scheme.HTTPS)


def everything(store: Store) -> list:
    """Every endpoint as the observations and people's decisions make it, whatever the time is."""
    return [one.model_dump(exclude={"presence", "risk", "risk_reasons"}) for one in store.endpoints.list()]


def moved(store: Store, *, schema: str | None = "d1", key: bool = True):
    """An application that was seen at one address, and then only at another."""
    facts = [DOOR, identified(schema_digest=schema), *([KEY] if key else [])]
    (old,) = see(store, *facts, at=ago(hours=5))
    see(store, *facts, listener=THERE, at=ago(hours=1), run="s2")
    ended(store, "s2", hours=2)
    return old


def test_an_application_that_moved_keeps_its_id_its_decisions_and_its_routing(store: Store):
    facts = [DOOR, KEY, identified(schema_digest="d1")]
    (old,) = see(store, *facts, at=ago(hours=5))
    store.triage.apply([old.id], owner="ana", governance=Governance.BLOCKED, who="bo", why="x")
    store.endpoints.set_routing(old.id, Routing.SPLIT)
    (new,) = see(store, *facts, listener=THERE, at=ago(hours=1), run="s2")
    assert new.id != old.id
    ended(store, "s2", hours=2)
    (one,) = store.endpoints.list()
    assert (one.id, one.address, one.owner, one.governance, one.routing) == (
        old.id, THERE.address, "ana", Governance.BLOCKED, Routing.SPLIT,
    )  # fmt: skip
    assert (one.first_seen, one.last_seen) == (ago(hours=5), ago(hours=1))
    assert [place.address for place in one.places] == [LISTENER.address]
    assert store.endpoints.get(new.id) == one, "the id that it had for a while leads to it"
    (link,) = store.identities.of(old.id)
    assert (link.state, len(link.reasons)) == (LinkState.AUTOMATIC, 3)
    assert Happening.JOINED in {event.what for event in store.events.list(endpoint=old.id)}
    (again,) = see(store, identified(schema_digest="d1", version="2"), listener=THERE, run="s3")
    assert (again.id, again.version) == (old.id, "2")


def test_a_weak_match_is_proposed_confirmed_and_taken_back(store: Store):
    old = moved(store, key=False)
    assert store.endpoints.count() == 2
    (proposal,) = store.identities.list()
    before = everything(store)
    one = store.identities.confirm(proposal.place, None, who="bo", why="their log says so")
    assert (one.id, one.address, store.endpoints.count()) == (old.id, THERE.address, 1)
    assert store.identities.list() == []
    back = store.identities.split(proposal.place, who="bo", why="was wrong")
    assert (back.id, everything(store)) == (proposal.place, before)
    ended(store, "s4", hours=2)
    assert store.identities.list() == [], "what was split is not proposed again"
    store.identities.confirm(proposal.place, None, who="bo", why="was right after all")
    assert store.endpoints.count() == 1
    actions = [(c.action, c.why) for c in [*store.changes.list(old.id), *store.changes.list(proposal.place)]]
    assert sorted(actions) == [
        ("confirm", "their log says so"),
        ("confirm", "was right after all"),
        ("split", "was wrong"),
    ]


def test_what_people_decided_about_is_never_joined_without_them(store: Store):
    facts = [DOOR, KEY, identified(schema_digest="d1")]
    see(store, *facts, at=ago(hours=5))
    (new,) = see(store, *facts, listener=THERE, at=ago(hours=1), run="s2")
    store.triage.apply([new.id], owner="ana", who="bo", why="hers")
    ended(store, "s2", hours=2)
    assert store.endpoints.count() == 2
    assert [one.place for one in store.identities.list()] == [new.id]


def test_addresses_of_two_sites_are_two_hosts(store: Store):
    other = Listener(site="b", address=THERE.address, port=THERE.port)
    facts = [DOOR, KEY, identified(schema_digest="d1")]
    see(store, *facts, at=ago(hours=5))
    see(store, *facts, listener=other, at=ago(hours=1), run="s2")
    ended(store, "s2", hours=2)
    assert (store.endpoints.count(), store.identities.list()) == (2, [])


def test_the_pods_of_a_workload_are_one_endpoint_that_filters_find_by_its_place(store: Store):
    work = Workload(cluster="c1", namespace="ml", kind="Deployment", name="iris", uid="u1")

    def pod(number: int) -> list:
        listener = Listener(site="kind", address=f"10.0.0.{number}", port=8080)
        at = ago(minutes=60 - number)
        placed = Placed(workload=work, port=8080, pod=f"iris-{number}", holder=f"pod-{number}", since=at)
        ways = Reached(exposures=(Exposure(via="service", url="http://iris.ml:80"),))
        return see(store, Exposed(scheme=Scheme.HTTP), identified(), placed, ways, listener=listener, at=at, run="k")

    (first,) = pod(1)
    (one,) = pod(2)
    assert one.id == first.id
    for found in ("namespace:ml", "cluster:c1", "workload:deployment/iris", "namespace:m*"):
        assert [e.id for e in store.endpoints.list(found)] == [one.id]
    assert store.endpoints.count("-namespace:*") == 0
    assert [store.endpoints.count(f"standing:{word}") for word in ("unknown", "managed", "*")] == [1, 0, 1]
    told = Declared(standing=Standing.BYPASSABLE, why="a node port goes around it", by="Ingress ml/iris")
    listener = Listener(site="kind", address=one.address, port=one.port)
    see(store, told, listener=listener, at=ago(minutes=1), run="k2")
    assert [store.endpoints.count(f"standing:{word}") for word in ("unknown", "bypassable", "by*")] == [0, 1, 1]
    (one,) = store.endpoints.list("standing:bypassable")
    assert store.endpoints.page(order=Order("namespace")).rows == (one,)
    assert store.endpoints.get(one.id).cluster == one.cluster


def test_a_path_found_later_is_the_same_endpoint_until_both_answer(store: Store):
    (rough,) = see(store, DOOR, identified(product=None, kind="ordinary-web", conclusive=False), at=ago(hours=5))
    store.triage.apply([rough.id], owner="ana", who="bo", why="hers")
    (fine,) = see(store, identified(), path="/ml/iris", at=ago(hours=4), run="s2")
    assert (fine.id, fine.owner, fine.base_path) == (rough.id, "ana", "/ml/iris")
    both = see(store, identified(product="streamlit", kind="ml-ui"), at=ago(hours=3), run="s3")
    assert {one.base_path: one.id == rough.id for one in both} == {"/": True, "/ml/iris": False}
    assert store.endpoints.count() == 2


def test_an_application_that_moved_to_another_path_is_recognised_by_its_description(store: Store):
    (old,) = see(store, DOOR, identified(schema_digest="d1"), path="/v1", at=ago(hours=5))
    see(store, DOOR, identified(schema_digest="d1"), path="/v2", at=ago(hours=1), run="s2")
    late = scan(id="s9", started_at=ago(hours=2))
    store.scans.save(late)
    store.endpoints.settle(late, NOW)
    (one,) = store.endpoints.list()
    assert (one.id, one.base_path) == (old.id, "/v2")


def test_what_cannot_be_confirmed_or_split_is_said(store: Store):
    (one,) = see(store, identified())
    for decide in (store.identities.split, lambda *a, **k: store.identities.confirm(*a, None, **k)):
        with pytest.raises(TransitionError, match=r"nothing|no proposal"):
            decide(one.id, who="bo", why="x")
    (two,) = see(store, identified(), listener=THERE, run="s2")
    joined = store.identities.confirm(two.id, one.id, who="bo", why="one process, two addresses")
    assert [place.id for place in joined.places] == [one.id]
    assert fold(store.observations.of(THERE))[0].id == two.id
    assert store.identities.split(two.id, who="bo", why="no").id == two.id
