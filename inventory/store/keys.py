"""API keys: digests, owners and ends. Neither a key nor its digest is ever part of the record of changes."""

from datetime import datetime

from sqlmodel import Session, select

from inventory.model import ApiKey, Change, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.governance_tables import ApiKeyRow

# Inside a class with a method of that name, ``list`` is no longer the type.
ApiKeys = list[ApiKey]


class KeyRepository:
    """Every API key that was ever made, by its id, which is public."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, key: ApiKey, *, who: str, why: str) -> None:
        """Put a new key on record. Raises LookupError for an id that is taken."""
        with self._database.write() as session:
            if session.get(ApiKeyRow, key.id) is not None:
                raise LookupError(f"there is a key {key.id!r} already")
            _record(session, "create key", key.id, who, why, None, key)
            session.add(_row(key))

    def get(self, key_id: str) -> ApiKey | None:
        """The key of that id, revoked and expired ones included."""
        with self._database.read() as session:
            row = session.get(ApiKeyRow, key_id)
            return ApiKey.model_validate(row.body) if row else None

    def list(self) -> ApiKeys:
        """Every key, whichever ends first at the top; revoked and expired ones included."""
        query = select(ApiKeyRow).order_by(ApiKeyRow.expires_at, ApiKeyRow.id)  # type: ignore[arg-type]
        with self._database.read() as session:
            return [ApiKey.model_validate(row.body) for row in session.exec(query)]

    def revoke(self, key_id: str, *, who: str, why: str) -> bool:
        """Believe a key no longer, for good. Whether there was one that was not revoked.

        Tokens that were issued for it are a ``Revocation`` of its principal, which the caller adds.
        """
        with self._database.write() as session:
            row = session.get(ApiKeyRow, key_id)
            before = ApiKey.model_validate(row.body) if row else None
            if before is None or before.revoked_at is not None:
                return False
            after = before.model_copy(update={"revoked_at": utc_now()})
            _record(session, "revoke key", key_id, who, why, before, after)
            session.merge(_row(after))
            return True

    def used(self, key_id: str, at: datetime) -> None:
        """Keep when a key was used last. It wakes nobody; an earlier moment than the one known changes nothing."""
        with self._database.write(notify=False) as session:
            row = session.get(ApiKeyRow, key_id, with_for_update=True)
            known = ApiKey.model_validate(row.body) if row else None
            if known is not None and (known.last_used_at is None or known.last_used_at < at):
                session.merge(_row(known.model_copy(update={"last_used_at": at})))


def _row(key: ApiKey) -> ApiKeyRow:
    return ApiKeyRow(id=key.id, expires_at=key.expires_at, body=key.model_dump(mode="json"))


def _shown(key: ApiKey | None) -> str | None:
    return key.model_dump_json(exclude={"digest"}) if key else None


def _record(
    session: Session, action: str, key_id: str, who: str, why: str, before: ApiKey | None, after: ApiKey | None
) -> None:
    change = Change(
        at=utc_now(),
        who=who,
        action=action,
        subject=f"key:{key_id}",
        why=why,
        before=_shown(before),
        after=_shown(after),
    )
    record(session, change)
