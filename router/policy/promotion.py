"""The gate before a candidate is enforced: what it must have shown, and what is in the way. Pure."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from inventory.model import PolicyState
from router.policy.impact import Coverage, Impact


class Bar(NamedTuple):
    """What a candidate must have shown before it is enforced: decided calls, hours of them, and known identities."""

    calls: int = 1000
    hours: float = 24.0
    share: float = 0.95


def hindrances(found: Sequence[Impact], covered: Coverage, bar: Bar, accepted: Collection[str]) -> list[str]:
    """Why the candidate must not be enforced yet, a sentence each; without one it may be.

    ``accepted`` are identities whose denial somebody answers for, with ``*`` as a wildcard.
    """
    why: list[str] = []
    if covered.decided < bar.calls:
        why.append(f"it was tried on {covered.decided} calls, and {bar.calls} are asked for")
    share = covered.share
    if share is not None and share < bar.share:
        why.append(
            f"{covered.known} of {covered.identities} identities are known to the policies, "
            f"and {bar.share:.0%} are asked for"
        )
    denied: dict[str, int] = {}
    for one in found:
        if one.what == "would deny" and not any(matches(one, pattern) for pattern in accepted):
            denied[one.identity] = denied.get(one.identity, 0) + one.calls
    if denied:
        most = sorted(denied, key=lambda identity: (-denied[identity], identity))
        others = f" and {len(most) - 3} more" if len(most) > 3 else ""
        who = "identity" if len(most) == 1 else "identities"
        why.append(f"it would deny calls of {len(most)} {who} that nobody accepted: {', '.join(most[:3])}{others}")
    return why


def too_short(since: datetime, now: datetime, bar: Bar) -> list[str]:
    """The same of time: a candidate that has not seen a whole day has not seen the nightly jobs."""
    hours = (now - since).total_seconds() / 3600
    return [f"it was tried for {hours:.1f} hours, and {bar.hours:g} are asked for"] if hours < bar.hours else []


def matches(one: Impact, pattern: str) -> bool:
    """Whether an accepted pattern means the caller of an impact: by id, or as it is shown."""
    shielded = "".join(f"[{sign}]" if sign in "?[" else sign for sign in pattern)
    return any(fnmatchcase(name, shielded) for name in (one.identity, one.principal) if name)


def since_when(changes: Iterable[tuple[datetime, PolicyState, PolicyState]], now: PolicyState) -> datetime | None:
    """Since when the versions are what they are, from the record of changes, newest first; None where it is not known.

    Each change is its moment, and the state before and after.
    """
    since = None
    for at, before, after in changes:
        if _versions(after) != _versions(now):
            break
        since = at
        if _versions(before) != _versions(now):
            break
    return since


def _versions(state: PolicyState) -> tuple[int | None, int | None]:
    return state.enforced, state.candidate
