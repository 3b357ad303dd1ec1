"""Coverage, read from the counts that the store keeps: it costs the same for a thousand endpoints and a million."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.coverage import (
    Coverage,
    Facet,
    Gap,
    Metric,
    Standing,
    Timing,
    Trend,
    Unknown,
    by_group,
    gaps,
    metrics,
    scope_gaps,
    time_to_detect,
    time_to_govern,
    unknowns,
)  # fmt: skip
from inventory.listing import block_span
from inventory.model import Change, Kind
from inventory.space import Block, RedFlag, Space, red_flags, spaces
from inventory.store.database import Database, batches
from inventory.store.endpoints import EndpointRepository
from inventory.store.links import LinkState, in_states
from inventory.store.recent import last_scans_in, scans_in, scopes_in
from inventory.store.rows import BATCH, TABLE
from inventory.store.tables import BlockRow, ChangeRow
from inventory.store.tables_history import TrendRow
from inventory.store.trends import facets_in

GROUPINGS = ("site", "scope", "owner", "product", "cluster", "namespace", "kind")
GAPS_SHOWN = 200
DECISIONS_CONSIDERED = 5000
_ML = ",".join(kind.value for kind in Kind if kind.is_ml)
UNGOVERNED = f"kind:{_ML} -presence:gone -governance:exempt"


@dataclass(frozen=True)
class Report:
    """Everything that can be said about what is covered."""

    coverage: Coverage
    spaces: tuple[Space, ...]
    red_flags: tuple[RedFlag, ...]
    timings: tuple[Timing, ...]
    unknowns: tuple[Unknown, ...]


class CoverageRepository:
    """How much is known and governed, now and after each scan."""

    def __init__(self, database: Database, endpoints: EndpointRepository) -> None:
        self._database = database
        self._endpoints = endpoints

    def report(self, gaps_shown: int = GAPS_SHOWN) -> Report:
        """The whole of it. Gaps are the riskiest ones; how many there are in all the metrics say."""
        with self._database.read() as session:
            facets = facets_in(session, None)
            scans, scopes = scans_in(session), scopes_in(session)
            flags = red_flags(_blocks(session), scopes, scans)
            proposals = len(in_states(session, [LinkState.PROPOSED], 1000))
            timings = (time_to_detect(scans), time_to_govern(_seconds_to_govern(session)))
        worst = self._endpoints.list(UNGOVERNED, limit=gaps_shown)
        return Report(
            coverage=Coverage(metrics(facets, scans, scopes), _sorted([*_flagged(flags), *gaps(worst, scans, scopes)])),
            spaces=spaces(scopes, scans),
            red_flags=flags,
            timings=timings,
            unknowns=unknowns(facets, scans, scopes, proposals=proposals, flags=len(flags)),
        )

    def facets(self) -> tuple[Facet, ...]:
        """How many endpoints there are of each combination of what metrics ask."""
        with self._database.read() as session:
            return tuple(facets_in(session, None))

    def metrics(self) -> tuple[Metric, ...]:
        """The metrics alone."""
        with self._database.read() as session:
            return metrics(facets_in(session, None), last_scans_in(session), scopes_in(session))

    def scope_gaps(self) -> tuple[Gap, ...]:
        """The scopes, or parts of them, that their last scans left unknown, the riskiest first."""
        with self._database.read() as session:
            return scope_gaps(last_scans_in(session), scopes_in(session))

    def red_flags(self) -> tuple[RedFlag, ...]:
        """The blocks that are known to hold endpoints and that no complete scan covered, the fullest first."""
        with self._database.read() as session:
            return red_flags(_blocks(session), scopes_in(session), scans_in(session))

    def by(self, field: str) -> dict[str | None, tuple[Metric, ...]]:
        """The metrics about endpoints for each value of one of ``GROUPINGS``. Raises ValueError for another field."""
        if field not in GROUPINGS:
            raise ValueError(f"coverage can be told by {', '.join(GROUPINGS)}, not by {field!r}")
        with self._database.read() as session:
            return by_group(facets_in(session, field))

    def trend(self, scope: str | None = None, limit: int = 30) -> tuple[Trend, ...]:
        """The metrics after the latest scans, oldest first."""
        query = select(TrendRow).order_by(col(TrendRow.at).desc(), col(TrendRow.scan).desc()).limit(limit)
        if scope is not None:
            query = query.where(TrendRow.scope == scope)
        with self._database.read() as session:
            rows = session.exec(query).all()
        return tuple(
            Trend(row.scan, row.scope, row.at, tuple(Standing.model_validate(one) for one in row.body["standings"]))
            for row in reversed(rows)
        )


def _sorted(found: list[Gap]) -> tuple[Gap, ...]:
    return tuple(sorted(found, key=lambda gap: (-gap.risk, gap.title)))


def _flagged(flags: Sequence[RedFlag]) -> tuple[Gap, ...]:
    return tuple(Gap(one.network, f"{one.network} in site {one.site}", one.why, 60) for one in flags[:GAPS_SHOWN])


def _blocks(session: Session) -> list[Block]:
    rows = sa_select(col(BlockRow.site), col(BlockRow.key), col(BlockRow.count)).order_by(BlockRow.site, BlockRow.key)
    return [Block(site, block_span(key), count) for site, key, count in session.connection().execute(rows)]


def _seconds_to_govern(session: Session) -> list[float]:
    """For each endpoint about which something was decided: the seconds from its first sighting to then."""
    query = select(ChangeRow).where(~col(ChangeRow.subject).contains(":"))
    query = query.order_by(col(ChangeRow.subject), col(ChangeRow.number)).limit(DECISIONS_CONSIDERED)
    first: dict[str, datetime] = {}
    for subject, rows in groupby(session.exec(query), key=lambda row: row.subject):
        decided = (Change.model_validate(row.body) for row in rows)
        moment = next((one.at for one in decided if one.action == "decide"), None)
        if moment is not None:
            first[subject] = moment
    seconds: list[float] = []
    for batch in batches(first, BATCH):
        sightings = sa_select(TABLE.c.id, TABLE.c.first_seen).where(TABLE.c.id.in_(batch))
        for endpoint_id, seen in session.connection().execute(sightings):
            seconds.append(max(0.0, (first[endpoint_id] - seen).total_seconds()))
    return seconds
