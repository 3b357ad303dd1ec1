"""Seals, on every database: what trials change of an endpoint, and what they leave alone."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from making import LISTENER, NOW, identified, observation, scan

from inventory.model import Control, Direct, Endpoint, Path, Presence, Routing, Seal, Tried, Verdict
from inventory.store import Store, open_store

PATH = Path(via="address", host=LISTENER.address, port=LISTENER.port)
WEEK = timedelta(days=7)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def found(store: Store) -> Endpoint:
    store.observations.append([observation(identified())])
    (one,) = store.endpoints.refold([LISTENER], NOW)
    store.endpoints.set_routing(one.id, Routing.FRONTED)
    return store.endpoints.get(one.id)


def trial(endpoint: str, verdict: Verdict, **parts: object) -> Seal:
    did = Direct.OPEN if verdict is Verdict.BYPASS else Direct.REFUSED
    defaults = {
        "endpoint": endpoint, "route": "iris", "at": NOW, "who": "ana", "why": "asked", "vantage": "desk",
        "verdict": verdict, "reason": "as it is", "tried": (Tried(path=PATH, did=did, words="did", source="10.0.0.9"),),
        "control": Control(address="10.0.0.1:8780", host="iris.localhost", status=200),
    }  # fmt: skip
    return Seal.model_validate(defaults | parts)


def test_trials_come_back_as_they_were_the_latest_first(store: Store, found: Endpoint):
    kept = [store.seals.put(trial(found.id, verdict), Routing.FRONTED) for verdict in Verdict]
    assert [one.number for one in kept] == sorted(one.number for one in kept)
    assert store.seals.of(found.id) == store.seals.of_route("iris") == kept[::-1]
    assert store.seals.of("other") == store.seals.of_route("other") == []
    with pytest.raises(LookupError, match="no endpoint"):
        store.seals.put(trial("none", Verdict.SEALED), Routing.FRONTED)


@pytest.mark.parametrize("before", [None, Verdict.SEALED])
@pytest.mark.parametrize("verdict", Verdict)
def test_what_a_trial_changes(store: Store, found: Endpoint, before: Verdict | None, verdict: Verdict):
    if before:
        store.seals.put(trial(found.id, before), Routing.FRONTED)
    store.seals.put(trial(found.id, verdict), Routing.SPLIT)
    one = store.endpoints.get(found.id)
    if verdict is Verdict.SEALED or (before and verdict is Verdict.UNPROVED):
        expected = (Routing.SEALED, NOW)
    elif verdict is Verdict.BYPASS and before:
        expected = (Routing.SPLIT, None)
    else:
        expected = (Routing.FRONTED, None)
    assert (one.routing, one.sealed_at) == expected
    actions = [change.action for change in store.changes.list(subject=found.id)]
    assert actions == (["unseal"] if expected[0] is Routing.SPLIT else []) + ["seal"] * (
        before is not None or verdict is Verdict.SEALED
    )


def test_a_seal_outlives_folds_and_every_stage_but_not_its_route(store: Store, found: Endpoint):
    store.seals.put(trial(found.id, Verdict.SEALED), Routing.FRONTED)
    store.observations.append([observation(identified(version="2"), scan="s2")])
    (folded,) = store.endpoints.refold([LISTENER], NOW)
    assert (folded.routing, folded.sealed_at) == (Routing.SEALED, NOW)
    for stage in (Routing.FRONTED, Routing.SHADOWED, Routing.SPLIT, Routing.ENFORCED):
        store.endpoints.set_routing(found.id, stage)
        assert store.endpoints.get(found.id).routing is Routing.SEALED
    assert [one.endpoint for one in store.seals.in_force()] == [found.id]
    store.endpoints.set_routing(found.id, Routing.DIRECT)
    one = store.endpoints.get(found.id)
    assert (one.routing, one.sealed_at) == (Routing.DIRECT, None)
    assert store.seals.in_force() == []


def test_scans_are_meant_to_miss_what_is_sealed(store: Store, found: Endpoint):
    store.seals.put(trial(found.id, Verdict.SEALED, at=NOW + WEEK), Routing.FRONTED)
    for number in (1, 2, 3):
        later = NOW + timedelta(days=number)
        missed = scan(id=f"later{number}", started_at=later, ended_at=later)
        store.scans.save(missed)
        store.endpoints.settle(missed, NOW + WEEK)
    assert store.endpoints.get(found.id).presence is Presence.SEEN
    # Once the seal is as old as a sighting may be, nothing tells any more: that is unknown, not gone.
    store.endpoints.renew(NOW + 3 * WEEK)
    assert store.endpoints.get(found.id).presence is Presence.UNKNOWN
    # Without the seal, the scans that missed it count again.
    store.seals.put(trial(found.id, Verdict.BYPASS, at=NOW + 3 * WEEK), Routing.FRONTED)
    assert store.endpoints.get(found.id).presence is Presence.GONE
