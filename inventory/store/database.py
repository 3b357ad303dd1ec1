"""Engine, transactions and the clock that tells other processes that something was written."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from sqlalchemy import ClauseElement, Connection, Engine, event, inspect, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session, SQLModel, col, create_engine

from inventory.store import bell
from inventory.store.bell import CHANNEL, Bell, FileBell, PostgresBell
from inventory.store.errors import StoreError, explain, hide_password
from inventory.store.tables import ClockRow

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.sql.compiler import SQLCompiler

BUSY_SECONDS = 30
CACHE_KIBIBYTES = 32_768
"""Pages that a connection to SQLite keeps at most. What a transaction changes beyond is written twice."""

_CLOCK = "gnomon_clock"
_TICK: Final = update(ClockRow).values(value=ClockRow.value + 1).returning(col(ClockRow.value))
_VERSION: Final = select(col(ClockRow.value))


T = TypeVar("T")


class _Compiled(NamedTuple):
    """A statement in the driver's words, the parameters that it has of itself, and the order of all; None by name."""

    words: str
    fixed: dict[str, Any]
    names: tuple[str, ...] | None


class Database:
    """One database and its transactions. Safe to use from several threads at once."""

    def __init__(self, url: str) -> None:
        """Connect lazily. Raises StoreError for a URL that is neither SQLite nor PostgreSQL."""
        self.url = url
        self._parsed = _parse(url)
        self.engine = _engine(self._parsed)
        self._file = Path(str(self._parsed.database)) if self._parsed.drivername == "sqlite" else None
        self._compiled: dict[ClauseElement, _Compiled] = {}

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view. Raises StoreError where the database fails."""
        with self._session(write=False) as session:
            yield session

    @contextmanager
    def write(self, *, notify: bool = True, ring: bool = True) -> Iterator[Session]:
        """A transaction: all of it or nothing. Raises StoreError where the database fails.

        It takes the clock first, and with it its turn: on PostgreSQL as on SQLite there is one writer at
        a time, so that nobody replaces what he has not read, and versions are committed in their order.
        ``notify`` False is for heartbeats, which nobody needs to hear of at once and which wait for nobody.
        ``ring`` False is for counts, which grow all the time: whoever asks for the version learns of them, and
        nobody is woken who decides nothing by them.
        """
        with self._session(write=True) as session:
            if notify:
                session.info[_CLOCK] = session.connection().execute(_TICK).scalar_one()
                if ring and self._file is None:
                    session.connection().execute(text(f"NOTIFY {CHANNEL}"))
            yield session
        if notify and ring and self._file is not None:
            bell.ring(self._file)

    def bell(self) -> Bell | None:
        """Something that becomes readable whenever a write that rings is committed; None where none is to be had."""
        try:
            return PostgresBell(self._parsed) if self._file is None else FileBell(self._file)
        except OSError:
            return None

    @contextmanager
    def _session(self, *, write: bool) -> Iterator[Session]:
        try:
            with (
                self.engine.connect() as connection,
                Session(connection.execution_options(gnomon_write=write), expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session
        except SQLAlchemyError as error:
            raise explain(self.url, error) from error

    def version(self) -> int:
        """How many writes were ever committed, by any process."""
        return next((int(value) for (value,) in self.glance(_VERSION)), 0)

    def glance(self, statement: ClauseElement, /, **parameters: Any) -> Iterator[Any]:
        """The rows of one query, as the driver gives them. Raises StoreError where the database fails.

        For what is asked many times a second, or while callers wait: it goes straight to the driver, past everything
        that makes a session, and costs a tenth. A statement is compiled once, so it has to be one of a module. On
        PostgreSQL all rows are held at once.
        """
        words, fixed, names = self._compiled.get(statement) or self._compile(statement)
        values: Any = fixed | parameters
        if names is not None:
            values = tuple(values[name] for name in names)
        try:
            with closing(self.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
                cursor.execute(words, values)
                yield from cast("Iterator[Any]", cursor)
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            raise explain(self.url, error) from error

    def _compile(self, statement: ClauseElement) -> _Compiled:
        compiled = cast("SQLCompiler", statement.compile(dialect=self.engine.dialect))
        names = tuple(compiled.positiontup or ()) if compiled.positional else None
        made = self._compiled[statement] = _Compiled(str(compiled), dict(compiled.params), names)
        return made

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def clock_of(session: Session) -> int:
    """The version of the store that a transaction of ``write`` will have made."""
    number: int = session.info[_CLOCK]
    return number


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            f"{hide_password(url)!r} is not a database URL: write sqlite:///FILE or postgresql://USER@HOST/NAME"
        ) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise StoreError(f"databases of kind {parsed.drivername!r} are not supported: use sqlite or postgresql")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError("a SQLite database needs a file: write sqlite:///FILE")
    return parsed


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # An inventory of what is open to strangers is not for every user of the machine to read.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"the database {path} cannot be opened: {error.strerror}") from error
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own transaction handling begins too late: a write lock taken halfway through a
    # transaction fails at once instead of waiting, so BEGIN is ours to say.
    connection.isolation_level = None
    pragmas = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", f"cache_size = -{CACHE_KIBIBYTES}")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("gnomon_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def insert_into(session: Session, table: type[SQLModel]) -> "postgresql.Insert | sqlite.Insert":
    """An INSERT in the dialect of the session's database, which can say what happens on a conflict."""
    return _inserting(session.get_bind().dialect.name, table)


def _inserting(dialect: str, table: type[SQLModel]) -> "postgresql.Insert | sqlite.Insert":
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert(session: Session, table: type[SQLModel], rows: list[dict[str, Any]]) -> None:
    """Insert rows, each in the place of the one with its primary key: all in one go, where a merge asks for each."""
    if rows:
        statement = _upserting(session.get_bind().dialect.name, table, tuple(rows[0]))
        session.connection().execute(statement, rows)


@lru_cache(64)
def _upserting(dialect: str, table: type[SQLModel], names: tuple[str, ...]) -> "postgresql.Insert | sqlite.Insert":
    """Putting it together takes longer than a row: it is the same each time."""
    insert = _inserting(dialect, table)
    keys = [column.name for column in inspect(table).primary_key]
    rest = {name: insert.excluded[name] for name in names if name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=rest)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of that size, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
