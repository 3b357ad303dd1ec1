"""Saved views: filters that have a name, and that other filters use as ``@NAME``."""

from sqlmodel import Session, select

from inventory.model import Change, Moment, Slug, Value, utc_now
from inventory.query import parse
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.tables_history import ViewRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Views = list["View"]


class View(Value):
    """A filter that has a name, and who saved it when."""

    name: Slug
    filter: str
    who: str
    at: Moment


class ViewRepository:
    """Every saved view, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, name: str, filter_text: str, *, who: str) -> View:
        """Insert or replace. Raises QueryError for a filter that cannot be read, or would be made of itself."""
        view = View(name=name, filter=filter_text, who=who, at=utc_now())
        with self._database.write() as session:
            views = views_in(session) | {name: filter_text}
            parse(f"@{name}", views)
            before = session.get(ViewRow, name)
            self._record(session, "save view", name, who, before, view)
            session.merge(ViewRow(name=name, body=view.model_dump(mode="json")))
        return view

    def list(self) -> Views:
        """Every view, by name."""
        with self._database.read() as session:
            return [View.model_validate(row.body) for row in session.exec(select(ViewRow).order_by(ViewRow.name))]

    def remove(self, name: str, *, who: str) -> bool:
        """Forget a view. Whether there was one."""
        with self._database.write() as session:
            row = session.get(ViewRow, name)
            if row is None:
                return False
            self._record(session, "remove view", name, who, row, None)
            session.delete(row)
            return True

    @staticmethod
    def _record(session: Session, action: str, name: str, who: str, before: ViewRow | None, after: View | None) -> None:
        change = Change(
            at=utc_now(),
            who=who,
            action=action,
            subject=f"view:{name}",
            why="a filter with a name",
            before=View.model_validate(before.body).model_dump_json() if before else None,
            after=after.model_dump_json() if after else None,
        )
        record(session, change)


def views_in(session: Session) -> dict[str, str]:
    """The filters of all views, by name."""
    return {row.name: str(row.body["filter"]) for row in session.exec(select(ViewRow))}
