"""Policies: versions, and which of them count. Both are appended, so that what counted before is known."""

from sqlalchemy import func
from sqlmodel import Session, col, select

from inventory.model import Change, Engine, PolicySet, PolicyState, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.governance_tables import PolicySetRow, PolicyStateRow

SUBJECT = "policies"

# Inside a class with a method of that name, ``list`` is no longer the type.
PolicySets = list[PolicySet]
PolicyStates = list[PolicyState]


class PolicyRepository:
    """Every version of the policies, and which are enforced or tried."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, engine: Engine, text: str, schema_text: str, *, who: str, why: str) -> PolicySet:
        """Append a version, with the number after the latest. It counts only once ``move`` says so."""
        with self._database.write() as session:
            latest = session.exec(select(func.max(col(PolicySetRow.number)))).one()
            added = PolicySet(
                number=(latest or 0) + 1,
                engine=engine,
                text=text,
                schema_text=schema_text,
                at=utc_now(),
                who=who,
                why=why,
            )
            session.add(PolicySetRow(number=added.number, body=added.model_dump(mode="json")))
            _record(session, "policy set", who, why, None, f"version {added.number} in {engine}")
            return added

    def get(self, number: int) -> PolicySet | None:
        """One version; None where there is none of that number."""
        with self._database.read() as session:
            row = session.get(PolicySetRow, number)
            return PolicySet.model_validate(row.body) if row else None

    def list(self) -> PolicySets:
        """Every version, newest first."""
        query = select(PolicySetRow).order_by(col(PolicySetRow.number).desc())
        with self._database.read() as session:
            return [PolicySet.model_validate(row.body) for row in session.exec(query)]

    def state(self) -> PolicyState:
        """Which versions count; before anybody decided, none does."""
        with self._database.read() as session:
            return _state(session)

    def states(self, limit: int = 50) -> PolicyStates:
        """What counted one after the other, newest first."""
        query = select(PolicyStateRow).order_by(col(PolicyStateRow.id).desc()).limit(limit)
        with self._database.read() as session:
            return [PolicyState.model_validate(row.body) for row in session.exec(query)]

    def move(self, before: PolicyState, after: PolicyState, *, who: str, why: str) -> PolicyState | None:
        """Make ``after`` of ``before``; its ``version`` becomes the next one.

        None, and nothing done, where the state is no longer as it was: whoever decided must look again. LookupError
        where ``after`` names a version that there is not.
        """
        with self._database.write() as session:
            if _state(session) != before:
                return None
            for number in (after.enforced, after.candidate):
                if number is not None and session.get(PolicySetRow, number) is None:
                    raise LookupError(f"there is no version {number} of the policies: `gnomon policy list` lists them")
            moved = after.model_copy(update={"version": before.version + 1})
            session.add(PolicyStateRow(id=moved.version, version=moved.version, body=moved.model_dump(mode="json")))
            _record(session, "policy", who, why, before.model_dump_json(), moved.model_dump_json())
            return moved


def _state(session: Session) -> PolicyState:
    row = session.exec(select(PolicyStateRow).order_by(col(PolicyStateRow.id).desc()).limit(1)).first()
    return PolicyState.model_validate(row.body) if row else PolicyState()


def _record(session: Session, action: str, who: str, why: str, before: str | None, after: str) -> None:
    change = Change(at=utc_now(), who=who, action=action, subject=SUBJECT, why=why, before=before, after=after)
    record(session, change)
