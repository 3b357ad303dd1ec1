"""How much an endpoint matters: a sum of reasons, each with its points, so that a person can check it.

The scale is 0 to 100. An endpoint that a stranger can use, that runs code or a model, that no
gateway fronts and nobody owns, is at the top. docs/operators.md lists the weights.
"""

import ipaddress
from datetime import datetime, timedelta

from inventory.advisories import advisories
from inventory.model import Endpoint, Governance, Kind, Posture, Reason, Routing, Scheme

_BY_KIND = {
    Kind.NOTEBOOK: Reason(weight=40, why="a notebook runs any code that is sent to it"),
    Kind.MODEL_ENDPOINT: Reason(weight=30, why="a model answers here: it can leak data, be copied, burn a budget"),
    Kind.ML_PLATFORM: Reason(weight=30, why="a machine-learning platform holds models and data"),
    Kind.ML_UI: Reason(weight=20, why="a user interface in front of a model or its data"),
}
_FROM_OUTSIDE = frozenset({"ingress", "gateway", "load-balancer"})
_LONG_UNREVIEWED = timedelta(days=30)


def assess(endpoint: Endpoint, now: datetime) -> tuple[int, tuple[Reason, ...]]:
    """The risk of an endpoint, 0 to 100, and its reasons, heaviest first.

    What is not about machine learning has no risk here: it is another team's inventory.
    """
    if endpoint.kind is None:
        return 5, (Reason(weight=5, why="an open port that nothing identified"),)
    if not endpoint.kind.is_ml:
        return 0, ()
    reasons = [_BY_KIND[endpoint.kind], *_exposure(endpoint), *_ways(endpoint), *_age(endpoint, now)]
    reasons += [*_version(endpoint), *_people(endpoint, now)]
    reasons.sort(key=lambda reason: (-reason.weight, reason.why))
    return max(0, min(100, sum(reason.weight for reason in reasons))), tuple(reasons)


def milestones(endpoint: Endpoint) -> tuple[datetime, ...]:
    """The moments at which an endpoint's reasons change by time alone."""
    if endpoint.kind is None or not endpoint.kind.is_ml:
        return ()
    instant = timedelta(microseconds=1)
    moments = [] if endpoint.tls_expires is None else [endpoint.tls_expires + instant]
    if endpoint.governance is Governance.UNREVIEWED:
        moments.append(endpoint.first_seen + _LONG_UNREVIEWED + instant)
    return tuple(moments)


def _exposure(endpoint: Endpoint) -> list[Reason]:
    reasons = []
    if endpoint.posture is Posture.OPEN:
        reasons.append(Reason(weight=25, why="it answers strangers: no credentials were asked for"))
    elif endpoint.posture is Posture.UNKNOWN:
        reasons.append(Reason(weight=10, why="whether it asks for credentials is not known"))
    if endpoint.routing is Routing.DIRECT:
        reasons.append(Reason(weight=10, why="callers reach it directly, outside the gateway"))
    elif endpoint.routing is not Routing.SEALED:
        reasons.append(Reason(weight=5, why="the gateway fronts it, but its direct path is not shown to be closed"))
    if endpoint.scheme is Scheme.HTTP:
        reasons.append(Reason(weight=5, why="requests and answers cross the network in the clear"))
    if _is_public(endpoint.address):
        reasons.append(Reason(weight=20, why="its address is public"))
    return reasons


def _ways(endpoint: Endpoint) -> list[Reason]:
    """How far from outside its cluster it can be reached: the widest way counts."""
    ways = {exposure.via for exposure in endpoint.exposures}
    if ways & _FROM_OUTSIDE:
        return [Reason(weight=10, why="an ingress, gateway host or load balancer leads to it from outside its cluster")]
    if "node-port" in ways:
        return [Reason(weight=5, why="a port of every node of its cluster leads to it")]
    return []


def _age(endpoint: Endpoint, now: datetime) -> list[Reason]:
    if endpoint.tls_expires is not None and endpoint.tls_expires < now:
        return [Reason(weight=5, why="its certificate has expired: callers have learnt to accept any")]
    return []


def _version(endpoint: Endpoint) -> list[Reason]:
    known = advisories(endpoint.product, endpoint.version)
    if not known:
        return []
    names = ", ".join(one.name for one in known)
    why = f"version {endpoint.version} {known[0].what} ({names}): {known[0].mended} mends it"
    return [Reason(weight=15, why=why)]


def _people(endpoint: Endpoint, now: datetime) -> list[Reason]:
    reasons = []
    if endpoint.owner is None:
        reasons.append(Reason(weight=10, why="nobody is known to own it"))
    if endpoint.governance is Governance.UNREVIEWED:
        reasons.append(Reason(weight=5, why="nobody has reviewed it"))
        if now - endpoint.first_seen > _LONG_UNREVIEWED:
            reasons.append(Reason(weight=5, why="unreviewed for more than 30 days"))
    elif endpoint.governance is Governance.RETIRED:
        reasons.append(Reason(weight=15, why="it was retired, and still answers"))
    elif endpoint.governance is Governance.EXEMPT:
        reasons.append(Reason(weight=-15, why="exempt for now, with a reason on record"))
    return reasons


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        # A name inside a cluster that leads nowhere.
        return False
