"""Who would be affected by other policies, from calls that were made: before anybody is. Pure.

The record holds what both versions say of each call; from that ``impacts`` tells whom the candidate would refuse, and
``coverage`` how much of the traffic that is worth. ``diff`` asks the same of policies that were never a candidate, by
deciding anew for each caller and route that there was. What has to be shown before a candidate is enforced is in
``promotion``.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from inventory.calls import Tally
from inventory.model import Access, Attribute, Decision, Principal
from router.policy import PolicyEngine, Question
from router.policy.effective import TIME, context_at, needs_request

What = Literal["would deny", "let through", "would limit", "would allow"]
"""``let through``: the enforced version denies what a route that does not enforce it has served all the same."""

Attributes = Mapping[str, Mapping[str, Attribute]]
"""What is known of callers, by id."""

_OF_TIME = frozenset(f"context.{name}" for name in TIME)
_PRINCIPAL = "principal."
NOBODY_SPOKE = "no policy permits it"
ALLOWED = Decision(allowed=True)
"""What holds where there is no enforced version."""


class Impact(NamedTuple):
    """One caller's calls of one route that would be treated otherwise, and by what."""

    what: What
    identity: str
    principal: str
    route: str
    reason: str
    calls: int
    first_at: datetime
    last_at: datetime


class Unknown(NamedTuple):
    """A caller of whom the policies ask what nobody has told; of anonymous ones, everything."""

    identity: str
    principal: str
    missing: tuple[str, ...]
    calls: int


