"""Routes: revisions, appended. The latest is what is desired."""

import threading
import uuid
from collections.abc import Mapping
from typing import Final, NamedTuple

from sqlalchemy import Text, bindparam, cast, func, insert
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from inventory.model import Change, Revision, RouteSpec, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.tables import RevisionRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Revisions = list[Revision]

# Made once: each change of a route asks both, and callers wait for it.
_BODY: Final = cast(col(RevisionRow.body), Text)
_LATEST: Final = (
    sa_select(_BODY)
    .where(col(RevisionRow.route) == bindparam("route"))
    .order_by(col(RevisionRow.number).desc())
    .limit(1)
)
# By an expression and not by the column: SQLite would go through the index of all routes, however few are new.
_NEWEST: Final = (
    sa_select(func.max(RevisionRow.id))
    .where(col(RevisionRow.id) > bindparam("cursor"))
    .group_by(col(RevisionRow.route).concat(""))
)
_NEWS: Final = (
    sa_select(col(RevisionRow.id), col(RevisionRow.route), col(RevisionRow.number), _BODY)
    .where(col(RevisionRow.id).in_(_NEWEST))
    .order_by(col(RevisionRow.route))
)
_APPEND: Final = insert(RevisionRow)


class StaleError(LookupError):
    """A change that was made for a state which is no longer there. Its text says which route moved on."""


class News(NamedTuple):
    """The latest revision of every route that changed, removed ones included, and where to go on from."""

    revisions: Revisions
    cursor: int


class RouteRepository:
    """The desired state of every name on the gateway, with its whole past."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listing = threading.Lock()
        self._latest: dict[str, Revision] = {}
        self._known: dict[str, Revision] = {}
        self._cursor = 0

    def put(self, spec: RouteSpec, *, who: str, why: str) -> Revision:
        """Make a specification the desired state of its route."""
        return self.change({spec.name: spec}, who=who, why=why)[0]

    def remove(self, name: str, *, who: str, why: str) -> Revision:
        """Make it desired that there be no such route. Raises LookupError where there is none."""
        latest = self.get(name)
        if latest is None or latest.spec is None:
            raise LookupError(f"there is no route {name!r}: `gnomon routes` lists them")
        return self.change({name: None}, who=who, why=why)[0]

    def change(
        self,
        wanted: Mapping[str, RouteSpec | None],
        *,
        who: str,
        why: str,
        after: Mapping[str, int] | None = None,
    ) -> Revisions:
        """Make several specifications desired in one transaction; None removes a route.

        Revisions of one change stand or fall together on a gateway. ``after`` maps a route to the number that its
        latest revision must still have (0 where there is none), and StaleError, a LookupError, is raised where it has
        another.
        """
        together = uuid.uuid4().hex[:12] if len(wanted) > 1 else ""
        with self._database.write() as session:
            for name, number in (after or {}).items():
                latest = latest_revision(session, name)
                found = latest.number if latest else 0
                if found != number:
                    raise StaleError(f"the route {name!r} is at revision {found} by now, not {number}: look again")
            return [append_revision(session, name, spec, who, why, together) for name, spec in wanted.items()]

    def get(self, name: str) -> Revision | None:
        """The latest revision of a route; its ``spec`` is None once removed."""
        with self._database.read() as session:
            return latest_revision(session, name)

    def list(self) -> Revisions:
        """The latest revision of every route that is not removed, by name.

        Only what is new since the last call is read: revisions are never changed, and several parts of a daemon ask
        again and again.
        """
        with self._listing:
            news = self.since(self._cursor)
            added = False
            for one in news.revisions:
                if one.spec is None:
                    self._latest.pop(one.route, None)
                else:
                    added = added or one.route not in self._latest
                    self._latest[one.route] = one
            if added:
                self._latest = dict(sorted(self._latest.items()))
            self._cursor = news.cursor
            return [*self._latest.values()]

    def since(self, cursor: int) -> News:
        """What changed after a cursor, by name; 0 is the beginning, and gives every route that ever was.

        Who asks gets the same objects as whoever asked before: ten thousand routes are in memory once.
        """
        found, last = [], cursor
        for id_, route, number, text in self._database.glance(_NEWS, cursor=cursor):
            known = self._known.get(route)
            if known is None or known.number != number:
                known = self._known[route] = Revision.model_validate_json(text)
            found.append(known)
            last = max(last, id_)
        return News(found, last)

    def history(self, name: str) -> Revisions:
        """Every revision of a route, newest first."""
        query = select(RevisionRow).where(RevisionRow.route == name).order_by(col(RevisionRow.number).desc())
        with self._database.read() as session:
            return [Revision.model_validate(row.body) for row in session.exec(query)]

    def revision(self, name: str, number: int) -> Revision | None:
        """One revision of a route; None where there is none of that number."""
        query = select(RevisionRow).where(RevisionRow.route == name, RevisionRow.number == number)
        with self._database.read() as session:
            row = session.exec(query).first()
            return Revision.model_validate(row.body) if row else None


def append_revision(
    session: Session, name: str, spec: RouteSpec | None, who: str, why: str, change: str = ""
) -> Revision:
    """Append a revision and its record, inside a transaction. ``change`` is that of all that are made with it."""
    before = latest_revision(session, name)
    number = before.number + 1 if before else 1
    revision = Revision(route=name, number=number, spec=spec, at=utc_now(), who=who, why=why, change=change)
    row = {"route": name, "number": number, "body": revision.model_dump(mode="json")}
    session.connection().execute(_APPEND, row)
    action = "route" if spec else "release"
    record(session, Change(
        at=revision.at, who=who, action=action, subject=f"route:{name}", why=why,
        before=before.spec.model_dump_json() if before and before.spec else None,
        after=spec.model_dump_json() if spec else None,
    ))  # fmt: skip
    return revision


def latest_revision(session: Session, name: str) -> Revision | None:
    """The latest revision of a route, inside a transaction."""
    text = session.connection().execute(_LATEST, {"route": name}).scalar()
    return Revision.model_validate_json(text) if text is not None else None
