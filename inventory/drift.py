"""What runs against what is declared: pure. Shadow, zombie, orphan, ghost and bypass, as named lists.

Missing evidence is a list of its own: what no scan could have seen is unseen, never a ghost, and where a source
was not read to the end, what it might declare is not called a shadow for certain.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inventory.counterparts import Match, Matching, match, socket_of
from inventory.model import (
    Declaration,
    DeclarationKind,
    DeclarationState,
    Endpoint,
    Governance,
    Presence,
    Registered,
    Routing,
    Ruling,
    Scan,
    ScanStatus,
    Standing,
)


class Drift(StrEnum):
    """The named lists."""

    SHADOW = "shadow"
    ZOMBIE = "zombie"
    ORPHAN = "orphan"
    GHOST = "ghost"
    BYPASS = "bypass"
    UNSEEN = "unseen"


MEANING = {
    Drift.SHADOW: "it runs, and nothing that was read declares it",
    Drift.ZOMBIE: "it was retired, and still answers",
    Drift.ORPHAN: "nobody is known to own it",
    Drift.GHOST: "it is declared, and complete scans of its place do not see it",
    Drift.BYPASS: "a gateway leads to it, and it still answers beside the gateway",
    Drift.UNSEEN: "it is declared, and no complete scan covered its place",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list. ``subject`` is an endpoint's or a declaration's id, ``title`` what a person reads.

    ``since`` is when the thing itself was first seen or declared. ``sure`` is False where a source that could
    change the verdict was not read to the end.
    """

    drift: Drift
    subject: str
    title: str
    owner: str | None
    since: datetime
    why: str
    risk: int = 0
    sure: bool = True


@dataclass(frozen=True)
class Report:
    """The lists, what is proposed for confirmation, and the sources that were not read to the end, with the reason."""

    items: tuple[Item, ...]
    proposals: tuple[Match, ...]
    incomplete: tuple[str, ...]
    sources: int


def drift(
    endpoints: Iterable[Endpoint], registered: Iterable[Registered], rulings: Iterable[Ruling], scans: Iterable[Scan]
) -> Report:
    """The lists, the riskiest first. ``scans`` in any order."""
    all_scans = list(scans)
    kept = [one for one in registered if one.withdrawn_at is None]
    first_seen = {one.declaration.id: one.first_seen for one in kept}
    known = list(endpoints)
    matching = match([one.declaration for one in kept], known, rulings)
    incomplete = _incomplete(all_scans, {one.declaration.scope for one in kept})
    items = [item for endpoint in known for item in _of_running(endpoint, matching, sure=not incomplete)]
    complete = [scan for scan in all_scans if scan.status is ScanStatus.COMPLETE]
    for one in kept:
        absent = _of_declared(one.declaration, matching, complete, first_seen[one.declaration.id])
        items += [absent] if absent else []
    order = list(Drift)
    items.sort(key=lambda item: (order.index(item.drift), -item.risk, item.title))
    sources = len({one.declaration.source for one in kept})
    return Report(tuple(items), matching.proposals, incomplete, sources)


def _incomplete(scans: list[Scan], declaring: set[str]) -> tuple[str, ...]:
    """The scopes whose declarations were not read to the end the last time. A scan without ports reads declarations."""
    last: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (scan.started_at, scan.id)):
        if scan.status is not ScanStatus.RUNNING and (scan.scope in declaring or not scan.ports):
            last[scan.scope] = scan
    return tuple(
        f"{scope}: {scan.reason or scan.status.value}"
        for scope, scan in sorted(last.items())
        if scan.status is not ScanStatus.COMPLETE
    )


