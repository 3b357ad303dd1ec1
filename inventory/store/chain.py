"""The chain of batches: walked from end to end, and pruned at its old end.

Pruning is on record with the oldest batch that is left and what went, so that batches which were deleted any other
way are missed at either end: at the old one by that record, at the new one by what each gateway is known to have
recorded.
"""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import delete, func
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.calls import COLUMNS, GENESIS, Checked, digest_of
from inventory.model import Change, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.governance_tables import CallBatchRow, CallRow, RecordingRow
from inventory.store.tables import ChangeRow

SUBJECT = "calls"
"""The subject of the changes that pruning records."""

_BATCHES_AT_ONCE = 100
_PRUNED_AT_ONCE = 10_000


def verify(database: Database, known: tuple[int, str] | None) -> Checked:
    """Walk the chain up to its first fault. Reading only, in one consistent view."""
    found = Checked(0, 0, 0, 0, 0, GENESIS)
    with database.read() as session:
        oldest = _pruned_up_to(session) + 1
        for batch, rows in _batches(session):
            if not found.batches:
                found = found._replace(oldest=batch.number)
            if why := _fault(batch, rows, found, oldest, known):
                expected = oldest if not found.batches else found.head + 1
                return found._replace(broken=min(batch.number, expected), why=why)
            found = found._replace(
                batches=found.batches + 1,
                calls=found.calls + len(rows),
                lost=found.lost + batch.lost,
                head=batch.number,
                digest=batch.digest,
            )
        if why := _missing_end(session, found, known):
            return found._replace(broken=max(found.head, oldest - 1) + 1, why=why)
    return found


def _batches(session: Session) -> Iterator[tuple[CallBatchRow, list[Any]]]:
    last = -1
    while True:
        query = select(CallBatchRow).where(CallBatchRow.number > last).order_by(col(CallBatchRow.number))
        batches = session.exec(query.limit(_BATCHES_AT_ONCE)).all()
        if not batches:
            return
        first, last = batches[0].number, batches[-1].number
        rows = sa_select(*(getattr(CallRow, name) for name in COLUMNS))
        rows = rows.where(col(CallRow.batch).between(first, last)).order_by(col(CallRow.batch), col(CallRow.number))
        of = {number: list(group) for number, group in groupby(session.connection().execute(rows), attrgetter("batch"))}
        for batch in batches:
            yield batch, of.get(batch.number, [])
        session.expunge_all()


def _fault(batch: CallBatchRow, rows: list[Any], before: Checked, oldest: int, known: tuple[int, str] | None) -> str:
    """What is wrong with the next batch; "" where nothing is."""
    expected = oldest if not before.batches else before.head + 1
    if batch.number > expected:
        return f"batch {expected} is missing: the next one is {batch.number}"
    if (before.batches and batch.previous != before.digest) or (batch.number == 1 and batch.previous != GENESIS):
        return f"batch {batch.number} does not follow from the one before"
    if batch.calls != len(rows):
        return f"batch {batch.number} had {batch.calls} calls, and {len(rows)} are there"
    if digest_of(batch.previous, batch.number, batch.gateway, batch.lost, rows) != batch.digest:
        return f"batch {batch.number} was changed: its calls do not have its digest"
    if known and known[0] == batch.number and known[1] != batch.digest:
        return f"batch {batch.number} is another one: its digest is not the one that was kept"
    return ""


def _missing_end(session: Session, found: Checked, known: tuple[int, str] | None) -> str:
    if known and known[0] > found.head:
        return f"batch {known[0]}, whose digest was kept, is missing: the last one is {found.head}"
    kept = _calls_by_gateway(session)
    pruned = _pruned(session)
    for row in session.exec(select(RecordingRow).order_by(RecordingRow.gateway)):
        there = kept.get(row.gateway, 0) + pruned.get(row.gateway, 0)
        if there < row.recorded:
            return f"{row.recorded - there} of the last calls of the gateway {row.gateway} are missing"
    return ""


def prune(database: Database, before: datetime, *, who: str, why: str) -> int:
    """Delete the oldest batches that ended before a moment, but for the last one. How many calls went."""
    went = 0
    while True:
        with database.write(notify=False) as session:
            keep = sa_select(func.min(col(CallBatchRow.number))).where(col(CallBatchRow.last_at) >= before)
            last = session.connection().execute(sa_select(func.max(col(CallBatchRow.number)))).scalar()
            first = session.connection().execute(sa_select(func.min(col(CallBatchRow.number)))).scalar()
            if last is None or first is None:
                return went
            end = min(session.connection().execute(keep).scalar() or last, last, first + _PRUNED_AT_ONCE)
            if end <= first:
                return went
            pruned, counted = _pruned(session), _calls_by_gateway(session, end)
            total = {name: pruned.get(name, 0) + counted.get(name, 0) for name in pruned.keys() | counted.keys()}
            session.connection().execute(delete(CallRow).where(col(CallRow.batch) < end))
            session.connection().execute(delete(CallBatchRow).where(col(CallBatchRow.number) < end))
            words = [f"up to batch {end - 1}", *(f"{total[name]} calls of {name}" for name in sorted(total))]
            record(
                session,
                Change(at=utc_now(), who=who, action="prune", subject=SUBJECT, why=why, after="; ".join(words)),
            )
        went += sum(counted.values())


def _calls_by_gateway(session: Session, end: int | None = None) -> dict[str, int]:
    query = sa_select(col(CallBatchRow.gateway), func.sum(col(CallBatchRow.calls))).group_by(col(CallBatchRow.gateway))
    if end is not None:
        query = query.where(col(CallBatchRow.number) < end)
    return {gateway: int(calls) for gateway, calls in session.connection().execute(query)}


def _last_pruning(session: Session) -> list[str]:
    query = select(ChangeRow).where(ChangeRow.subject == SUBJECT).order_by(col(ChangeRow.number).desc()).limit(1)
    row = session.exec(query).first()
    return str(row.body["after"]).split("; ") if row else []


def _pruned_up_to(session: Session) -> int:
    words = _last_pruning(session)
    return int(words[0].rpartition(" ")[2]) if words else 0


def _pruned(session: Session) -> dict[str, int]:
    """The calls of each gateway that were pruned since the beginning."""
    found: dict[str, int] = {}
    for words in _last_pruning(session)[1:]:
        count, _, gateway = words.partition(" calls of ")
        found[gateway] = int(count)
    return found
