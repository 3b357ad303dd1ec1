"""Upkeep: does everything that the database says follow from the observations, and is it whole.

Rows of endpoints, facets and blocks are derived: ``check`` derives them again and tells the differences,
``refold`` keeps what it derives. What cannot be derived (observations, decisions, links, revisions, the
record of changes) neither of them changes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, delete, func, insert, literal_column, text, tuple_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from inventory.listing import block_key, place_key
from inventory.model import Endpoint, Listener, utc_now
from inventory.query import searched
from inventory.store.database import Database, batches
from inventory.store.endpoints import EndpointRepository
from inventory.store.facets import COLUMNS, facet_id, facet_values
from inventory.store.rows import TABLE, by_ids, forget, rows_on
from inventory.store.tables import BlockRow, FacetRow, ObservationRow, TombstoneRow, TriageRow
from inventory.store.tables_history import LinkRow

LISTENERS_AT_ONCE: Final = 2000
TIMELY: Final = frozenset({"presence", "governance", "exempt_until", "risk", "risk_reasons"})
"""What time alone changes: for a row that is due to be worked out again, no difference."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be. ``what`` is a word, ``subject`` what it is about."""

    what: str
    subject: str
    detail: str


class UpkeepRepository:
    """Checks what is stored, and derives again what is derived."""

    def __init__(self, database: Database, endpoints: EndpointRepository) -> None:
        self._database = database
        self._endpoints = endpoints

    def check(self, report: Report | None = None) -> Iterator[Problem]:
        """Every problem, as it is found. ``report`` is told how many listeners of how many were checked.

        Reading only, in transactions of their own: what others write meanwhile may show as a difference.
        """
        yield from self._integrity()
        total, done = self._count_listeners(), 0
        for listeners in batches(self._listeners(), LISTENERS_AT_ONCE):
            with self._database.read() as session:
                yield from self._compare(session, listeners)
            done += len(listeners)
            if report is not None:
                report(done, total)
        with self._database.read() as session:
            yield from _without_observations(session)
            yield from _counts(session)
            yield from _orphans(session)

    def refold(self, report: Report | None = None) -> int:
        """Fold everything again, and count facets and blocks anew. How many listeners there were."""
        total, done = self._count_listeners(), 0
        for listeners in batches(self._listeners(), LISTENERS_AT_ONCE):
            self._endpoints.refold(listeners, utc_now())
            done += len(listeners)
            if report is not None:
                report(done, total)
        with self._database.write() as session:
            lost = [problem.subject for problem in _without_observations(session)]
            forget(session, dict.fromkeys(lost), "nothing was observed of it", utc_now())
            _count_anew(session)
        return done

    def _integrity(self) -> Iterator[Problem]:
        """What SQLite finds wrong with its file. PostgreSQL checks its pages as it reads them."""
        if self._database.engine.dialect.name != "sqlite":
            return
        with self._database.read() as session:
            for row in session.connection().execute(text("PRAGMA integrity_check(20)")):
                if row[0] != "ok":
                    yield Problem("integrity", "database", str(row[0]))

    def _count_listeners(self) -> int:
        with self._database.read() as session:
            distinct = sa_select(col(ObservationRow.site), col(ObservationRow.address), col(ObservationRow.port))
            count = sa_select(func.count()).select_from(distinct.distinct().subquery())
            return int(session.connection().execute(count).scalar_one())

    def _listeners(self) -> Iterator[Listener]:
        """Every listener of which anything was observed, page by page along its index."""
        key = (col(ObservationRow.site), col(ObservationRow.address), col(ObservationRow.port))
        last: tuple[Any, ...] | None = None
        while True:
            query = sa_select(*key).distinct().order_by(*key).limit(LISTENERS_AT_ONCE)
            if last is not None:
                query = query.where(tuple_(*key) > tuple_(*last))
            with self._database.read() as session:
                rows = [tuple(row) for row in session.connection().execute(query)]
            if not rows:
                return
            for site, address, port in rows:
                yield Listener(site=site, address=address, port=port)
            last = rows[-1]

    def _compare(self, session: Session, listeners: list[Listener]) -> Iterator[Problem]:
        now = utc_now()
        folded = {one.id: one for one in self._endpoints.folded(session, listeners, now)}
        stored = by_ids(session, folded)
        derived = {id_: (due, *kept) for id_, due, *kept in session.connection().execute(
            sa_select(*(TABLE.c[name] for name in ("id", "due_at", "place", "facet", "words")))
            .where(TABLE.c.id.in_(list(stored)))
        )} if stored else {}  # fmt: skip
        for id_, one in folded.items():
            if id_ not in stored:
                yield Problem("missing", id_, f"{one.url} was observed and has no row")
                continue
            due, *kept = derived[id_]
            overdue = due is not None and due <= now
            yield from _differences(stored[id_], one, overdue=overdue)
            if kept != [_place(stored[id_]), facet_id(facet_values(stored[id_])), searched(stored[id_])]:
                yield Problem("index", id_, "its place, facet or words are not those of its values")
        for id_, row in rows_on(session, listeners).items():
            if id_ not in folded and row.workload is None:
                yield Problem("extra", id_, "no observation folds into this row")


