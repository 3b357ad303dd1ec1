"""How much is known and governed: pure, every metric with its denominator and its freshness.

A metric whose denominator is zero has no percentage: nothing is known, which is not 100 %. Metrics are
sums over facets, so that those of a million endpoints cost what those of a thousand do.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any

from inventory.model import Endpoint, Governance, Kind, Posture, Presence, Routing, Scan, ScanStatus, Scope, Value
from inventory.query import value_of
from inventory.space import is_declared


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


@dataclass(frozen=True)
class Timing:
    """How long something takes: the ``seconds`` of the median of ``count`` cases, None where there are none."""

    name: str
    title: str
    seconds: float | None
    count: int
    why: str


@dataclass(frozen=True)
class Unknown:
    """Something that is known to be unknown, and how much of it there is."""

    what: str
    count: int
    why: str


@dataclass(frozen=True, slots=True)
class Facet:
    """``count`` endpoints that are alike in what metrics ask. ``group`` is what they are counted under."""

    count: int
    kind: Kind | None
    posture: Posture
    presence: Presence
    governance: Governance
    routing: Routing
    owned: bool
    group: str | None = None

    @property
    def is_ml(self) -> bool:
        """Whether it is about machine learning, and so about what is to be governed."""
        return self.kind is not None and self.kind.is_ml

    @property
    def is_governed(self) -> bool:
        """See ``is_governed``."""
        return _governed(self.governance, self.presence, self.routing)


class Standing(Value):
    """One metric at the end of one scan: ``part`` of ``whole``."""

    name: str
    part: int
    whole: int


@dataclass(frozen=True)
class Trend:
    """What the metrics were when a scan of a scope ended."""

    scan: str
    scope: str
    at: datetime
    standings: tuple[Standing, ...]


BEHIND_THE_GATEWAY = frozenset({Routing.ENFORCED, Routing.SEALED})
BYPASS = "governed, but its direct path answered the last scan: callers can go around the gateway"


def coverage(endpoints: Sequence[Endpoint], scans: Sequence[Scan], scopes: Sequence[Scope] = ()) -> Coverage:
    """Coverage of the endpoints that are not gone, by the last finished scan of each scope.

    ``scans`` in any order; running ones do not count. ``scopes`` are those that are authorised: one that no scan has
    ended in counts as not covered. Endpoints that are no part of machine learning count only as identified.
    """
    return Coverage(metrics(facets_of(endpoints), scans, scopes), gaps(endpoints, scans, scopes))


def metrics(facets: Iterable[Facet], scans: Sequence[Scan], scopes: Sequence[Scope] = ()) -> tuple[Metric, ...]:
    """Every metric of some facets, scans and authorised scopes."""
    last = _last_by_scope(scans)
    as_of = min((scan.ended_at for scan in last if scan.ended_at), default=None)
    return (*_reach(last, _unscanned(last, scopes), as_of), *_knowledge(list(facets), as_of))


def gaps(endpoints: Iterable[Endpoint], scans: Sequence[Scan], scopes: Sequence[Scope] = ()) -> tuple[Gap, ...]:
    """What is not covered, the riskiest first: of the endpoints given, and of the last scan of each scope."""
    present = (one for one in endpoints if one.presence is not Presence.GONE)
    ml = [one for one in present if one.kind is not None and one.kind.is_ml]
    last = _last_by_scope(scans)
    return _gaps(last, _unscanned(last, scopes), ml)


def by_group(facets: Iterable[Facet]) -> dict[str | None, tuple[Metric, ...]]:
    """The metrics about endpoints, for each group, by its name; what is in no group comes last."""
    groups: dict[str | None, list[Facet]] = defaultdict(list)
    for facet in facets:
        groups[facet.group].append(facet)
    return {
        group: _knowledge(groups[group], None) for group in sorted(groups, key=lambda name: (name is None, name or ""))
    }


def facets_of(endpoints: Iterable[Endpoint], by: str | None = None) -> list[Facet]:
    """The facets of endpoints, in the groups of a field of the filter grammar."""
    return [
        Facet(1, one.kind, one.posture, one.presence, one.governance, one.routing, one.owner is not None,
              _group(value_of(one, by)) if by else None)
        for one in endpoints
    ]  # fmt: skip


def _group(value: Any) -> str | None:
    return None if value is None else str(value)


def is_governed(endpoint: Endpoint) -> bool:
    """Whether somebody decided about the endpoint, and what was decided holds on the wire.

    Managed is governed only behind the gateway; exempt is governed until its date. An endpoint that
    was blocked or retired, and is still seen, is not.
    """
    return _governed(endpoint.governance, endpoint.presence, endpoint.routing)


def _governed(governance: Governance, presence: Presence, routing: Routing) -> bool:
    if governance is Governance.EXEMPT:
        return True
    if governance in {Governance.BLOCKED, Governance.RETIRED}:
        return presence is Presence.GONE
    return routing in BEHIND_THE_GATEWAY


def time_to_detect(scans: Sequence[Scan]) -> Timing:
    """How long something new can go unseen: until the end of the next complete scan of its scope."""
    by_scope: dict[str, list[Scan]] = defaultdict(list)
    for scan in sorted(scans, key=lambda scan: scan.started_at):
        if scan.status is ScanStatus.COMPLETE and scan.shard is None:
            by_scope[scan.scope].append(scan)
    gaps_ = [
        (later.ended_at - earlier.started_at).total_seconds()
        for its in by_scope.values()
        for earlier, later in pairwise(its)
        if later.ended_at
    ]
    why = "at most: from the start of a complete scan to the end of the next one of its scope, the median"
    return Timing("detect", "time to detect", median(gaps_) if gaps_ else None, len(gaps_), why)


def time_to_govern(seconds: Sequence[float]) -> Timing:
    """From the first sighting of an endpoint to the first decision about it. ``seconds`` of each that was decided."""
    why = "from the first sighting to the first decision, the median of those that were decided"
    return Timing("govern", "time to govern", median(seconds) if seconds else None, len(seconds), why)


def unknowns(
    facets: Iterable[Facet], scans: Sequence[Scan], scopes: Sequence[Scope] = (), *, proposals: int, flags: int
) -> tuple[Unknown, ...]:
    """What is known to be unknown; only what there is any of."""
    present = [one for one in facets if one.presence is not Presence.GONE]
    last = _last_by_scope(scans)
    found = (
        Unknown("blocks with endpoints that no complete scan covered", flags, "what else is there is not known"),
        Unknown("open ports that nothing identified", _sum(present, lambda f: f.kind is None), "they may be anything"),
        Unknown("ML endpoints of unknown posture", _sum(present, lambda f: f.is_ml and f.posture is Posture.UNKNOWN),
                "no request decided whether a stranger may use them"),
        Unknown("ML endpoints that nobody is known to own", _sum(present, lambda f: f.is_ml and not f.owned),
                "there is nobody to ask"),
        Unknown("endpoints whose presence no scan can tell", _sum(present, lambda f: f.presence is Presence.UNKNOWN),
                "no complete scan covers them"),
        Unknown("scopes whose last scan did not end", sum(s.status is not ScanStatus.COMPLETE for s in last),
                "what they missed is not known"),
        Unknown("authorised scopes that no scan has ended in", len(_unscanned(last, scopes)),
                "nothing of what they hold is known"),
        Unknown("probes that were lost", sum(s.account.lost for s in last), "what would have answered is not known"),
        Unknown("probes that met silence", sum(s.account.silent for s in last),
                "a firewall and an empty address look alike"),
        Unknown("identities to confirm", proposals, "two endpoints may be one: gnomon identities"),
    )  # fmt: skip
    return tuple(one for one in found if one.count)


def why_not(endpoint: Endpoint) -> str:
    """Why an endpoint is not governed, or how what governs it can be gone around, in words; empty for neither."""
    if is_governed(endpoint):
        return BYPASS if _may_be_bypassed(endpoint) else ""
    if endpoint.governance in {Governance.BLOCKED, Governance.RETIRED}:
        return f"{endpoint.governance.value}, and still answers"
    if endpoint.routing is Routing.DIRECT:
        reach = "open to strangers" if endpoint.posture is Posture.OPEN else f"posture {endpoint.posture.value}"
        return f"callers reach it directly; {reach}; {endpoint.governance.value}"
    return f"{endpoint.routing.value}, not yet enforced: a part of the live requests still goes to it"


def is_gap(one: Endpoint | Facet) -> bool:
    """Whether what is of machine learning is ungoverned, or governed with an open way around."""
    if one.kind is None or not one.kind.is_ml or one.presence is Presence.GONE:
        return False
    return not _governed(one.governance, one.presence, one.routing) or _may_be_bypassed(one)


def scope_gaps(scans: Sequence[Scan], scopes: Sequence[Scope] = ()) -> tuple[Gap, ...]:
    """The scopes, or parts of them, that their last scans left unknown, the riskiest first."""
    last = _last_by_scope(scans)
    return _gaps(last, _unscanned(last, scopes), [])


def _may_be_bypassed(endpoint: Endpoint | Facet) -> bool:
    return endpoint.routing is Routing.ENFORCED and endpoint.presence is Presence.SEEN


def _last_by_scope(scans: Sequence[Scan]) -> list[Scan]:
    last: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (scan.started_at, scan.id)):
        if scan.status is not ScanStatus.RUNNING:
            last[scan.scope] = scan
    return list(last.values())


def _unscanned(last: list[Scan], scopes: Sequence[Scope]) -> list[Scope]:
    known = {scan.scope for scan in last}
    return [scope for scope in scopes if scope.name not in known]


def _reach(last: list[Scan], unscanned: list[Scope], as_of: datetime | None) -> tuple[Metric, ...]:
    unread = sum(all(map(is_declared, scope.targets)) for scope in unscanned)
    # What registries and clusters declare is read, not probed: it has no ports, and no door.
    doors = [scan for scan in last if scan.ports]
    sources = [scan for scan in last if not scan.ports]
    planned = sum(scan.account.planned - scan.account.excluded for scan in doors)
    accounted = sum(scan.account.answered + scan.account.refused for scan in doors)
    asked = sum(scan.account.probed for scan in doors)
    return (
        Metric(
            "probed", "doors probed", asked, planned, "address-port pairs",
            "of what the last scans planned, less exclusions; what was never scanned has no plan", as_of,
        ),
        Metric(
            "certain", "doors that answered or refused", accounted, planned, "address-port pairs",
            "the rest was silent, lost or never reached, and is unknown", as_of,
        ),
        Metric(
            "complete", "scopes scanned to the end", _complete(doors), len(doors) + len(unscanned) - unread, "scopes",
            "only a complete scan may say that something is gone", as_of,
        ),
        Metric(
            "sources", "sources read to the end", _complete(sources), len(sources) + unread, "registries and clusters",
            "what a source that was not read to the end declares is not known", as_of,
        ),
    )  # fmt: skip


def _complete(scans: list[Scan]) -> int:
    return sum(scan.status is ScanStatus.COMPLETE for scan in scans)


def _sum(facets: Iterable[Facet], holds: Callable[[Facet], bool]) -> int:
    return sum(facet.count for facet in facets if holds(facet))


def _knowledge(facets: list[Facet], as_of: datetime | None) -> tuple[Metric, ...]:
    present = [facet for facet in facets if facet.presence is not Presence.GONE]
    ml = [facet for facet in present if facet.is_ml]
    whole = sum(facet.count for facet in ml)

    def of_ml(name: str, title: str, holds: Callable[[Facet], bool], why: str) -> Metric:
        return Metric(name, title, _sum(ml, holds), whole, "ML endpoints", why, as_of)

    return (
        Metric(
            "identified", "endpoints identified", _sum(present, lambda f: f.kind is not None),
            sum(facet.count for facet in present), "endpoints",
            "the rest is an open port that nothing identified", as_of,
        ),
        of_ml("posture", "posture known", lambda f: f.posture is not Posture.UNKNOWN,
              "open or protected, by a request that decides it"),
        of_ml("owned", "owned", lambda f: f.owned, "a person or team is named"),
        of_ml("reviewed", "reviewed", lambda f: f.governance is not Governance.UNREVIEWED,
              "somebody decided what becomes of it"),
        of_ml("managed", "managed", lambda f: f.governance is Governance.MANAGED,
              "it was decided to keep and govern it"),
        of_ml("fronted", "on the gateway", lambda f: f.routing is not Routing.DIRECT,
              "the gateway has a route for it, acknowledged"),
        of_ml("shadowed", "shadowed", lambda f: f.routing not in {Routing.DIRECT, Routing.FRONTED},
              "a replacement gets copies of its requests, or has begun to take over"),
        of_ml("governed", "governed", lambda f: f.is_governed,
              "all live requests go through the gateway to a managed backend, or exempt until a date"),
        of_ml("sealed", "sealed", lambda f: f.routing is Routing.SEALED,
              "probes show that the direct path is closed"),
    )  # fmt: skip


def _gaps(last: list[Scan], unscanned: list[Scope], ml: list[Endpoint]) -> tuple[Gap, ...]:
    found = [Gap(e.id, e.url, why_not(e), e.risk) for e in ml if is_gap(e)]
    found += [Gap(one.name, f"scope {one.name}", "authorised, and no scan of it has ended", 50) for one in unscanned]
    for scan in last:
        if scan.status is not ScanStatus.COMPLETE:
            found.append(Gap(scan.scope, f"scope {scan.scope}", scan.reason or "its last scan did not finish", 50))
        elif scan.account.lost:
            pairs = f"{scan.account.lost} of {scan.account.planned} probes were lost"
            found.append(Gap(scan.scope, f"scope {scan.scope}", f"{pairs}: what they would have found is unknown", 30))
    return tuple(sorted(found, key=lambda gap: (-gap.risk, gap.title)))
