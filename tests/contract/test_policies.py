"""Policies in the store, on SQLite and on PostgreSQL: versions are appended, and one decides at a time."""

import threading
from collections.abc import Iterator

import pytest

from inventory.model import PolicyState
from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        yield opened


def test_versions_are_numbered_and_stay_as_they_were(store: Store):
    assert store.policies.list() == []
    first = store.policies.add("cedar", "permit(principal, action, resource);", "", who="ana", why="begin")
    second = store.policies.add("rego", "package gnomon", "", who="bo", why="try the other")
    assert (first.number, second.number) == (1, 2)
    assert store.policies.list() == [second, first]
    assert store.policies.get(1) == first
    assert store.policies.get(3) is None
    change = store.changes.list("policies")[-1]
    assert (change.action, change.who, change.why, change.after) == ("policy set", "ana", "begin", "version 1 in cedar")


def test_a_version_counts_only_once_somebody_says_so(store: Store):
    added = store.policies.add("cedar", "", "", who="ana", why="begin")
    nothing = store.policies.state()
    assert nothing == PolicyState()
    tried = store.policies.move(nothing, PolicyState(candidate=added.number), who="ana", why="try it")
    assert tried == PolicyState(candidate=1, version=1)
    held = store.policies.move(tried, tried.model_copy(update={"percent": 10}), who="bo", why="some")
    assert held == store.policies.state() == PolicyState(candidate=1, percent=10, version=2)
    assert store.policies.states() == [held, tried]
    newest = store.changes.list("policies")[0]
    assert (newest.action, newest.who, newest.why) == ("policy", "bo", "some")
    assert (newest.before, newest.after) == (tried.model_dump_json(), held.model_dump_json())


def test_who_decided_on_what_is_no_longer_so_changes_nothing(store: Store):
    store.policies.add("cedar", "", "", who="ana", why="begin")
    nothing = store.policies.state()
    moved = store.policies.move(nothing, PolicyState(enforced=1), who="ana", why="on")
    assert store.policies.move(nothing, PolicyState(candidate=1), who="bo", why="late") is None
    assert store.policies.state() == moved


def test_a_version_that_there_is_not_cannot_count(store: Store):
    with pytest.raises(LookupError, match="no version 7 of the policies"):
        store.policies.move(PolicyState(), PolicyState(enforced=7), who="ana", why="oops")
    assert store.policies.states() == []
    assert store.changes.list("policies") == []


def test_of_many_who_decide_at_once_one_does(database_url: str, store: Store):
    store.policies.add("cedar", "", "", who="ana", why="begin")
    nothing = store.policies.state()
    decided: list[PolicyState | None] = []

    def decide() -> None:
        with open_store(database_url) as own:
            decided.append(own.policies.move(nothing, PolicyState(enforced=1), who="ana", why="on"))

    threads = [threading.Thread(target=decide) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one is not None for one in decided) == 1
    assert store.policies.state().version == 1