class Coverage(NamedTuple):
    """How much a judgement rests on. ``decided`` of ``calls`` were judged by the candidate.

    ``identities`` are the callers that were seen, ``known`` those of whom everything is known that the policies ask;
    ``unknown`` and ``anonymous`` are the others, the most frequent first. Anonymous callers are no identities.
    """

    identities: int
    known: int
    calls: int
    decided: int
    anonymous_calls: int
    unknown: tuple[Unknown, ...] = ()
    anonymous: tuple[Unknown, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of the identities that are known, 0 to 1; None where nobody was seen."""
        return self.known / self.identities if self.identities else None


def identity_of(tally: Tally) -> str:
    """How a caller is named to a person. Anonymous ones by network and client, so that their owner can be found."""
    return tally.principal or f"anonymous {tally.network or '?'} {tally.client or '?'}"


def impacts(tallies: Iterable[Tally]) -> list[Impact]:
    """What the candidate version and the candidate limits would change, by caller, route and reason.

    Calls that a token, a limit or the authorisation service refused were never up to a policy, and are left out.
    """
    found: list[Impact] = []
    for one in tallies:
        if one.refused_by in {"token", "limit", "service"}:
            continue
        what = _change(one.enforced or ALLOWED, one.candidate)
        if what is not None and one.candidate is not None:
            found.append(_impact(one, what, _because(what, one.enforced, one.candidate), one.calls))
        if not one.refused_by:
            if _let_through(one) and one.enforced is not None:
                found.append(_impact(one, "let through", _because("would deny", None, one.enforced), one.calls))
            found += [_impact(one, "would limit", f"over the limit by {by}", one.calls) for by in _words(one.over)]
    return merged(found)


def merged(found: Iterable[Impact]) -> list[Impact]:
    """Impacts that are alike as one, the most frequent first; denials come before the rest."""
    together: dict[tuple[str, ...], Impact] = {}
    for one in found:
        key = one.what, one.identity, one.route, one.reason
        other = together.get(key)
        together[key] = one if other is None else one._replace(
            calls=one.calls + other.calls,
            first_at=min(one.first_at, other.first_at),
            last_at=max(one.last_at, other.last_at),
        )  # fmt: skip
    order: dict[What, int] = {"would deny": 0, "let through": 1, "would limit": 2, "would allow": 3}
    return sorted(together.values(), key=lambda one: (order[one.what], -one.calls, one.identity, one.route))


def coverage(tallies: Sequence[Tally], principals: Attributes, mentions: frozenset[str] | None) -> Coverage:
    """How many of the callers seen are known to the policies, which look at ``mentions``.

    A caller is known who is named, or of whom any of the attributes is told that the policies ask for: each of them
    may well be one that only some have. Where it cannot be told what they look at (None), anything known will do.
    """
    wanted = None if mentions is None else sorted(
        name.removeprefix(_PRINCIPAL) for name in mentions if name.startswith(_PRINCIPAL)
    )  # fmt: skip
    by: dict[tuple[str, str], int] = {}
    for one in tallies:
        key = identity_of(one), one.principal
        by[key] = by.get(key, 0) + one.calls
    by_name = {name.partition("=")[2] for name in mentions or () if name.startswith("principal=")}
    named = [
        Unknown(
            identity, principal, () if principal in by_name else missing(principals.get(principal, {}), wanted), calls
        )
        for (identity, principal), calls in by.items()
        if principal
    ]
    anonymous = [Unknown(identity, "", (), calls) for (identity, principal), calls in by.items() if not principal]
    unknown = [one for one in named if one.missing]
    return Coverage(
        identities=len(named),
        known=len(named) - len(unknown),
        calls=sum(by.values()),
        decided=sum(one.calls for one in tallies if one.candidate is not None),
        anonymous_calls=sum(one.calls for one in anonymous),
        unknown=_most_first(unknown),
        anonymous=_most_first(anonymous),
    )


def missing(attributes: Mapping[str, Attribute], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes that the policies ask for, where nobody has told any of them."""
    if wanted is None:
        return () if attributes else ("any attribute",)
    return () if any(name in attributes for name in wanted) else tuple(wanted)


def windows(
    since: datetime, until: datetime, mentions: Iterable[frozenset[str] | None]
) -> list[tuple[datetime, datetime]]:
    """The stretches of time in each of which the policies decide alike: hours where they look at the time."""
    if not any(names is None or names & _OF_TIME for names in mentions):
        return [(since, until)]
    hour, found = timedelta(hours=1), []
    at = since
    while at < until:
        end = min(at.replace(minute=0, second=0, microsecond=0) + hour, until)
        found.append((at, end))
        at = end
    return found


def looks_at_requests(mentions: frozenset[str] | None) -> bool:
    """Whether policies look at what is known only of a single request, which the record cannot be asked about."""
    return mentions is None or bool(needs_request(mentions))


def diff(
    tallies: Iterable[Tally],
    principals: Attributes,
    routes: Mapping[str, Access],
    before: PolicyEngine | None,
    after: PolicyEngine,
) -> list[Impact]:
    """What other policies would have done to calls that were made, by caller, route and reason.

    Both versions decide by what is known of callers and routes now, each caller and route once, at the time of the
    first of its calls. Without ``before``, everything was allowed.
    """
    calls: dict[tuple[str, str, str], Tally] = {}
    for one in tallies:
        if one.refused_by in {"token", "limit", "service"}:
            continue
        key = identity_of(one), one.principal, one.route
        other = calls.get(key)
        calls[key] = one if other is None else one._replace(
            calls=one.calls + other.calls,
            first_at=min(one.first_at, other.first_at),
            last_at=max(one.last_at, other.last_at),
        )  # fmt: skip
    asked = list(calls.values())
    questions = [_question(one, principals, routes) for one in asked]
    old = [ALLOWED] * len(asked) if before is None else before.decide(questions)
    found = []
    for one, was, is_ in zip(asked, old, after.decide(questions), strict=True):
        what = _change(was, is_)
        if what is not None:
            found.append(_impact(one, what, _because(what, was, is_), one.calls))
    return merged(found)


def known_of(principals: Iterable[Principal]) -> dict[str, Mapping[str, Attribute]]:
    """What is known of callers, by id."""
    return {one.id: one.attributes for one in principals}


def _question(one: Tally, principals: Attributes, routes: Mapping[str, Access]) -> Question:
    context = context_at(one.first_at)
    access = routes.get(one.route)
    return Question(
        one.principal, principals.get(one.principal, {}), one.route, access.attributes if access else {}, context
    )


def _change(enforced: Decision, candidate: Decision | None) -> What | None:
    if candidate is None or candidate.allowed == enforced.allowed:
        return None
    return "would allow" if candidate.allowed else "would deny"


def _let_through(one: Tally) -> bool:
    """Whether a call was served that no version allows; a caller who is held to the candidate has its word."""
    return one.enforced is not None and not any(each.allowed for each in (one.enforced, one.candidate) if each)


def _because(what: What, enforced: Decision | None, candidate: Decision) -> str:
    """The policies that make the difference: what denies, or else that nothing permits."""
    if what == "would allow":
        return f"by {', '.join(candidate.policies)}" if candidate.policies else "nothing forbids it any more"
    if candidate.errors:
        return f"cannot be evaluated: {candidate.errors[0]}"
    if candidate.policies:
        return f"by {', '.join(candidate.policies)}"
    lost = ", ".join(enforced.policies) if enforced and enforced.policies else ""
    return f"{NOBODY_SPOKE}, as {lost} does" if lost else NOBODY_SPOKE


def _impact(one: Tally, what: What, reason: str, calls: int) -> Impact:
    return Impact(what, identity_of(one), one.principal, one.route, reason, calls, one.first_at, one.last_at)


def _words(over: str) -> list[str]:
    return over.split(",") if over else []


def _most_first(found: list[Unknown]) -> tuple[Unknown, ...]:
    return tuple(sorted(found, key=lambda one: (-one.calls, one.identity)))
