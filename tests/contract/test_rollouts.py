"""Rollouts in the store, on SQLite and on PostgreSQL: a step is taken whole, once, by one."""

import threading
from collections.abc import Iterator

import pytest
from making import NOW, route

from inventory.model import Gate, Rollout, Stage, Status, Step, Watch
from inventory.store import Store, open_store

STEPS = (
    Step(stage=Stage.FRONT),
    Step(stage=Stage.SHADOW, percent=10),
    Step(stage=Stage.SPLIT, percent=100, gate=Gate()),
    Step(stage=Stage.DONE),
)
SPEC = route("iris")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with open_store(database_url) as opened:
        opened.routes.put(SPEC, who="ana", why="adopted")
        yield opened


def begin(store: Store, rollout_id: str = "one") -> Rollout:
    made = Rollout(id=rollout_id, route="iris", incumbent="origin", candidate="replacement", steps=STEPS, since=NOW)
    return store.rollouts.begin(made, SPEC, who="ana", why="let it begin")


def next_of(rollout: Rollout, **changes: object) -> Rollout:
    return rollout.model_copy(update={"position": rollout.position + 1, "why": "the gate is open", **changes})


def test_a_step_is_a_revision_a_position_and_a_record_at_once(store: Store):
    begun = begin(store)
    assert (begun.revision, begun.version, store.rollouts.active()) == (2, 1, [begun])
    moved = store.rollouts.move(begun, next_of(begun), SPEC, who="gnomon")
    assert moved is not None
    assert (moved.position, moved.revision, moved.version) == (1, 3, 2)
    assert store.rollouts.get("iris") == moved
    latest = store.routes.get("iris")
    assert latest is not None
    assert (latest.number, latest.who, latest.why) == (3, "gnomon", "the gate is open")
    newest, oldest = store.rollouts.transitions("iris")
    assert (newest.before, newest.after, newest.revision, newest.why) == ("front", "shadow 10%", 3, "the gate is open")
    assert (oldest.before, oldest.after, oldest.who) == ("", "front", "ana")
    assert [change.action for change in store.changes.list("route:iris")][:2] == ["rollout", "route"]


def test_who_decided_on_what_is_no_longer_so_changes_nothing(store: Store):
    begun = begin(store)
    moved = store.rollouts.move(begun, next_of(begun), SPEC, who="gnomon")
    assert moved is not None
    assert store.rollouts.move(begun, next_of(begun), SPEC, who="gnomon") is None
    store.routes.put(SPEC, who="bo", why="by hand")
    assert store.rollouts.move(moved, next_of(moved), SPEC, who="gnomon") is None
    store.routes.remove("iris", who="bo", why="off")
    assert store.rollouts.move(moved, next_of(moved), SPEC, who="gnomon") is None
    assert store.rollouts.get("iris") == moved
    assert [one.number for one in store.routes.history("iris")] == [5, 4, 3, 2, 1]


def test_one_rollout_at_a_time(store: Store):
    begun = begin(store)
    with pytest.raises(LookupError, match="is running at front"):
        begin(store, "two")
    assert [one.number for one in store.routes.history("iris")] == [2, 1]
    store.rollouts.move(begun, begun.model_copy(update={"status": Status.ABORTED, "why": "no"}), None, who="ana")
    assert store.rollouts.active() == []
    assert begin(store, "two").id == "two"


def test_of_many_who_take_a_step_at_once_one_does(database_url: str, store: Store):
    begun = begin(store)
    taken: list[Rollout | None] = []

    def take() -> None:
        with open_store(database_url) as mine:
            taken.append(mine.rollouts.move(begun, next_of(begun), SPEC, who="gnomon"))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([one for one in taken if one is not None]) == 1
    assert [one.number for one in store.routes.history("iris")] == [3, 2, 1]
    assert len(store.rollouts.transitions("iris")) == 2


def test_a_watch_wakes_nobody(store: Store):
    begun, before = begin(store), store.version()
    watch = Watch(rollout=begun.id, position=0, since=NOW, verdict="hold: no pair yet")
    store.rollouts.save_watch("iris", watch)
    assert (store.rollouts.watch("iris"), store.version()) == (watch, before)
