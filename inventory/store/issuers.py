"""Issuers whose tokens are believed, and the public keys that were last fetched of each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, select

from inventory.model import Change, Issuer, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.governance_tables import IssuerRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Issuers = list[Issuer]


class Held(NamedTuple):
    """An issuer with its keys, a JWK Set (RFC 7517), empty until they were fetched once.

    ``error`` says why the last attempt to fetch them failed, None where it did not; the keys are the last good ones.
    """

    issuer: Issuer
    keys: dict[str, Any]
    fetched_at: datetime | None
    error: str | None


AllHeld = list[Held]


class IssuerRepository:
    """Every issuer, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, issuer: Issuer, *, who: str, why: str) -> None:
        """Insert or replace. Keys stay where they come from the same place.

        Raises LookupError where another name has that URL: a token must have one issuer.
        """
        with self._database.write() as session:
            for row in session.exec(select(IssuerRow)):
                if row.name != issuer.name and row.body["url"] == issuer.url:
                    raise LookupError(f"{issuer.url} is the URL of the issuer {row.name!r} already")
            before = session.get(IssuerRow, issuer.name)
            old = Issuer.model_validate(before.body) if before else None
            _record(session, "trust issuer", issuer.name, who, why, old, issuer)
            body = issuer.model_dump(mode="json")
            if before is not None and old is not None and (old.url, old.jwks_url) == (issuer.url, issuer.jwks_url):
                before.body = body
                session.add(before)
            else:
                session.merge(IssuerRow(name=issuer.name, body=body, keys={}, fetched_at=None, error=None))

    def list(self) -> Issuers:
        """Every issuer, by name."""
        return [one.issuer for one in self.held()]

    def get(self, name: str) -> Issuer | None:
        """The issuer of that name."""
        with self._database.read() as session:
            row = session.get(IssuerRow, name)
            return Issuer.model_validate(row.body) if row else None

    def remove(self, name: str, *, who: str, why: str) -> bool:
        """Believe an issuer no longer. Whether there was one."""
        with self._database.write() as session:
            row = session.get(IssuerRow, name)
            if row is None:
                return False
            _record(session, "distrust issuer", name, who, why, Issuer.model_validate(row.body), None)
            session.delete(row)
            return True

    def held(self) -> "AllHeld":
        """Every issuer with its keys, by name."""
        with self._database.read() as session:
            return [_held(row) for row in session.exec(select(IssuerRow).order_by(IssuerRow.name))]

    def keys(self, name: str) -> dict[str, Any] | None:
        """The JWK Set of an issuer that was fetched last; None where none was."""
        with self._database.read() as session:
            row = session.get(IssuerRow, name)
            return dict(row.keys) if row and row.keys else None

    def save_keys(self, name: str, jwks: Mapping[str, Any], fetched_at: datetime) -> bool:
        """Keep what was fetched, and forget the last error. Whether the keys are others than before.

        The same keys once more wake nobody. A name that was removed meanwhile stays removed.
        """
        keys = dict(jwks)
        with self._database.read() as session:
            row = session.get(IssuerRow, name)
            news = row is not None and (row.keys != keys or row.error is not None)
        with self._database.write(notify=news) as session:
            row = session.get(IssuerRow, name)
            if row is None:
                return False
            changed = bool(row.keys != keys)
            row.keys, row.fetched_at, row.error = keys, fetched_at, None
            session.add(row)
            return changed

    def save_error(self, name: str, error: str) -> None:
        """Keep why the keys of an issuer could not be fetched, beside the last good ones."""
        with self._database.write(notify=False) as session:
            row = session.get(IssuerRow, name)
            if row is not None:
                row.error = error
                session.add(row)


def _held(row: IssuerRow) -> Held:
    return Held(Issuer.model_validate(row.body), dict(row.keys), row.fetched_at, row.error)


def _record(
    session: Session, action: str, name: str, who: str, why: str, before: Issuer | None, after: Issuer | None
) -> None:
    change = Change(
        at=utc_now(),
        who=who,
        action=action,
        subject=f"issuer:{name}",
        why=why,
        before=before.model_dump_json() if before else None,
        after=after.model_dump_json() if after else None,
    )
    record(session, change)
