"""Which places are one application, as far as it takes no person: found, and recorded as links.

A path that was not known before is seen at once. What moved elsewhere is seen when a complete scan has
missed it where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session

from inventory.changes import Event, Happening
from inventory.matching import MOST, Match, Tier, match
from inventory.model import Endpoint, Listener, Scan
from inventory.store.database import batches
from inventory.store.events import append
from inventory.store.links import Link, LinkState, home, lead_over, link, listener_of, of_ids, on_listeners, put
from inventory.store.rows import BATCH, TABLE, OnListener, read_endpoints, select_endpoints
from inventory.store.tables import TriageRow

Endpoints = list[Endpoint]
Places = dict[str, Endpoint]


def link_at_once(
    session: Session, listeners: Sequence[Listener], rows: Mapping[str, OnListener], places: Places, now: datetime
) -> None:
    """Link the places that need no scan to have ended: those whose path was not known before.

    ``rows`` are those on the listeners. What belongs to a workload of a cluster has its name from there.
    """
    linked = {one.place for one in on_listeners(session, listeners)}
    found: dict[Listener, list[Endpoint]] = {}
    for id_, one in places.items():
        if id_ not in linked and id_ not in rows and one.cluster is None:
            found.setdefault(listener_of(one), []).append(one)
    lost: dict[Listener, list[str]] = {}
    for id_, row in rows.items():
        if id_ not in places and id_ not in linked and row.workload is None:
            lost.setdefault(row.listener, []).append(id_)
    for listener, before in lost.items():
        its = found.get(listener, [])
        if len(its) == len(before) == 1:
            _join(session, its[0], Match(before[0], Tier.PLACE, True, _PATH_FOUND), now, _unplaced(its[0], before[0]))


_PATH_FOUND = ("the same listener: where below it the application is was not known before",)


def _unplaced(place: Endpoint, endpoint_id: str) -> Endpoint:
    """The endpoint that a listener was while nothing was known below its root."""
    return place.model_copy(update={"id": endpoint_id, "base_path": "/"})


def _join(session: Session, newcomer: Endpoint, to: Match, now: datetime, home_of: Endpoint) -> None:
    """Record that a newcomer is another endpoint; where people have decided about it already, only propose it."""
    there = {(one.place, one.endpoint): one for one in of_ids(session, [newcomer.id, to.endpoint])}
    if (newcomer.id, to.endpoint) in there:
        return
    decided = session.get(TriageRow, newcomer.id) is not None
    state = LinkState.AUTOMATIC if to.certain and not decided else LinkState.PROPOSED
    made = link(newcomer, to, state, now)
    own = there.get((newcomer.id, newcomer.id))
    if own is not None:
        made = made.model_copy(update={"listener": own.listener, "base_path": own.base_path})
    put(session, [made])
    if state.joined:
        settle_home(session, home_of, now)
        lead_over(session, newcomer.id, to.endpoint)
        append(session, [told(newcomer, to.endpoint, Happening.JOINED, to.reasons, now)])


def void_links(links: Sequence[Link], places: Places) -> list[Link]:
    """The links that hold no more: two paths of a listener that both answer are two applications after all."""
    found = []
    for one in links:
        first, second = places.get(one.endpoint), places.get(one.place)
        by_path = one.tier is Tier.PLACE and one.state is LinkState.AUTOMATIC and one.place != one.endpoint
        if not by_path or first is None or second is None:
            continue
        if one.reasons == _PATH_FOUND or first.last_seen > second.first_seen:
            found.append(one)
    return found


def settle_home(session: Session, endpoint: Endpoint, now: datetime) -> None:
    """Link an endpoint to itself where it is not yet: its columns name its only place until others join."""
    if not any(one.place == one.endpoint for one in of_ids(session, [endpoint.id])):
        put(session, [home(endpoint, now)])


def told(place: Endpoint, endpoint_id: str, what: Happening, reasons: Sequence[str], now: datetime) -> Event:
    """The event of a place that joined an endpoint, or was split from it."""
    return Event(
        at=now, endpoint=endpoint_id, what=what, url=place.url, kind=place.kind, product=place.product,
        before=place.id, after="; ".join(reasons),
    )  # fmt: skip


def recognise(session: Session, scan: Scan, moved: set[str], now: datetime) -> list[Listener]:
    """Match what is new on a site with what was missed there,.

    Returns the listeners whose places are to be folded again.
    """
    changed: set[Listener] = set()
    for its in _look_alikes(session, scan.site):
        for new in its:
            olds = [o for o in its if (o.first_seen, o.id) < (new.first_seen, new.id)]
            if not (new.first_seen >= scan.started_at or moved & {one.id for one in olds}):
                continue
            for found in match(new, olds):
                old = next(one for one in olds if one.id == found.endpoint)
                _join(session, new, found, now, old)
                changed.add(listener_of(new))
    return sorted(changed, key=str)


def _look_alikes(session: Session, site: str) -> Iterable[Endpoints]:
    """Groups of a few endpoints of a site with the same key, description or listener, the oldest first."""
    seen: set[tuple[str, ...]] = set()
    for columns in ((TABLE.c.schema_digest,), (TABLE.c.tls_key,), (TABLE.c.address, TABLE.c.port)):
        given = [column.is_not(None) for column in columns]
        query = sa_select(*columns).where(TABLE.c.site == site, *given).group_by(*columns)
        few = query.having(func.count().between(2, MOST + 1))
        for batch in batches(list(session.connection().execute(few)), BATCH):
            keys = [tuple(row) for row in batch]
            where = tuple_(*columns).in_(keys) if len(columns) > 1 else columns[0].in_([key for (key,) in keys])
            rows = read_endpoints(session, select_endpoints().where(TABLE.c.site == site, where))
            together: dict[tuple[object, ...], Endpoints] = {}
            for one in sorted(rows, key=lambda one: (one.first_seen, one.id)):
                together.setdefault(tuple(getattr(one, column.name) for column in columns), []).append(one)
            for its in together.values():
                ids = tuple(one.id for one in its)
                if ids not in seen:
                    seen.add(ids)
                    yield its
