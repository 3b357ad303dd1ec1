"""Callers: who was seen, who was declared, and what is known of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import case
from sqlmodel import Session, col, select

from inventory.model import Attribute, Change, Principal, PrincipalKind, utc_now
from inventory.store.changes import record
from inventory.store.database import Database, batches, insert_into
from inventory.store.governance_tables import PrincipalRow

_AT_ONCE = 500

# Inside a class with a method of that name, ``list`` is no longer the type.
Principals = list[Principal]


class PrincipalRepository:
    """Every caller that was seen or declared, by id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, principals: Iterable[Principal]) -> None:
        """Keep callers whose attributes were proved: by a token of an issuer's, or by the key's own record.

        The earliest ``first_seen``, the latest ``last_seen``, and the attributes of whichever was seen last: an
        attribute that an issuer no longer tells is gone. Whoever waits for news is woken where somebody is new or
        has other attributes.
        """
        newest = _newest(principals)
        if newest:
            with self._database.read() as session:
                known = {row.id: row for batch in batches(newest, _AT_ONCE) for row in _rows(session, batch)}
            news = any(
                one.id not in known or known[one.id].attributes != _document(one.attributes) for one in newest.values()
            )
            with self._database.write(notify=news) as session:
                _upsert(session, newest.values(), proved=True)

    def touched(self, principals: Iterable[Principal]) -> None:
        """Keep when callers were seen, of whom the call proves nothing else: what is known of them stays.

        Certificates, and gateway tokens. One that is not known is kept as it is given.
        """
        if newest := _newest(principals):
            with self._database.write(notify=False) as session:
                _upsert(session, newest.values(), proved=False)

    def declare(
        self, id_: str, kind: PrincipalKind, attributes: Mapping[str, Attribute], *, who: str, why: str
    ) -> Principal:
        """Say what is known of a caller, on record. Of an issuer's caller, the next token of theirs says it anew."""
        now = utc_now()
        with self._database.write() as session:
            row = session.get(PrincipalRow, id_)
            before = None if row is None else _attributes_text(row.attributes)
            principal = Principal(
                id=id_,
                kind=kind,
                attributes=dict(attributes),
                first_seen=row.first_seen if row else now,
                last_seen=row.last_seen if row else now,
            )
            session.merge(_row(principal))
            after = _attributes_text(_document(principal.attributes))
            change = Change(
                at=now, who=who, action="declare", subject=f"principal:{id_}", why=why, before=before, after=after
            )
            record(session, change)
        return principal

    def get(self, id_: str) -> Principal:
        """The caller of that id. Raises LookupError, with a sentence, where there is none."""
        with self._database.read() as session:
            row = session.get(PrincipalRow, id_)
        if row is None:
            raise LookupError(f"no caller {id_!r} was seen or declared")
        return _principal(row)

    def list(self, since: datetime | None = None) -> Principals:
        """Every caller, or those that were seen since a moment, by id."""
        query = select(PrincipalRow).order_by(PrincipalRow.id)
        if since is not None:
            query = query.where(PrincipalRow.last_seen >= since)
        with self._database.read() as session:
            return [_principal(row) for row in session.exec(query)]


def _newest(principals: Iterable[Principal]) -> dict[str, Principal]:
    """One value of each id: one statement may not write a row twice."""
    newest: dict[str, Principal] = {}
    for one in principals:
        other = newest.get(one.id, one)
        last, first = (one, other) if one.last_seen >= other.last_seen else (other, one)
        earliest = min(first.first_seen, last.first_seen)
        newest[one.id] = last if last.first_seen == earliest else last.model_copy(update={"first_seen": earliest})
    return newest


def _rows(session: Session, ids: Iterable[str]) -> Iterable[PrincipalRow]:
    return session.exec(select(PrincipalRow).where(col(PrincipalRow.id).in_(list(ids))))


def _upsert(session: Session, principals: Iterable[Principal], *, proved: bool) -> None:
    for batch in batches(principals, _AT_ONCE):
        statement = insert_into(session, PrincipalRow).values([_row(one).model_dump() for one in batch])
        new = statement.excluded
        later, earlier = new.last_seen >= PrincipalRow.last_seen, new.first_seen < PrincipalRow.first_seen
        values = {
            "first_seen": case((earlier, new.first_seen), else_=PrincipalRow.first_seen),
            "last_seen": case((later, new.last_seen), else_=PrincipalRow.last_seen),
        }
        if proved:
            values["attributes"] = case((later, new.attributes), else_=PrincipalRow.attributes)
        session.connection().execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def _row(one: Principal) -> PrincipalRow:
    return PrincipalRow(
        id=one.id,
        kind=one.kind.value,
        first_seen=one.first_seen,
        last_seen=one.last_seen,
        attributes=_document(one.attributes),
    )


def _principal(row: PrincipalRow) -> Principal:
    return Principal(
        id=row.id,
        kind=PrincipalKind(row.kind),
        attributes=row.attributes,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
    )


def _document(attributes: Mapping[str, Attribute]) -> dict[str, str | list[str]]:
    return {name: value if isinstance(value, str) else [*value] for name, value in attributes.items()}


def _attributes_text(attributes: Mapping[str, str | list[str]]) -> str:
    return ", ".join(
        f"{name}={value if isinstance(value, str) else '/'.join(value)}" for name, value in sorted(attributes.items())
    )
