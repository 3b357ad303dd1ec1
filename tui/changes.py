"""Changes that the screens make: each writes to the store and knows how to take itself back.

These functions block on the database: a screen calls them in a worker thread.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inventory.lifecycle import in_force
from inventory.model import Governance, Revision, RouteSpec, Triage, utc_now
from inventory.store import Store


class StaleError(ValueError):
    """What the change was based on is no longer so. Its text is one sentence for a person."""


@dataclass(frozen=True)
class Edit:
    """A change that was made. ``inverse`` makes the opposite change, as a new one, and returns it."""

    title: str
    inverse: "Callable[[], Edit]"


@dataclass(frozen=True)
class Decision:
    """What to decide about endpoints. None leaves a part as it is; an ``owner`` of "" takes it away."""

    title: str
    why: str
    governance: Governance | None = None
    exempt_until: datetime | None = None
    owner: str | None = None


def triage(store: Store, ids: Sequence[str], decision: Decision, who: str) -> Edit:
    """Decide about endpoints, all or none. Raises TransitionError, LookupError or StoreError."""
    before = [store.triage.get(endpoint_id) for endpoint_id in ids]
    _apply(store, ids, decision, who)

    def take_back() -> Edit:
        for state, its in _by_state(before).items():
            back = Decision(f"undo {decision.title}", f"undo: {decision.why}", *state)
            _apply(store, its, back, who)
        return Edit(f"undo {decision.title}", lambda: triage(store, ids, decision, who))

    return Edit(decision.title, take_back)


def _apply(store: Store, ids: Sequence[str], decision: Decision, who: str) -> None:
    store.triage.apply(
        ids, governance=decision.governance, exempt_until=decision.exempt_until, owner=decision.owner, who=who,
        why=decision.why,
    )  # fmt: skip


State = tuple[Governance, datetime | None, str]


def _by_state(before: Sequence[Triage]) -> dict[State, list[str]]:
    """Endpoints by what had been decided about them; an exemption that has ended meanwhile stays ended."""
    groups: dict[State, list[str]] = defaultdict(list)
    now = utc_now()
    for state in before:
        governance = in_force(state, now)
        end = state.exempt_until if governance is Governance.EXEMPT else None
        groups[governance, end, state.owner or ""].append(state.endpoint)
    return groups


def adopt(store: Store, spec: RouteSpec, endpoint_id: str, who: str, why: str) -> Edit:
    """Make a route for an endpoint and have the endpoint managed. Raises StaleError, LookupError or StoreError."""
    latest = store.routes.get(spec.name)
    if latest is not None and latest.spec is not None:
        raise StaleError(f"the route {spec.name} was made meanwhile by {latest.who}: choose another name")
    before = store.triage.get(endpoint_id)
    title = f"adopt {spec.name}"
    made = store.routes.put(spec, who=who, why=why)
    managed = triage(store, [endpoint_id], Decision(title, why, Governance.MANAGED), who)

    def take_back() -> Edit:
        release(store, made, who, f"undo: {why}")
        if before.governance is not Governance.MANAGED:
            managed.inverse()
        return Edit(f"undo {title}", lambda: adopt(store, spec, endpoint_id, who, why))

    return Edit(title, take_back)


def route(store: Store, revision: Revision, spec: RouteSpec, who: str, why: str, *, title: str) -> Edit:
    """Make another specification of a route the desired one, from the revision that was looked at.

    Raises StaleError where somebody changed the route meanwhile, ValueError or StoreError.
    """
    must_be_latest(store, revision)
    made = store.routes.put(spec, who=who, why=why)
    return Edit(title, lambda: _restore(store, made, revision, who))


def release(store: Store, revision: Revision, who: str, why: str) -> Edit:
    """Take a route off the gateway, from the revision that was looked at. Raises StaleError or StoreError."""
    must_be_latest(store, revision)
    gone = store.routes.remove(revision.route, who=who, why=why)
    return Edit(f"release {revision.route}", lambda: _restore(store, gone, revision, who))


def _restore(store: Store, latest: Revision, wanted: Revision, who: str) -> Edit:
    """Make an earlier revision the desired one, as a new revision; that there be no route, where it was that."""
    must_be_latest(store, latest)
    why = f"back to revision {wanted.number}: undo of {latest.number}"
    if wanted.spec is None:
        made = store.routes.remove(wanted.route, who=who, why=why)
    else:
        made = store.routes.put(wanted.spec, who=who, why=why)
    return Edit(f"{wanted.route} back to r{wanted.number}", lambda: _restore(store, made, latest, who))


def must_be_latest(store: Store, revision: Revision) -> None:
    """Raises StaleError where somebody changed the route since that revision."""
    latest = store.routes.get(revision.route)
    if latest is None or latest.number != revision.number:
        by = f" by {latest.who}" if latest else ""
        raise StaleError(f"the route {revision.route} was changed meanwhile{by}: look at it again")
