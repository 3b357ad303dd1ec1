"""What is no longer believed: callers and single tokens, each for as long as that has to be remembered."""

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import col, select

from inventory.model import Change, Revocation
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.governance_tables import RevocationRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Revocations = list[Revocation]


class RevocationRepository:
    """Every revocation that has not been pruned."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, revocation: Revocation) -> bool:
        """Revoke. Whether that is news: nothing is written where as much was revoked already.

        Of two revocations of one value the later moment and the later end count.
        """
        with self._database.write() as session:
            row = session.get(RevocationRow, (revocation.kind, revocation.value), with_for_update=True)
            before = Revocation.model_validate(row.body) if row else None
            after = _joined(before, revocation)
            if after == before:
                return False
            session.merge(
                RevocationRow(kind=after.kind, value=after.value, until=after.until, body=after.model_dump(mode="json"))
            )
            change = Change(
                at=revocation.at,
                who=revocation.who,
                action="revoke",
                subject=f"{revocation.kind}:{revocation.value}",
                why=revocation.why,
                before=before.model_dump_json() if before else None,
                after=after.model_dump_json(),
            )
            record(session, change)
            return True

    def list(self, at: datetime) -> Revocations:
        """What counts at a moment, the latest first."""
        query = select(RevocationRow).where(col(RevocationRow.until) > at)
        with self._database.read() as session:
            found = [Revocation.model_validate(row.body) for row in session.exec(query)]
        return sorted(found, key=lambda one: (one.at, one.kind, one.value), reverse=True)

    def prune(self, at: datetime) -> int:
        """Forget what has ended by a moment; how many those were. The record of changes keeps them."""
        with self._database.write(notify=False) as session:
            ended = delete(RevocationRow).where(col(RevocationRow.until) <= at)
            return int(session.connection().execute(ended).rowcount)


def _joined(before: Revocation | None, new: Revocation) -> Revocation:
    if before is None:
        return new
    at, until = max(before.at, new.at), max(before.until, new.until)
    if new.kind == "token" or at == before.at:
        # A token that is revoked cannot be revoked further; only how long that is remembered may grow.
        return before.model_copy(update={"until": until})
    return new.model_copy(update={"at": at, "until": until})
