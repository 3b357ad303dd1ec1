"""Changes of rollouts that the screens make: each writes to the store and knows how to take itself back.

These functions block on the database: a screen calls them in a worker thread.
"""

from inventory.model import Revision, Rollout, RouteSpec, Status, utc_now
from inventory.store import Store
from tui.changes import Edit, StaleError, must_be_latest


def begin(store: Store, revision: Revision, rollout: Rollout, spec: RouteSpec, who: str, why: str) -> Edit:
    """Put a rollout on record, and its route at the first step, from the revision that was looked at.

    Its undo ends the rollout and makes the route what it was. Raises StaleError, LookupError or StoreError.
    """
    must_be_latest(store, revision)
    begun = store.rollouts.begin(rollout, spec, who=who, why=f"a rollout begins: {why}")
    ended = begun.model_copy(update={"status": Status.ABORTED})
    title = f"roll out {rollout.route}"
    return Edit(title, lambda: _swap(store, begun, ended, revision.spec, spec, who, title))


def move(
    store: Store, revision: Revision, before: Rollout, after: Rollout, spec: RouteSpec | None, who: str, title: str
) -> Edit:
    """Make ``after`` of a rollout, and ``spec`` of its route where it is given, from what was looked at.

    Its undo makes the rollout what it was, at a step that has to prove itself anew. Raises StaleError where either
    was changed meanwhile, or StoreError.
    """
    must_be_latest(store, revision)
    moved = _move(store, before, after, spec, who)
    back = revision.spec if spec is not None else None
    return Edit(title, lambda: _swap(store, moved, before, back, spec, who, title))


def _swap(
    store: Store, present: Rollout, wanted: Rollout, spec: RouteSpec | None, back: RouteSpec | None, who: str,
    title: str,
) -> Edit:  # fmt: skip
    """Make a rollout what another state of it was, as a new state, and ``spec`` of its route; ``back`` undoes it.

    It has to stand as it did at ``present``, if by way of other changes that were taken back.
    """
    current = store.rollouts.get(present.route)
    if current is None or _standing(current) != _standing(present):
        raise _went_on(present)
    words = title.removeprefix("undo ") if title.startswith("undo ") else f"undo {title}"
    fresh = {"why": f"{words}, by {who}", "since": utc_now(), "revision": current.revision}
    moved = _move(store, current, wanted.model_copy(update=fresh), spec, who)
    return Edit(words, lambda: _swap(store, moved, present, back, spec, who, words))


def _move(store: Store, before: Rollout, after: Rollout, spec: RouteSpec | None, who: str) -> Rollout:
    moved = store.rollouts.move(before, after, spec, who=who)
    if moved is None:
        raise _went_on(before)
    return moved


def _standing(rollout: Rollout) -> tuple[str, Status, int, int | None]:
    return rollout.id, rollout.status, rollout.position, rollout.approved


def _went_on(rollout: Rollout) -> StaleError:
    return StaleError(f"the rollout of {rollout.route} went on meanwhile: look at it again")
