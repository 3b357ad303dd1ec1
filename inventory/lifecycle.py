"""Which transitions are allowed, and why not: pure.

Three axes that never mix: presence is what scans show, governance what people decide, routing what
gateways have.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from inventory.model import Governance, Presence, Scan, ScanStatus, Triage


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


def presence(
    address: str,
    port: int,
    last_seen: datetime,
    scans: Iterable[Scan],
    *,
    now: datetime,
    stale_after: timedelta,
    gone_after_scans: int,
) -> Presence:
    """Whether a listener is there, from the complete scans that should have seen it.

    A scan that was cut short, or that never covered the listener, proves nothing. No complete scan
    at all makes it unknown, unless it was seen within ``stale_after``.
    """
    covering = [scan for scan in scans if scan.covers(address, port)]
    return by_scans(last_seen, covering, now=now, stale_after=stale_after, gone_after_scans=gone_after_scans)


def by_scans(
    last_seen: datetime, covering: Iterable[Scan], *, now: datetime, stale_after: timedelta, gone_after_scans: int
) -> Presence:
    """Presence by the scans that should have seen something, of which only complete ones count."""
    complete = [scan for scan in covering if scan.status is ScanStatus.COMPLETE]
    missed = sum(scan.started_at > last_seen for scan in complete)
    if missed >= gone_after_scans:
        return Presence.GONE
    if missed:
        return Presence.STALE
    if now - last_seen <= stale_after:
        return Presence.SEEN
    return Presence.STALE if complete else Presence.UNKNOWN
