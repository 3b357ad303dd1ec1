"""Which transitions are allowed, and why not: pure.

Three axes that never mix: presence is what scans show, governance what people decide, routing what
gateways have.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from inventory.model import Endpoint, Governance, Presence, Scan, ScanStatus, Triage
from inventory.risk import milestones
from inventory.settings import Settings

_INSTANT: Final = timedelta(microseconds=1)


class TransitionError(ValueError):
    """A transition that is not allowed. Its text says why, in one sentence."""


def decide(triage: Triage, to: Governance, *, until: datetime | None, why: str, now: datetime) -> Triage:
    """The triage after a decision.

    Every decision needs a reason; an exemption needs a date in the future, and nothing else may
    have one. Raises TransitionError.
    """
    if not why.strip():
        raise TransitionError("a decision needs a reason: say why")
    if to is Governance.EXEMPT:
        if until is None:
            raise TransitionError("an exemption needs the date on which it ends")
        if until <= now:
            raise TransitionError(f"an exemption ends in the future, and {until:%Y-%m-%d %H:%M} UTC is past")
    elif until is not None:
        raise TransitionError(f"only an exemption has an end date, not {to.value!r}")
    return triage.model_copy(update={"governance": to, "exempt_until": until})


def in_force(triage: Triage, now: datetime) -> Governance:
    """The governance that holds now: an exemption whose date has passed is unreviewed again."""
    if triage.governance is Governance.EXEMPT and (triage.exempt_until is None or triage.exempt_until <= now):
        return Governance.UNREVIEWED
    return triage.governance


@dataclass(frozen=True)
class PresenceRule:
    """When an endpoint that is not seen is stale, and when it is gone: each has an age and a count of its own.

    ``stale_after`` without a sighting, or one complete scan that missed it, makes it stale.
    ``gone_after_scans`` complete scans that missed it make it gone, once ``gone_after`` has passed since
    it was seen.
    """

    stale_after: timedelta
    gone_after: timedelta
    gone_after_scans: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The rule that the settings give."""
        return cls(
            timedelta(seconds=settings.stale_after), timedelta(seconds=settings.gone_after), settings.gone_after_scans
        )


def presence(endpoint: Endpoint, scans: Iterable[Scan], now: datetime, rule: PresenceRule) -> Presence:
    """Whether an endpoint is there: in a cluster by the end of its pods, else by the scans that should have seen it.

    A scan that was cut short, or that never covered it, proves nothing. No complete scan at all makes it
    unknown, unless it was seen within the rule's ``stale_after``. Scans are meant to miss what is sealed: of that, only
    the trials of its seal tell, and later nothing does.
    """
    if endpoint.cluster is not None and endpoint.cluster.ended is not None:
        return Presence.GONE
    if endpoint.sealed_at is not None:
        return by_scans(_known_alive(endpoint), (), coverer(endpoint), now, rule)
    return by_scans(endpoint.last_seen, scans, coverer(endpoint), now, rule)


def _known_alive(endpoint: Endpoint) -> datetime:
    """When an endpoint was last seen, or answered through the gateway while it was shown to be sealed."""
    return max(endpoint.last_seen, endpoint.sealed_at or endpoint.last_seen)


def coverer(endpoint: Endpoint) -> Callable[[Scan], bool]:
    """What tells whether a scan should have seen an endpoint. Pods move: only scans of their cluster tell."""
    if endpoint.cluster is not None:
        workload = endpoint.cluster.workload
        return lambda scan: scan.covers_namespace(workload.cluster, workload.namespace)
    return lambda scan: scan.covers(endpoint.address, endpoint.port)


def by_scans(
    last_seen: datetime, scans: Iterable[Scan], covers: Callable[[Scan], bool], now: datetime, rule: PresenceRule
) -> Presence:
    """Presence by the complete scans that cover something which was seen last at a moment."""
    complete = [scan for scan in scans if scan.status is ScanStatus.COMPLETE]
    # Whether a scan is late enough costs far less to see than whether it covered the listener.
    missed = sum(scan.started_at > last_seen and covers(scan) for scan in complete)
    if missed >= rule.gone_after_scans and now - last_seen >= rule.gone_after:
        return Presence.GONE
    if missed:
        return Presence.STALE
    if now - last_seen <= rule.stale_after:
        return Presence.SEEN
    return Presence.STALE if any(covers(scan) for scan in complete) else Presence.UNKNOWN


def next_change(endpoint: Endpoint, rule: PresenceRule, now: datetime) -> datetime | None:
    """The next moment at which time alone changes what is said of an endpoint; None where it never will."""
    moments = [*milestones(endpoint)]
    if endpoint.presence is Presence.SEEN:
        moments.append(_known_alive(endpoint) + rule.stale_after + _INSTANT)
    elif endpoint.presence is Presence.STALE:
        moments.append(endpoint.last_seen + rule.gone_after)
    if endpoint.exempt_until is not None:
        moments.append(endpoint.exempt_until)
    return min((moment for moment in moments if moment > now), default=None)
