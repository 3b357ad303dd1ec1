"""What is in force, read from a real store as it changes."""

import logging

import pytest
from calling import Groups

from inventory.model import Access, Backend, PolicySet, PolicyState, RouteSpec
from inventory.store import Store
from router.audit.force import Watched
from router.errors import RouteError


class Loader:
    """Reads a text as teams, and counts how often."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __call__(self, version: PolicySet) -> Groups:
        self.loaded.append(version.number)
        if "broken" in version.text:
            raise RouteError("no policy")
        return Groups(*version.text.split())


def add(store: Store, text: str, **which: int) -> None:
    store.policies.add("cedar", text, "", who="ana", why="test")
    before = store.policies.state()
    after = PolicyState(**{"enforced": before.enforced, "candidate": before.candidate} | which)
    assert store.policies.move(before, after, who="ana", why="test") is not None


def test_engines_are_read_once_and_answers_forgotten_only_for_a_reason(store: Store) -> None:
    backend = Backend(name="main", url="http://127.0.0.1:1", weight=100)
    spec = RouteSpec(name="churn", hosts=("churn.localhost",), backends=(backend,), access=Access(ask="open"))
    load = Loader()
    watched = Watched(store, load, dict, dict)
    assert watched()[:3] == ((None, None, 0, 0), None, None)
    add(store, "churn", enforced=1)
    add(store, "churn risk", candidate=2)
    first = watched()
    assert isinstance(first.enforced, Groups)
    assert isinstance(first.candidate, Groups)
    assert (first.enforced.allowed, first.candidate.allowed) == (("churn",), ("churn", "risk"))
    assert watched() is first
    store.routes.put(spec, who="ana", why="asks")
    second = watched()
    assert second.version != first.version
    assert second.routes[spec.name].ask == "open"
    store.views.save("mine", "kind:notebook", who="ana")
    assert watched().version == second.version
    assert load.loaded == [1, 2]


def test_a_version_that_cannot_be_read_decides_nothing_and_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(store, Loader(), dict, dict)
    add(store, "broken", enforced=1)
    with caplog.at_level(logging.ERROR):
        assert watched().enforced is None
        add(store, "churn", candidate=2)
        assert watched().candidate is not None
    assert caplog.messages == ["version 1 of the policies decides nothing in the record: no policy"]