def _of_running(endpoint: Endpoint, matching: Matching, *, sure: bool) -> Iterable[Item]:
    standing = endpoint.cluster.standing if endpoint.cluster else None
    if standing is Standing.GHOST:
        yield _by_cluster(Drift.GHOST, endpoint, endpoint.owner)
        return
    if endpoint.kind is None or not endpoint.kind.is_ml or endpoint.presence is not Presence.SEEN:
        return
    matches = matching.of_endpoint.get(endpoint.id, [])
    active = [one for one in matches if one.declaration.state is DeclarationState.ACTIVE]
    owner = endpoint.owner or next((one.declaration.owner for one in matches if one.declaration.owner), None)

    def item(kind: Drift, why: str, *, certain: bool = True) -> Item:
        return Item(kind, endpoint.id, endpoint.url, owner, endpoint.first_seen, why, endpoint.risk, certain)

    retired = [one for one in matches if one.declaration.state is DeclarationState.RETIRED]
    declared_there = standing in {Standing.MANAGED, Standing.BYPASSABLE}
    if endpoint.governance is Governance.RETIRED:
        yield item(Drift.ZOMBIE, "it was retired here, and still answers")
    elif standing is Standing.ZOMBIE:
        yield _by_cluster(Drift.ZOMBIE, endpoint, owner)
    elif retired and not active:
        yield item(Drift.ZOMBIE, f"{_named(retired[0].declaration)} is retired, and it still answers", certain=sure)
    elif not active and not declared_there and _is_nobodys(endpoint):
        yield item(Drift.SHADOW, MEANING[Drift.SHADOW], certain=sure)
    if owner is None:
        yield item(Drift.ORPHAN, MEANING[Drift.ORPHAN], certain=sure)
    if why := _bypass(endpoint, active):
        yield item(Drift.BYPASS, why)


def _is_nobodys(endpoint: Endpoint) -> bool:
    """Whether neither a person nor gnomon's own gateway has anything to do with it."""
    return endpoint.routing is Routing.DIRECT and endpoint.governance is Governance.UNREVIEWED


def _by_cluster(kind: Drift, endpoint: Endpoint, owner: str | None) -> Item:
    """What the cluster's own objects say of a workload."""
    assert endpoint.cluster is not None
    place = endpoint.cluster
    return Item(kind, endpoint.id, str(place.workload), owner, endpoint.first_seen, place.why, endpoint.risk)


def _bypass(endpoint: Endpoint, active: Sequence[Match]) -> str | None:
    if endpoint.routing in {Routing.ENFORCED, Routing.SPLIT}:
        return "gnomon's own gateway leads to it, and its own address answered the last scan"
    if endpoint.cluster is not None and endpoint.cluster.standing is Standing.BYPASSABLE:
        return endpoint.cluster.why
    if endpoint.routing is Routing.SEALED:
        # A scan from the gateway's own machine reaches it all the same: trials from elsewhere do not.
        return None
    for one in active:
        if one.declaration.kind is DeclarationKind.ROUTE and _lies_beside(endpoint, one.declaration):
            return f"{_named(one.declaration)} leads to it, and its own address answered the last scan"
    return None


def _lies_beside(endpoint: Endpoint, route: Declaration) -> bool:
    """Whether the address that answered is another one than the gateway's."""
    return (endpoint.address, endpoint.port) not in {socket_of(url) for url in route.urls}


def _of_declared(declaration: Declaration, matching: Matching, complete: list[Scan], since: datetime) -> Item | None:
    """A ghost or an unseen one; None for what is matched, and for a model, which need not be served at all."""
    if declaration.kind is DeclarationKind.MODEL or declaration.state is DeclarationState.RETIRED:
        return None
    matches = matching.of_declaration.get(declaration.id, [])
    if any(one.endpoint.presence is Presence.SEEN for one in matches):
        return None
    title = _named(declaration)

    def item(kind: Drift, why: str) -> Item:
        return Item(kind, declaration.id, title, declaration.owner, since, why)

    if matches:
        last = max(matches, key=lambda one: one.endpoint.last_seen).endpoint
        if last.presence in {Presence.GONE, Presence.STALE}:
            return item(
                Drift.GHOST, f"{last.url} is {last.presence.value}: last seen {last.last_seen:%Y-%m-%d %H:%M} UTC"
            )
        return item(Drift.UNSEEN, f"whether {last.url} is still there is unknown")
    places = [socket for text in (*declaration.places, *declaration.running) if (socket := _numeric(text))]
    if not places:
        return item(Drift.UNSEEN, "it names no address, and no running endpoint bears its name")
    if not all(any(scan.site == declaration.site and scan.covers(*place) for scan in complete) for place in places):
        return item(Drift.UNSEEN, MEANING[Drift.UNSEEN])
    where = ", ".join(f"{host}:{port}" for host, port in dict.fromkeys(places))
    return item(Drift.GHOST, f"nothing is at {where}, by a complete scan")


def _numeric(text: str) -> tuple[str, int] | None:
    """The socket that a text names by an address; None for one with a name."""
    socket = socket_of(text)
    if socket is None:
        return None
    try:
        ipaddress.ip_address(socket[0])
    except ValueError:
        return None
    return socket


def _named(declaration: Declaration) -> str:
    version = f" {declaration.model_version}" if declaration.model_version else ""
    return f"{declaration.name}{version} of {declaration.source}"
