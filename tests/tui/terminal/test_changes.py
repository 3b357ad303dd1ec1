"""Changes on a real store: made, taken back, made again, and refused where the ground has moved."""

from datetime import timedelta

import pytest

from inventory.lifecycle import TransitionError
from inventory.model import Governance, Revision, utc_now
from inventory.store import Store
from router import desired
from tui import changes


def exempt(days: int = 30) -> changes.Decision:
    return changes.Decision("exempt", "a workshop", Governance.EXEMPT, utc_now() + timedelta(days=days))


def test_a_decision_is_taken_back_and_made_again_as_new_changes(store: Store) -> None:
    ids = [e.id for e in store.endpoints.list("kind:model-endpoint")]
    store.triage.apply(ids[:1], owner="bob", who="bob", why="mine")
    edit = changes.triage(store, ids, exempt(), "mara")
    assert {store.triage.get(i).governance for i in ids} == {Governance.EXEMPT}
    again = edit.inverse()
    assert {store.triage.get(i).governance for i in ids} == {Governance.UNREVIEWED}
    assert [store.triage.get(i).owner for i in ids] == ["bob", *[None] * (len(ids) - 1)]
    again.inverse()
    assert {store.triage.get(i).governance for i in ids} == {Governance.EXEMPT}
    whys = [change.why for change in store.changes.list(ids[0])]
    assert whys == ["a workshop", "undo: a workshop", "a workshop", "mine"]


def test_an_owner_that_was_not_there_is_taken_away_again(store: Store) -> None:
    endpoint = store.endpoints.list()[0]
    edit = changes.triage(store, [endpoint.id], changes.Decision("own", "asked", owner="ana"), "mara")
    assert store.endpoints.get(endpoint.id).owner == "ana"
    edit.inverse()
    assert store.endpoints.get(endpoint.id).owner is None


def test_a_decision_about_several_is_all_or_none(store: Store) -> None:
    endpoint = store.endpoints.list()[0]
    with pytest.raises(LookupError):
        changes.triage(store, [endpoint.id, "nobody"], exempt(), "mara")
    with pytest.raises(TransitionError):
        changes.triage(store, [endpoint.id], exempt(days=-1), "mara")
    assert store.endpoints.get(endpoint.id).governance is Governance.UNREVIEWED


def shift(store: Store, revision: Revision, managed: int, who: str = "mara") -> changes.Edit:
    after = desired.shift(revision.spec, {"origin": 100 - managed, "managed": managed})
    return changes.route(store, revision, after, who, "the shadow agrees", title="shift churn")


def weights(store: Store) -> list[int]:
    return [backend.weight for backend in store.routes.get("churn").spec.backends]


def test_a_shift_is_a_new_revision_and_so_is_its_undo(store: Store) -> None:
    revision = store.routes.get("churn")
    edit = shift(store, revision, 50)
    assert weights(store) == [50, 50]
    back = edit.inverse()
    latest = store.routes.get("churn")
    assert latest.number == 3
    assert latest.spec == revision.spec
    back.inverse()
    assert weights(store) == [50, 50]
    assert len(store.routes.history("churn")) == 4


def test_what_somebody_else_changed_is_not_overwritten(store: Store) -> None:
    revision = store.routes.get("churn")
    edit = shift(store, revision, 50)
    with pytest.raises(changes.StaleError, match="changed meanwhile by mara"):
        shift(store, revision, 90, "bob")
    store.routes.put(revision.spec, who="ana", why="no")
    with pytest.raises(changes.StaleError, match="changed meanwhile by ana"):
        edit.inverse()
    assert store.routes.get("churn").who == "ana"


def test_an_adoption_is_a_route_and_a_decision_and_its_undo_takes_both_back(store: Store) -> None:
    endpoint = store.endpoints.list("kind:notebook")[0]
    spec = desired.adopt(endpoint, name="lab-notebook", domain="localhost")
    edit = changes.adopt(store, spec, endpoint.id, "mara", "before the audit")
    assert store.routes.get("lab-notebook").spec == spec
    assert store.triage.get(endpoint.id).governance is Governance.MANAGED
    back = edit.inverse()
    assert store.routes.get("lab-notebook").spec is None
    assert store.triage.get(endpoint.id).governance is Governance.UNREVIEWED
    again = back.inverse()
    assert store.routes.get("lab-notebook").spec == spec
    store.routes.put(spec.model_copy(update={"timeout_seconds": 9}), who="ana", why="slow")
    with pytest.raises(changes.StaleError, match="changed meanwhile by ana"):
        again.inverse()
    assert store.triage.get(endpoint.id).governance is Governance.MANAGED


def test_a_name_that_somebody_took_meanwhile_is_not_overwritten(store: Store) -> None:
    endpoint = store.endpoints.list("kind:notebook")[0]
    spec = desired.adopt(endpoint, name="churn", domain="localhost")
    with pytest.raises(changes.StaleError, match="made meanwhile by mara"):
        changes.adopt(store, spec, endpoint.id, "bob", "mine")
    assert store.triage.get(endpoint.id).governance is Governance.UNREVIEWED


def test_a_release_is_undone_by_the_same_route_again(store: Store) -> None:
    revision = store.routes.get("churn")
    edit = changes.release(store, revision, "mara", "the model is gone")
    assert store.routes.get("churn").spec is None
    back = edit.inverse()
    assert store.routes.get("churn").spec == revision.spec
    back.inverse()
    assert store.routes.get("churn").spec is None
