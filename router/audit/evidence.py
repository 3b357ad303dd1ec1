"""What the record says of the candidate policies, read from the store in one go."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from inventory.calls import Recording
from inventory.model import Access, PolicySet, PolicyState
from inventory.store import Store
from router.policy import PolicyEngine
from router.policy.impact import Coverage, Impact, coverage, diff, impacts, known_of, looks_at_requests, merged, windows
from router.policy.promotion import Bar, hindrances, since_when, too_short

Load = Callable[[PolicySet], PolicyEngine]
"""``router.policy.engines.load``; it raises PolicyError for a text that is none."""

DAYS = 7
"""How far back is looked where nobody says."""

SUBJECT = "policies"
"""The subject of the changes that say which versions count."""


class Evidence(NamedTuple):
    """What is known of the versions that count, from calls since ``since``; ``tried`` is since when they do.

    ``recordings`` tell what is not in the record: calls that were lost, and what still waits.
    """

    state: PolicyState
    since: datetime
    tried: datetime | None
    coverage: Coverage
    impacts: tuple[Impact, ...]
    recordings: tuple[Recording, ...]


class Shown(NamedTuple):
    """What other policies would have done. ``per_request`` calls are of routes whose requests are each asked about.

    These were judged without their size, path, network and purpose, where ``blind``: the policies look at those.
    """

    since: datetime
    coverage: Coverage
    impacts: tuple[Impact, ...]
    per_request: int
    blind: bool


def evidence(store: Store, load: Load | None, now: datetime, at_most: timedelta = timedelta(days=DAYS)) -> Evidence:
    """What the candidate would do, from the calls since it is one, and no longer than ``at_most``. StoreError.

    Calls that were recorded under another candidate say nothing of this one. Without ``load``, what the policies look
    at is not known. PolicyError where a version cannot be read.
    """
    state = store.policies.state()
    tried = tried_since(store, state)
    since = max(now - at_most, tried or now - at_most)
    tallies = store.calls.tallies(since=since)
    known = known_of(store.principals.list())
    return Evidence(
        state,
        since,
        tried,
        coverage(tallies, known, None if load is None else mentions_of(store, state, load)),
        tuple(impacts(tallies)) if state.candidate is not None else (),
        tuple(store.calls.recordings()),
    )


def tried_since(store: Store, state: PolicyState) -> datetime | None:
    """Since when the versions that count do, by the record of changes."""
    changes = (one for one in store.changes.list(subject=SUBJECT, limit=1000) if one.action == "policy")
    return since_when(
        (
            (one.at, PolicyState.model_validate_json(one.before or "{}"), PolicyState.model_validate_json(one.after))
            for one in changes
            if one.after
        ),
        state,
    )


def mentions_of(store: Store, state: PolicyState, load: Load) -> frozenset[str] | None:
    """What the enforced and the candidate version look at; None where that cannot be told. PolicyError."""
    found: frozenset[str] = frozenset()
    for number in (state.enforced, state.candidate):
        version = None if number is None else store.policies.get(number)
        if version is not None:
            mentions = load(version).mentions()
            if mentions is None:
                return None
            found |= mentions
    return found


def against(found: Evidence, now: datetime, accepted: Collection[str] = ()) -> list[str]:
    """Why the candidate must not be enforced yet, a sentence each; without one it may be.

    ``accepted`` are identities whose denial somebody answers for, with ``*`` as a wildcard.
    """
    if found.state.candidate is None:
        return ["there is no candidate"]
    bar = Bar()
    return [*too_short(found.tried or now, now, bar), *hindrances(found.impacts, found.coverage, bar, accepted)]


def show(store: Store, load: Load, version: PolicySet, since: datetime, until: datetime) -> Shown:
    """What a version that may be none of the store's would have done to the calls of a time. PolicyError, StoreError.

    It is compared with the enforced version, whatever was enforced when the calls were made.
    """
    after, enforced = load(version), store.policies.state().enforced
    kept = None if enforced is None else store.policies.get(enforced)
    before = None if kept is None else load(kept)
    known, routes = known_of(store.principals.list()), access_of(store)
    mentions = [one.mentions() for one in (after, before) if one is not None]
    found: list[Impact] = []
    for start, end in windows(since, until, mentions):
        found += diff(store.calls.tallies(since=start, until=end), known, routes, before, after)
    tallies = store.calls.tallies(since=since, until=until)
    per_request = sum(one.calls for one in tallies if one.route in routes and routes[one.route].ask != "never")
    blind = any(looks_at_requests(one) for one in mentions)
    covered = coverage(tallies, known, after.mentions())
    return Shown(since, covered._replace(decided=covered.calls), tuple(merged(found)), per_request, blind)


def access_of(store: Store) -> dict[str, Access]:
    """What callers are held to, by route; routes that hold them to nothing are not among them."""
    return {one.route: one.spec.access for one in store.routes.list() if one.spec is not None and one.spec.access}