def _place(one: Endpoint) -> str:
    return place_key(one.address, one.port, one.id)


def _differences(stored: Endpoint, folded: Endpoint, *, overdue: bool) -> Iterator[Problem]:
    for name in Endpoint.model_fields:
        if overdue and name in TIMELY:
            continue
        is_, should = getattr(stored, name), getattr(folded, name)
        if is_ != should:
            yield Problem("differs", stored.id, f"{name} is {_short(is_)}, and its observations say {_short(should)}")


def _short(value: object) -> str:
    words = str(value)
    return words if len(words) <= 80 else words[:77] + "..."


def _without_observations(session: Session) -> Iterator[Problem]:
    seen = (
        sa_select(literal_column("1", Integer))
        .select_from(ObservationRow)
        .where(
            col(ObservationRow.site) == TABLE.c.site,
            col(ObservationRow.address) == TABLE.c.address,
            col(ObservationRow.port) == TABLE.c.port,
        )
    )
    for (id_,) in session.connection().execute(sa_select(TABLE.c.id).where(~seen.exists())).all():
        yield Problem("orphan", id_, "a row of an endpoint of which nothing was observed")


def _counts(session: Session) -> Iterator[Problem]:
    counted = session.connection().execute(sa_select(TABLE.c.facet, func.count()).group_by(TABLE.c.facet))
    there = {row[0]: row[1] for row in counted}
    kept = {row[0]: row[1] for row in session.connection().execute(sa_select(col(FacetRow.id), col(FacetRow.count)))}
    for facet in there.keys() | kept.keys():
        if there.get(facet, 0) != kept.get(facet, 0):
            yield Problem("count", f"facet {facet}", f"{kept.get(facet, 0)} kept, {there.get(facet, 0)} are there")
    blocks = {(row[0], row[1]): row[2] for row in session.connection().execute(
        sa_select(col(BlockRow.site), col(BlockRow.key), col(BlockRow.count))
    )}  # fmt: skip
    real = _blocks(session)
    for key in real.keys() | blocks.keys():
        if real.get(key, 0) != blocks.get(key, 0):
            yield Problem("count", f"block {key}", f"{blocks.get(key, 0)} kept, {real.get(key, 0)} are there")


def _blocks(session: Session) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    rows = session.connection().execute(sa_select(TABLE.c.site, TABLE.c.place).execution_options(yield_per=5000))
    for site, place in rows:
        if key := block_key(place):
            found[site, key] = found.get((site, key), 0) + 1
    return found


def _orphans(session: Session) -> Iterator[Problem]:
    """Decisions and links about ids that name nothing: no endpoint, no place, no tombstone."""
    ids = sa_select(TABLE.c.id)
    buried = sa_select(col(TombstoneRow.id))
    places = sa_select(col(LinkRow.place))
    triage = sa_select(col(TriageRow.endpoint)).where(
        ~col(TriageRow.endpoint).in_(ids), ~col(TriageRow.endpoint).in_(buried), ~col(TriageRow.endpoint).in_(places)
    )
    for (id_,) in session.connection().execute(triage).all():
        yield Problem("orphan", id_, "a decision about an endpoint that there never was")
    links = sa_select(col(LinkRow.endpoint)).where(
        ~col(LinkRow.endpoint).in_(ids), ~col(LinkRow.endpoint).in_(buried), col(LinkRow.state) != "split"
    )
    for (id_,) in session.connection().execute(links.distinct()).all():
        yield Problem("orphan", id_, "a link to an endpoint that there never was")


def _count_anew(session: Session) -> None:
    """Replace the counts of facets and blocks by those of the rows that are there."""
    connection = session.connection()
    connection.execute(delete(FacetRow))
    columns = [TABLE.c[name] for name in COLUMNS]
    grouped = sa_select(TABLE.c.facet, func.count(), *columns).group_by(TABLE.c.facet, *columns)
    facets = [
        {"id": facet, "count": count, **dict(zip(COLUMNS, values, strict=True))}
        for facet, count, *values in connection.execute(grouped)
    ]
    if facets:
        connection.execute(insert(FacetRow), facets)
    connection.execute(delete(BlockRow))
    blocks = [{"site": site, "key": key, "count": count} for (site, key), count in _blocks(session).items()]
    if blocks:
        connection.execute(insert(BlockRow), blocks)
