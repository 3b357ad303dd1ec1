"""What is declared, as it was last read, and what people decided about it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func
from sqlmodel import Field, Session, SQLModel, col, select, update

from inventory.model import Change, Declaration, Registered, Ruling, Scan, ScanStatus
from inventory.store.changes import record
from inventory.store.database import Database, batches, insert_into
from inventory.store.tables import document, moment

_BATCH = 1000
# Inside a class with a method of that name, ``list`` is no longer the type.
Declarations = list[Registered]
Rulings = list[Ruling]
Conditions = list[ColumnElement[bool]]


class DeclarationRow(SQLModel, table=True):
    """One declaration of one source, as the newest scan of it read it."""

    __tablename__ = "declaration"
    source: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    scope: str = Field(index=True)
    scan: str
    first_seen: datetime = moment()
    last_seen: datetime = moment()
    withdrawn_at: datetime | None = moment(nullable=True)
    body: dict[str, Any] = document()


class RulingRow(SQLModel, table=True):
    """Whether a declaration and an endpoint are the same thing, by the word of a person."""

    __tablename__ = "ruling"
    source: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    endpoint: str = Field(primary_key=True)
    body: dict[str, Any] = document()


class DeclarationRepository:
    """Declarations by source and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, declarations: Iterable[Declaration]) -> None:
        """Keep what was read. Reading the same twice is reading it once; an older reading replaces no newer one."""
        newest: dict[tuple[str, str], Declaration] = {}
        for one in declarations:
            known = newest.get((one.source, one.key))
            if known is None or one.at >= known.at:
                newest[one.source, one.key] = one
        if not newest:
            return
        with self._database.write() as session:
            insert = insert_into(session, DeclarationRow)
            later = insert.excluded.last_seen >= col(DeclarationRow.last_seen)
            names = ("scope", "scan", "last_seen", "withdrawn_at", "body")
            upsert = insert.on_conflict_do_update(
                index_elements=["source", "key"], set_={name: insert.excluded[name] for name in names}, where=later
            )
            for batch in batches(newest.values(), _BATCH):
                session.connection().execute(upsert, [_row(one) for one in batch])

    def settle(self, scan: Scan) -> int:
        """After a scan has ended: what its scope declared before and this scan did not read is withdrawn.

        Returns how many were. Of a scan that is not complete, only the registries that it read to their end count.
        """
        whole = scan.status is ScanStatus.COMPLETE
        if not whole and not scan.whole:
            return 0
        missed = [
            col(DeclarationRow.scope) == scan.scope,
            col(DeclarationRow.scan) != scan.id,
            col(DeclarationRow.last_seen) < scan.started_at,
        ]
        if not whole:
            missed.append(col(DeclarationRow.source).in_(scan.whole))
        with self._database.write() as session:
            return _withdraw(session, missed, scan.started_at)

    def withdraw(self, source: str, keys: Iterable[str], at: datetime) -> int:
        """Withdraw what a source that is watched says is no more, unless it was read later. Returns how many were."""
        gone = list(keys)
        if not gone:
            return 0
        known = [col(DeclarationRow.source) == source, col(DeclarationRow.last_seen) <= at]
        with self._database.write() as session:
            return sum(
                _withdraw(session, [*known, col(DeclarationRow.key).in_(batch)], at) for batch in batches(gone, _BATCH)
            )

    def count(self, source: str) -> int:
        """How much a source declares now."""
        query = select(func.count()).where(
            col(DeclarationRow.source) == source, col(DeclarationRow.withdrawn_at).is_(None)
        )
        with self._database.read() as session:
            return int(session.exec(query).one())

    def withdraw_all(self, source: str, who: str, why: str, at: datetime) -> int:
        """Withdraw everything that a source declares, by the word of a person. LookupError where that is nothing."""
        with self._database.write() as session:
            found = _withdraw(session, [col(DeclarationRow.source) == source], at)
            if not found:
                raise LookupError(f"{source!r} declares nothing: `gnomon declared list` shows what is declared")
            record(session, Change(
                at=at, who=who, action="withdraw", subject=source, why=why, before=f"{found} declarations", after=None,
            ))  # fmt: skip
        return found

    def list(self, *, withdrawn: bool = False) -> Declarations:
        """What is declared now, and where ``withdrawn`` what was before, by source and key."""
        query = select(DeclarationRow).order_by(DeclarationRow.source, DeclarationRow.key)
        if not withdrawn:
            query = query.where(col(DeclarationRow.withdrawn_at).is_(None))
        with self._database.read() as session:
            return [_registered(row) for row in session.exec(query)]

    def rule(self, ruling: Ruling) -> None:
        """Keep a person's word, in place of an earlier one about the same two. LookupError for what is not declared."""
        with self._database.write() as session:
            if session.get(DeclarationRow, (ruling.source, ruling.key)) is None:
                raise LookupError(
                    f"{ruling.source!r} declares no {ruling.key!r}: `gnomon declared list` shows what is declared"
                )
            before = session.get(RulingRow, (ruling.source, ruling.key, ruling.endpoint))
            body = ruling.model_dump(mode="json")
            record(session, _change(ruling, before.body if before else None, body))
            session.merge(RulingRow(source=ruling.source, key=ruling.key, endpoint=ruling.endpoint, body=body))

    def rulings(self) -> Rulings:
        """Everything that people decided."""
        with self._database.read() as session:
            rows = session.exec(select(RulingRow).order_by(RulingRow.source, RulingRow.key, RulingRow.endpoint))
            return [Ruling.model_validate(row.body) for row in rows]


def _withdraw(session: Session, which: Conditions, at: datetime) -> int:
    """Withdraw what is declared still, and how many were."""
    declared = col(DeclarationRow.withdrawn_at).is_(None)
    withdrawn = session.connection().execute(update(DeclarationRow).where(*which, declared).values(withdrawn_at=at))
    return int(withdrawn.rowcount)


def _row(one: Declaration) -> dict[str, Any]:
    return {
        "source": one.source,
        "key": one.key,
        "scope": one.scope,
        "scan": one.scan,
        "first_seen": one.at,
        "last_seen": one.at,
        "withdrawn_at": None,
        "body": one.model_dump(mode="json"),
    }


def _registered(row: DeclarationRow) -> Registered:
    return Registered(
        declaration=Declaration.model_validate(row.body),
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        withdrawn_at=row.withdrawn_at,
    )


def _change(ruling: Ruling, before: dict[str, Any] | None, after: dict[str, Any]) -> Change:
    return Change(
        at=ruling.at,
        who=ruling.who,
        action="confirm" if ruling.verdict == "confirmed" else "reject",
        subject=ruling.endpoint,
        why=ruling.why,
        before=Ruling.model_validate(before).model_dump_json() if before else None,
        after=Ruling.model_validate(after).model_dump_json(),
    )
