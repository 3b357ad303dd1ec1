"""The record of calls: appended in batches, each chained to the one before, with how far a gateway's log was read.

A batch, its digest and the gateway's cursor are one transaction: a recorder that is killed neither loses nor repeats
a line. ``inventory.calls`` says what the chain proves. How it is checked and pruned is in ``store.chain``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, insert, text
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.calls import (
    CALLS,
    COLUMNS,
    GENESIS,
    Batch,
    Checked,
    Recording,
    Tally,
    call_of,
    decision_of,
    digest_of,
    row_of,
)
from inventory.model import Call, utc_now
from inventory.query import parse
from inventory.store import chain
from inventory.store.database import Database
from inventory.store.errors import StoreError
from inventory.store.filters import where
from inventory.store.governance_tables import CallBatchRow, CallRow, RecordingRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Calls = list[Call]
Tallies = list[Tally]
Recordings = list[Recording]

TURN = 0x676E6F6D6F6E
"""The advisory lock of PostgreSQL under which batches are appended, one after the other."""


class ReplacedError(StoreError):
    """Somebody else has recorded this gateway's log since: what was to be appended may be there already."""


class CallRepository:
    """Every call that was recorded and is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, calls: Sequence[Call], then: Recording, *, after: Recording | None, lost: int = 0) -> Recording:
        """Append a batch, and say how far the gateway's log is recorded then. Nobody is woken for it.

        ``after`` is what the recorder knows to be recorded; ReplacedError where the store knows otherwise. ``lost``
        are calls that are known to be lost since the batch before. Of ``then``, the file, the cursor, ``behind`` and
        the moment count; its totals are worked out here. Without calls and losses, only they are kept.
        """
        with self._database.write(notify=False) as session:
            _take_turn(session)
            row = session.get(RecordingRow, then.gateway)
            before = None if row is None else _recording(row)
            if _place(before) != _place(after):
                raise ReplacedError(f"the log of the gateway {then.gateway} is recorded by somebody else")
            if calls or lost:
                _append(session, calls, then.gateway, lost, then.at)
            now = then._replace(
                recorded=(before.recorded if before else 0) + len(calls), lost=(before.lost if before else 0) + lost
            )
            session.merge(RecordingRow(**now._asdict()))
        return now

    def recording(self, gateway: str) -> Recording | None:
        """How far a gateway's log is recorded; None where it never was."""
        with self._database.read() as session:
            row = session.get(RecordingRow, gateway)
            return None if row is None else _recording(row)

    def recordings(self) -> Recordings:
        """How far the log of each gateway is recorded, by gateway."""
        with self._database.read() as session:
            return [_recording(row) for row in session.exec(select(RecordingRow).order_by(RecordingRow.gateway))]

    def list(
        self,
        filter_text: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> Calls:
        """The latest calls that match a filter, newest first. Raises QueryError for a filter."""
        query = sa_select(*(getattr(CallRow, name) for name in COLUMNS))
        query = query.where(*where(parse(filter_text, grammar=CALLS), utc_now(), CallRow), *_between(since, until))
        query = query.order_by(col(CallRow.at).desc(), col(CallRow.number).desc()).limit(limit)
        with self._database.read() as session:
            return [call_of(row) for row in session.connection().execute(query)]

    def count(self, filter_text: str = "", *, since: datetime | None = None, until: datetime | None = None) -> int:
        """How many calls match a filter. Raises QueryError."""
        conditions = where(parse(filter_text, grammar=CALLS), utc_now(), CallRow)
        query = sa_select(func.count()).select_from(CallRow).where(*conditions, *_between(since, until))
        with self._database.read() as session:
            return int(session.connection().execute(query).scalar_one())

    def tallies(
        self, filter_text: str = "", *, since: datetime | None = None, until: datetime | None = None
    ) -> Tallies:
        """The calls counted by caller, route and decisions, the most frequent first. Raises QueryError.

        Anonymous callers are told apart by network and client.
        """
        anonymous = col(CallRow.principal) == ""
        keys = (
            col(CallRow.principal),
            case((anonymous, col(CallRow.network)), else_=""),
            case((anonymous, col(CallRow.client)), else_=""),
            *(col(getattr(CallRow, name)) for name in _ALIKE),
        )
        query = sa_select(*keys, func.count(), func.min(col(CallRow.at)), func.max(col(CallRow.at)))
        query = query.where(*where(parse(filter_text, grammar=CALLS), utc_now(), CallRow), *_between(since, until))
        query = query.group_by(*keys).order_by(func.count().desc(), *keys[:4])
        with self._database.read() as session:
            return [_tally(tuple(row)) for row in session.connection().execute(query)]

    def verify(self, known: tuple[int, str] | None = None) -> Checked:
        """Walk the whole chain. ``known`` is a batch and its digest that were kept elsewhere."""
        return chain.verify(self._database, known)

    def head(self) -> Batch | None:
        """The last batch."""
        with self._database.read() as session:
            row = _last(session)
            return None if row is None else Batch(**row.model_dump())

    def prune(self, before: datetime, *, who: str, why: str) -> int:
        """Delete the oldest batches whose calls are all older than a moment, on record. How many calls went.

        The last batch stays, so that the chain goes on from it.
        """
        return chain.prune(self._database, before, who=who, why=why)


_ALIKE = ("route", "enforced", "enforced_by", "candidate", "candidate_by", "refused_by", "over")


def _take_turn(session: Session) -> None:
    """SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.connection().execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": TURN})


def _append(session: Session, calls: Sequence[Call], gateway: str, lost: int, now: datetime) -> None:
    last = _last(session)
    number = last.number + 1 if last else 1
    previous = last.digest if last else GENESIS
    first = (session.connection().execute(sa_select(func.max(col(CallRow.number)))).scalar() or 0) + 1
    rows = [row_of(call, gateway) | {"number": first + at, "batch": number} for at, call in enumerate(calls)]
    moments = [call.at for call in calls] or [now]
    digest = digest_of(previous, number, gateway, lost, ([row[name] for name in COLUMNS] for row in rows))
    if rows:
        session.connection().execute(insert(CallRow), rows)
    batch = CallBatchRow(
        number=number,
        gateway=gateway,
        first_at=min(moments),
        last_at=max(moments),
        calls=len(rows),
        lost=lost,
        digest=digest,
        previous=previous,
    )
    session.add(batch)


def _last(session: Session) -> CallBatchRow | None:
    return session.exec(select(CallBatchRow).order_by(col(CallBatchRow.number).desc()).limit(1)).first()


def _place(one: Recording | None) -> tuple[str, int] | None:
    return None if one is None else (one.file, one.cursor)


def _recording(row: RecordingRow) -> Recording:
    return Recording(**row.model_dump())


def _between(since: datetime | None, until: datetime | None) -> Sequence[Any]:
    lower = [col(CallRow.at) >= since] if since is not None else []
    return [*lower, col(CallRow.at) < until] if until is not None else lower


def _tally(row: tuple[Any, ...]) -> Tally:
    principal, network, client, route, enforced, enforced_by, candidate, candidate_by, refused, over, *counts = row
    decisions = decision_of(enforced, enforced_by), decision_of(candidate, candidate_by)
    return Tally(principal, network, client, route, *decisions, refused, over, *counts)
