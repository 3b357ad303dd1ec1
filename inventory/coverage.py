"""How much is known and governed: pure, every metric with its denominator and its freshness.

A metric whose denominator is zero has no percentage: nothing is known, which is not 100 %.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from inventory.model import Endpoint, Governance, Kind, Posture, Presence, Routing, Scan, ScanStatus


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


class Traits(NamedTuple):
    """What coverage asks of an endpoint. Endpoints of the same traits are counted together."""

    kind: Kind | None
    posture: Posture
    presence: Presence
    governance: Governance
    routing: Routing
    owned: bool

    @property
    def is_ml(self) -> bool:
        """Whether it belongs to machine learning."""
        return self.kind is not None and self.kind.is_ml


Tally = Mapping[Traits, int]
"""How many endpoints there are of each combination of traits."""


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
    ml = [e for e in endpoints if e.presence is not Presence.GONE and e.kind is not None and e.kind.is_ml]
    return Coverage(metrics(Counter(traits_of(e) for e in endpoints), scans), _gaps(_last_by_scope(scans), ml))


def metrics(tally: Tally, scans: Sequence[Scan]) -> tuple[Metric, ...]:
    """The metrics from counts alone, so that they cost the same for a hundred thousand endpoints."""
    last = _last_by_scope(scans)
    as_of = min((scan.ended_at for scan in last if scan.ended_at), default=None)
    return (*_reach(last, as_of), *_knowledge(tally, as_of))


def scope_gaps(scans: Sequence[Scan]) -> tuple[Gap, ...]:
    """The parts of scopes that their last scans left unknown, riskiest first."""
    return _gaps(_last_by_scope(scans), [])


def traits_of(endpoint: Endpoint) -> Traits:
    """The traits of one endpoint."""
    return Traits(
        endpoint.kind, endpoint.posture, endpoint.presence, endpoint.governance, endpoint.routing,
        endpoint.owner is not None,
    )  # fmt: skip


def is_governed(endpoint: Endpoint | Traits) -> bool:
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
    """Why an endpoint is not governed, or is and can be gone around, in words."""
    if is_governed(endpoint):
        return BYPASS if _may_be_bypassed(endpoint) else "governed"
    if endpoint.governance in {Governance.BLOCKED, Governance.RETIRED}:
        return f"{endpoint.governance.value}, and still answers"
    if endpoint.routing is Routing.DIRECT:
        reach = "open to strangers" if endpoint.posture is Posture.OPEN else f"posture {endpoint.posture.value}"
        return f"callers reach it directly; {reach}; {endpoint.governance.value}"
    return f"{endpoint.routing.value}, not yet enforced: a part of the live requests still goes to it"


def is_gap(endpoint: Endpoint | Traits) -> bool:
    """Whether an endpoint of machine learning is ungoverned, or governed with an open way around."""
    if endpoint.kind is None or not endpoint.kind.is_ml or endpoint.presence is Presence.GONE:
        return False
    return not is_governed(endpoint) or _may_be_bypassed(endpoint)


def _may_be_bypassed(endpoint: Endpoint | Traits) -> bool:
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


def _knowledge(tally: Tally, as_of: datetime | None) -> tuple[Metric, ...]:
    present = {traits: count for traits, count in tally.items() if traits.presence is not Presence.GONE}
    ml = {traits: count for traits, count in present.items() if traits.is_ml}

    def of(whole: Tally, holds: Callable[[Traits], bool]) -> int:
        return sum(count for traits, count in whole.items() if holds(traits))

    def of_ml(name: str, title: str, holds: Callable[[Traits], bool], why: str) -> Metric:
        return Metric(name, title, of(ml, holds), sum(ml.values()), "ML endpoints", why, as_of)

    return (
        Metric(
            "identified", "endpoints identified", of(present, lambda t: t.kind is not None), sum(present.values()),
            "endpoints", "the rest is an open port that nothing identified", as_of,
        ),
        of_ml("posture", "posture known", lambda t: t.posture is not Posture.UNKNOWN,
              "open or protected, by a request that decides it"),
        of_ml("owned", "owned", lambda t: t.owned, "a person or team is named"),
        of_ml("reviewed", "reviewed", lambda t: t.governance is not Governance.UNREVIEWED,
              "somebody decided what becomes of it"),
        of_ml("fronted", "on the gateway", lambda t: t.routing is not Routing.DIRECT,
              "the gateway has a route for it, acknowledged"),
        of_ml("governed", "governed", is_governed,
              "all live requests go through the gateway to a managed backend, or exempt until a date"),
        of_ml("sealed", "sealed", lambda t: t.routing is Routing.SEALED,
              "probes show that the direct path is closed"),
    )  # fmt: skip


def _gaps(last: list[Scan], ml: list[Endpoint]) -> tuple[Gap, ...]:
    gaps = [Gap(e.id, e.url, why_not(e), e.risk) for e in ml if is_gap(e)]
    for scan in last:
        if scan.status is not ScanStatus.COMPLETE:
            gaps.append(Gap(scan.scope, f"scope {scan.scope}", scan.reason or "its last scan did not finish", 50))
        elif scan.account.lost:
            pairs = f"{scan.account.lost} of {scan.account.planned} probes were lost"
            gaps.append(Gap(scan.scope, f"scope {scan.scope}", f"{pairs}: what they would have found is unknown", 30))
    return tuple(sorted(gaps, key=lambda gap: (-gap.risk, gap.title)))
