"""How much is known and governed: pure, every metric with its denominator and its freshness.

A metric whose denominator is zero has no percentage: nothing is known, which is not 100 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from inventory.model import Endpoint, Governance, Posture, Presence, Routing, Scan, ScanStatus


@dataclass(frozen=True)
class Metric:
    """``part`` of ``whole``, in ``unit``. ``as_of`` is the oldest moment that the figure rests on."""

    name: str
    title: str
    part: int
    whole: int
    unit: str
    why: str
    as_of: datetime | None = None

    @property
    def percent(self) -> float | None:
        """0 to 100, or None where there is no denominator."""
        return 100.0 * self.part / self.whole if self.whole else None


@dataclass(frozen=True)
class Gap:
    """An endpoint, or a part of a scope, that is not covered, and why. ``risk`` is 0 to 100."""

    subject: str
    title: str
    why: str
    risk: int


@dataclass(frozen=True)
class Coverage:
    """Everything that ``gnomon coverage`` says."""

    metrics: tuple[Metric, ...]
    gaps: tuple[Gap, ...]


BEHIND_THE_GATEWAY = frozenset({Routing.ENFORCED, Routing.SEALED})
BYPASS = "governed, but its direct path answered the last scan: callers can go around the gateway"


def coverage(endpoints: Sequence[Endpoint], scans: Sequence[Scan]) -> Coverage:
    """Coverage of the endpoints that are not gone, by the last finished scan of each scope.

    ``scans`` in any order; running ones do not count. Endpoints that are no part of machine
    learning count only as identified.
    """
    last = _last_by_scope(scans)
    present = [e for e in endpoints if e.presence is not Presence.GONE]
    ml = [e for e in present if e.kind is not None and e.kind.is_ml]
    as_of = min((scan.ended_at for scan in last if scan.ended_at), default=None)
    return Coverage((*_reach(last, as_of), *_knowledge(present, ml, as_of)), _gaps(last, ml))


def is_governed(endpoint: Endpoint) -> bool:
    """Whether somebody decided about the endpoint, and what was decided holds on the wire.

    Managed is governed only behind the gateway; exempt is governed until its date. An endpoint that
    was blocked or retired, and is still seen, is not.
    """
    if endpoint.governance is Governance.EXEMPT:
        return True
    if endpoint.governance in {Governance.BLOCKED, Governance.RETIRED}:
        return endpoint.presence is Presence.GONE
    return endpoint.routing in BEHIND_THE_GATEWAY


def why_not(endpoint: Endpoint) -> str:
    """Why an endpoint is not governed, in words."""
    if endpoint.governance in {Governance.BLOCKED, Governance.RETIRED}:
        return f"{endpoint.governance.value}, and still answers"
    if endpoint.routing is Routing.DIRECT:
        reach = "open to strangers" if endpoint.posture is Posture.OPEN else f"posture {endpoint.posture.value}"
        return f"callers reach it directly; {reach}; {endpoint.governance.value}"
    return f"{endpoint.routing.value}, not yet enforced: a part of the live requests still goes to it"


def _may_be_bypassed(endpoint: Endpoint) -> bool:
    return endpoint.routing is Routing.ENFORCED and endpoint.presence is Presence.SEEN


def _last_by_scope(scans: Sequence[Scan]) -> list[Scan]:
    last: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (scan.started_at, scan.id)):
        if scan.status is not ScanStatus.RUNNING:
            last[scan.scope] = scan
    return list(last.values())


def _reach(last: list[Scan], as_of: datetime | None) -> tuple[Metric, ...]:
    planned = sum(scan.account.planned - scan.account.excluded for scan in last)
    accounted = sum(scan.account.answered + scan.account.refused for scan in last)
    asked = sum(scan.account.probed for scan in last)
    finished = sum(scan.status is ScanStatus.COMPLETE for scan in last)
    return (
        Metric(
            "probed", "doors probed", asked, planned, "address-port pairs",
            "of what the scopes' last scans planned, less exclusions", as_of,
        ),
        Metric(
            "certain", "doors that answered or refused", accounted, planned, "address-port pairs",
            "the rest was silent, lost or never reached, and is unknown", as_of,
        ),
        Metric(
            "complete", "scopes scanned to the end", finished, len(last), "scopes",
            "only a complete scan may say that something is gone", as_of,
        ),
    )  # fmt: skip


def _knowledge(present: list[Endpoint], ml: list[Endpoint], as_of: datetime | None) -> tuple[Metric, ...]:
    def of_ml(name: str, title: str, part: int, why: str) -> Metric:
        return Metric(name, title, part, len(ml), "ML endpoints", why, as_of)

    return (
        Metric(
            "identified", "endpoints identified", sum(e.kind is not None for e in present), len(present),
            "endpoints", "the rest is an open port that nothing identified", as_of,
        ),
        of_ml("posture", "posture known", sum(e.posture is not Posture.UNKNOWN for e in ml),
              "open or protected, by a request that decides it"),
        of_ml("owned", "owned", sum(e.owner is not None for e in ml), "a person or team is named"),
        of_ml("reviewed", "reviewed", sum(e.governance is not Governance.UNREVIEWED for e in ml),
              "somebody decided what becomes of it"),
        of_ml("fronted", "on the gateway", sum(e.routing is not Routing.DIRECT for e in ml),
              "the gateway has a route for it, acknowledged"),
        of_ml("governed", "governed", sum(is_governed(e) for e in ml),
              "all live requests go through the gateway to a managed backend, or exempt until a date"),
        of_ml("sealed", "sealed", sum(e.routing is Routing.SEALED for e in ml),
              "probes show that the direct path is closed"),
    )  # fmt: skip


def _gaps(last: list[Scan], ml: list[Endpoint]) -> tuple[Gap, ...]:
    gaps = [Gap(e.id, e.url, why_not(e), e.risk) for e in ml if not is_governed(e)]
    gaps += [Gap(e.id, e.url, BYPASS, e.risk) for e in ml if is_governed(e) and _may_be_bypassed(e)]
    for scan in last:
        if scan.status is not ScanStatus.COMPLETE:
            gaps.append(Gap(scan.scope, f"scope {scan.scope}", scan.reason or "its last scan did not finish", 50))
        elif scan.account.lost:
            pairs = f"{scan.account.lost} of {scan.account.planned} probes were lost"
            gaps.append(Gap(scan.scope, f"scope {scan.scope}", f"{pairs}: what they would have found is unknown", 30))
    return tuple(sorted(gaps, key=lambda gap: (-gap.risk, gap.title)))
