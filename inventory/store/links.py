"""Links: which places are one application, by whose word, and why. Records, kept apart from the fold."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import or_, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.matching import Match, Tier
from inventory.model import Endpoint, Listener, Moment, Value
from inventory.store.database import batches, clock_of
from inventory.store.rows import BATCH, TABLE
from inventory.store.tables_history import LinkRow


class LinkState(StrEnum):
    """What holds between a place and an endpoint."""

    AUTOMATIC = "automatic"
    CONFIRMED = "confirmed"
    PROPOSED = "proposed"
    SPLIT = "split"

    @property
    def joined(self) -> bool:
        """Whether the place belongs to the endpoint."""
        return self in {LinkState.AUTOMATIC, LinkState.CONFIRMED}


class Link(Value):
    """That the application at the place of id ``place`` is, may be or is not the endpoint of id ``endpoint``.

    A place that is an endpoint's own first one is linked to itself.
    """

    place: str
    endpoint: str
    state: LinkState
    tier: Tier
    reasons: tuple[str, ...]
    listener: Listener
    base_path: str = "/"
    at: Moment
    who: str = "gnomon"


JOINED = tuple(state.value for state in LinkState if state.joined)


def link(newcomer: Endpoint, to: Match, state: LinkState, at: datetime) -> Link:
    """The link that a match makes."""
    return Link(
        place=newcomer.id, endpoint=to.endpoint, state=state, tier=to.tier, reasons=to.reasons,
        listener=listener_of(newcomer), base_path=newcomer.base_path, at=at,
    )  # fmt: skip


def home(endpoint: Endpoint, at: datetime) -> Link:
    """An endpoint's link to itself: what says where its first place is once it has others."""
    return link(endpoint, Match(endpoint.id, Tier.PLACE, True, ("where it was seen first",)), LinkState.AUTOMATIC, at)


def listener_of(endpoint: Endpoint) -> Listener:
    """The listener of the place that an endpoint's columns name."""
    return Listener(site=endpoint.site, address=endpoint.address, port=endpoint.port)


def put(session: Session, links: Iterable[Link]) -> None:
    """Insert or replace links."""
    clock = clock_of(session)
    for one in links:
        row = LinkRow(
            place=one.place,
            endpoint=one.endpoint,
            state=one.state.value,
            site=one.listener.site,
            address=one.listener.address,
            port=one.listener.port,
            clock=clock,
            body=one.model_dump(mode="json"),
        )
        session.merge(row)
    session.flush()


def remove(session: Session, one: Link) -> None:
    """Take a link away, as if it had never been made."""
    row = session.get(LinkRow, (one.place, one.endpoint))
    if row is not None:
        session.delete(row)
        session.flush()


def lead_over(session: Session, endpoint: str, to: str) -> None:
    """Have the places that belonged to one endpoint belong to another, which it was found to be."""
    for row in session.exec(select(LinkRow).where(LinkRow.endpoint == endpoint, col(LinkRow.state).in_(JOINED))):
        one = Link.model_validate(row.body)
        session.delete(row)
        session.flush()
        if one.place != endpoint:
            put(session, [one.model_copy(update={"endpoint": to})])


def on_listeners(session: Session, listeners: Sequence[Listener]) -> list[Link]:
    """The links of the places of some listeners."""
    found: list[Link] = []
    columns = (col(LinkRow.address), col(LinkRow.port), col(LinkRow.site))
    for batch in batches(listeners, BATCH):
        keys = [(one.address, one.port, one.site) for one in batch]
        found += _read(session, tuple_(*columns).in_(keys))
    return found


def groups(session: Session, endpoints: Iterable[str]) -> dict[str, list[Link]]:
    """The places that belong to each endpoint which has more than its own."""
    found: dict[str, list[Link]] = defaultdict(list)
    for batch in batches(dict.fromkeys(endpoints), BATCH):
        for one in _read(session, col(LinkRow.endpoint).in_(batch), col(LinkRow.state).in_(JOINED)):
            found[one.endpoint].append(one)
    return dict(found)


def of_ids(session: Session, ids: Iterable[str]) -> list[Link]:
    """Every link that names one of those ids as its place or endpoint, in the order of places."""
    found: dict[tuple[str, str], Link] = {}
    for batch in batches(dict.fromkeys(ids), BATCH):
        touching = _read(session, or_(col(LinkRow.place).in_(batch), col(LinkRow.endpoint).in_(batch)))
        found |= {(one.place, one.endpoint): one for one in touching}
    return [found[key] for key in sorted(found)]


def ids_beginning(session: Session, beginning: str) -> list[str]:
    """The first two ids, of endpoints or of linked places, that begin so."""
    found: set[str] = set()
    for column in (TABLE.c.id, col(LinkRow.place)):
        query = sa_select(column).where(column >= beginning, column < beginning + "~").distinct().limit(2)
        found |= set(session.connection().execute(query).scalars())
    exact = beginning if beginning in found else None
    return [exact] if exact else sorted(found)[:2]


def in_states(session: Session, states: Iterable[LinkState], limit: int) -> list[Link]:
    """The latest links in some states, leaving out those of an endpoint to itself."""
    wanted = col(LinkRow.state).in_([state.value for state in states])
    query = select(LinkRow).where(wanted, LinkRow.place != LinkRow.endpoint)
    rows = session.exec(query.order_by(col(LinkRow.clock).desc(), col(LinkRow.place)).limit(limit))
    return [Link.model_validate(row.body) for row in rows]


def _read(session: Session, *conditions: object) -> list[Link]:
    rows = session.exec(select(LinkRow).where(*conditions).order_by(LinkRow.place, LinkRow.endpoint))  # type: ignore[arg-type]
    return [Link.model_validate(row.body) for row in rows]
