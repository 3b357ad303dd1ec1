"""Routes: revisions, appended. The latest is what is desired."""

from sqlalchemy import func
from sqlmodel import Session, col, select

from inventory.model import Change, Revision, RouteSpec, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.tables import RevisionRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Revisions = list[Revision]


class RouteRepository:
    """The desired state of every name on the gateway, with its whole past."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, spec: RouteSpec, *, who: str, why: str) -> Revision:
        """Make a specification the desired state of its route."""
        with self._database.write() as session:
            return append_revision(session, spec.name, spec, who, why)

    def remove(self, name: str, *, who: str, why: str) -> Revision:
        """Make it desired that there be no such route. Raises LookupError where there is none."""
        with self._database.write() as session:
            latest = latest_revision(session, name)
            if latest is None or latest.spec is None:
                raise LookupError(f"there is no route {name!r}: `gnomon routes` lists them")
            return append_revision(session, name, None, who, why)

    def get(self, name: str) -> Revision | None:
        """The latest revision of a route; its ``spec`` is None once removed."""
        with self._database.read() as session:
            return latest_revision(session, name)

    def list(self) -> Revisions:
        """The latest revision of every route that is not removed, by name."""
        newest = select(func.max(RevisionRow.id)).group_by(col(RevisionRow.route))
        query = select(RevisionRow).where(col(RevisionRow.id).in_(newest)).order_by(RevisionRow.route)
        with self._database.read() as session:
            revisions = [Revision.model_validate(row.body) for row in session.exec(query)]
        return [revision for revision in revisions if revision.spec is not None]

    def history(self, name: str) -> Revisions:
        """Every revision of a route, newest first."""
        query = select(RevisionRow).where(RevisionRow.route == name).order_by(col(RevisionRow.number).desc())
        with self._database.read() as session:
            return [Revision.model_validate(row.body) for row in session.exec(query)]


def append_revision(session: Session, name: str, spec: RouteSpec | None, who: str, why: str) -> Revision:
    """Append a revision and its record, inside a transaction."""
    before = latest_revision(session, name)
    number = before.number + 1 if before else 1
    revision = Revision(route=name, number=number, spec=spec, at=utc_now(), who=who, why=why)
    session.add(RevisionRow(route=name, number=number, body=revision.model_dump(mode="json")))
    action = "route" if spec else "release"
    record(session, Change(
        at=revision.at, who=who, action=action, subject=f"route:{name}", why=why,
        before=before.spec.model_dump_json() if before and before.spec else None,
        after=spec.model_dump_json() if spec else None,
    ))  # fmt: skip
    return revision


def latest_revision(session: Session, name: str) -> Revision | None:
    """The latest revision of a route, inside a transaction."""
    query = select(RevisionRow).where(RevisionRow.route == name).order_by(col(RevisionRow.number).desc())
    row = session.exec(query.limit(1)).first()
    return Revision.model_validate(row.body) if row else None
