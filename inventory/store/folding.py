"""How rows of endpoints come from observations, links, decisions and scans, inside one transaction.

A listener's observations fold into its places. Places that links join are one endpoint. Over that lie
presence, what people decided, and what gateways reported.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.changes import Happening
from inventory.fold import fold_all
from inventory.lifecycle import PresenceRule, by_scans, in_force, next_change, presence
from inventory.matching import join
from inventory.model import Endpoint, Governance, Listener, Presence, Scan, ScanStatus, Triage
from inventory.risk import assess
from inventory.store.database import batches
from inventory.store.events import append
from inventory.store.links import groups, on_listeners, remove
from inventory.store.observations import observations_of
from inventory.store.placements import with_neighbours
from inventory.store.recognition import link_at_once, recognise, told, void_links
from inventory.store.rows import (
    BATCH,
    TABLE,
    Due,
    Known,
    OnListener,
    by_ids,
    forget,
    keep,
    known_of,
    rows_on,
    unbury,
)  # fmt: skip
from inventory.store.tables import ScanRow, TriageRow

SCANS_CONSIDERED: Final = 200

Endpoints = list[Endpoint]
Places = dict[str, Endpoint]


def refold(session: Session, listeners: Iterable[Listener], rule: PresenceRule, now: datetime) -> Endpoints:
    """Fold the observations of some listeners again, and keep the endpoints that come of it. Returns those."""
    wanted = list(dict.fromkeys(listeners))
    if not wanted:
        return []
    near, placed = with_neighbours(session, wanted)
    folded, workloads = fold_all(wanted, observations_of(session, near), placed)
    places = {one.id: one for one in folded}
    rows = rows_on(session, near)
    link_at_once(session, wanted, rows, places, now)
    for one in void_links(on_listeners(session, wanted), places):
        remove(session, one)
        append(session, [told(places[one.place], one.endpoint, Happening.SPLIT, ("both paths answer",), now)])
    joined, endpoint_of = _joined(session, wanted, places)
    lost = _replaced(rows, set(wanted), workloads) - {one.id for one in joined}
    forget(session, {id_: endpoint_of.get(id_) for id_ in lost}, "its place belongs to another endpoint", now)
    known = known_of(session, [one.id for one in joined])
    finished = _laid_over_all(session, joined, known, rule, now)
    unbury(session, [one.id for one in finished if one.id not in known])
    keep(session, due(finished, rule, now), now, known)
    return finished


def as_folded(session: Session, listeners: Iterable[Listener], rule: PresenceRule, now: datetime) -> Endpoints:
    """What ``refold`` would keep of some listeners, with the links that there are. It writes nothing."""
    wanted = list(dict.fromkeys(listeners))
    near, placed = with_neighbours(session, wanted)
    folded, _ = fold_all(wanted, observations_of(session, near), placed)
    joined, _ = _joined(session, wanted, {one.id: one for one in folded})
    return _laid_over_all(session, joined, known_of(session, [one.id for one in joined]), rule, now)


def _joined(session: Session, wanted: Sequence[Listener], places: Places) -> tuple[Endpoints, dict[str, str]]:
    """The endpoints that the places come to by their links, and which endpoint each linked place is."""
    endpoint_of, places = _with_siblings(session, wanted, places)
    grouped: dict[str, list[Endpoint]] = {}
    for place_id, one in places.items():
        grouped.setdefault(endpoint_of.get(place_id, place_id), []).append(one)
    joined = [its[0] if its[0].id == id_ and len(its) == 1 else join(id_, its) for id_, its in grouped.items()]
    return joined, endpoint_of


def _laid_over_all(
    session: Session, endpoints: Endpoints, known: Mapping[str, Known], rule: PresenceRule, now: datetime
) -> Endpoints:
    scans = complete_scans(session, {one.site for one in endpoints})
    routed = [
        one.model_copy(update={"routing": known[one.id].routing, "sealed_at": known[one.id].sealed_at})
        if one.id in known else one
        for one in endpoints
    ]  # fmt: skip
    present = [laid_over(one, scans[one.site], rule, now) for one in routed]
    return finish(session, present, now)


def _replaced(rows: Mapping[str, OnListener], wanted: set[Listener], workloads: frozenset[str]) -> set[str]:
    """The rows that a fold of some listeners and workloads stands for, whether it brings them back or not."""
    return {
        id_
        for id_, row in rows.items()
        if (row.listener in wanted if row.workload is None else row.workload in workloads)
    }


def _with_siblings(session: Session, wanted: Sequence[Listener], places: Places) -> tuple[dict[str, str], Places]:
    """Which endpoint each linked place is, with the places of the same endpoints on other listeners folded too."""
    touching = [one for one in on_listeners(session, wanted) if one.state.joined]
    if not touching:
        return {}, places
    members = [one for its in groups(session, [one.endpoint for one in touching]).values() for one in its]
    here = set(wanted)
    others = [one for one in dict.fromkeys(one.listener for one in members) if one not in here]
    # A listener of a sibling may hold other applications too, which are nobody's concern here.
    of_group = {one.place for one in members}
    folded, _ = fold_all(others, observations_of(session, others))
    elsewhere = {one.id: one for one in folded if one.id in of_group}
    return {one.place: one.endpoint for one in members}, places | elsewhere


def laid_over(one: Endpoint, scans: Sequence[Scan], rule: PresenceRule, now: datetime) -> Endpoint:
    """A fold whose routing is known, with presence laid over it."""
    return one.model_copy(update={"presence": presence(one, scans, now, rule)})


def due(endpoints: Iterable[Endpoint], rule: PresenceRule, now: datetime) -> Iterable[Due]:
    """Endpoints with the moment at which each is to be looked at again."""
    return (Due(one, next_change(one, rule, now)) for one in endpoints)


def to_settle(session: Session, scan: Scan, rule: PresenceRule, now: datetime) -> list[str]:
    """The endpoints of which an ended scan, or time, changes the presence. It only reads, and looks at every row."""
    columns = (TABLE.c.id, TABLE.c.address, TABLE.c.port, TABLE.c.cluster, TABLE.c.namespace, TABLE.c.last_seen)
    scans = complete_scans(session, {scan.site})[scan.site]
    rows = session.connection().execute(
        sa_select(*columns, TABLE.c.presence).where(TABLE.c.site == scan.site).execution_options(yield_per=BATCH)
    )
    moved = []
    for endpoint_id, address, port, cluster, namespace, last_seen, was in rows:
        covers = partial(_covers, address=address, port=port, cluster=cluster, namespace=namespace)
        # What ended by the word of its cluster is gone whatever scans see.
        ended = cluster is not None and was == Presence.GONE
        if not ended and covers(scan) and by_scans(last_seen, scans, covers, now, rule) != was:
            moved.append(endpoint_id)
    return moved


def _covers(scan: Scan, *, address: str, port: int, cluster: str | None, namespace: str | None) -> bool:
    if cluster is not None and namespace is not None:
        return scan.covers_namespace(cluster, namespace)
    return scan.covers(address, port)


def settle(session: Session, scan: Scan, moved: Sequence[str], rule: PresenceRule, now: datetime) -> None:
    """Work out what changed presence, and what time changed; then which of what is new is what is missed."""
    overdue = list(session.connection().execute(sa_select(TABLE.c.id).where(TABLE.c.due_at <= now)).scalars())
    renew(session, dict.fromkeys([*moved, *overdue]), rule, now)
    if scan.status is ScanStatus.COMPLETE:
        refold(session, recognise(session, scan, set(moved), now), rule, now)


def renew(session: Session, ids: Iterable[str], rule: PresenceRule, now: datetime) -> None:
    """Work out again what is laid over the fold of some endpoints."""
    for batch in batches(ids, BATCH):
        known = by_ids(session, batch).values()
        scans = complete_scans(session, {one.site for one in known})
        present = [laid_over(one, scans[one.site], rule, now) for one in known]
        keep(session, due(finish(session, present, now), rule, now), now)


def finish(session: Session, endpoints: Iterable[Endpoint], now: datetime) -> Endpoints:
    """Lay what people decided over endpoints, and work out their risk."""
    found: Endpoints = []
    for batch in batches(endpoints, BATCH):
        query = select(TriageRow).where(col(TriageRow.endpoint).in_([one.id for one in batch]))
        decided = {row.endpoint: Triage.model_validate(row.body) for row in session.exec(query)}
        found += [assessed(_overlaid(one, decided.get(one.id), now), now) for one in batch]
    return found


def _overlaid(endpoint: Endpoint, triage: Triage | None, now: datetime) -> Endpoint:
    if triage is None:
        return endpoint
    governance = in_force(triage, now)
    until = triage.exempt_until if governance is Governance.EXEMPT else None
    changes = {"governance": governance, "exempt_until": until, "owner": triage.owner or endpoint.owner}
    return endpoint.model_copy(update=changes)


def assessed(endpoint: Endpoint, now: datetime) -> Endpoint:
    """The endpoint with its risk worked out for a moment."""
    risk, reasons = assess(endpoint, now)
    return endpoint.model_copy(update={"risk": risk, "risk_reasons": reasons})


def complete_scans(session: Session, sites: Iterable[str]) -> dict[str, list[Scan]]:
    """The latest complete scans of each site: absence is counted in a few of them, not in all of a year."""
    found: dict[str, list[Scan]] = {}
    for site in sites:
        query = (
            select(ScanRow)
            .where(ScanRow.site == site, ScanRow.status == ScanStatus.COMPLETE.value)
            .order_by(col(ScanRow.started_at).desc())
            .limit(SCANS_CONSIDERED)
        )
        found[site] = [Scan.model_validate(row.body) for row in session.exec(query)]
    return found
