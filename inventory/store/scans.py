"""Scopes, schedules, scans, and the leases that keep two runs of one scope apart."""

from datetime import timedelta

from sqlmodel import Session, col, select

from inventory.model import Change, Scan, Schedule, Scope, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.tables import LeaseRow, ScanRow, ScheduleRow, ScopeRow

# Inside a class with a method of that name, ``list`` is no longer the type.
Scopes = list[Scope]
Schedules = list[Schedule]
Scans = list[Scan]


class ScopeRepository:
    """What may be scanned, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, scope: Scope, *, who: str = "gnomon", why: str = "authorised") -> None:
        """Insert or replace, which is an authorisation, and so on record."""
        with self._database.write() as session:
            before = session.get(ScopeRow, scope.name)
            self._record(session, "authorise", scope.name, who, why, before, scope)
            session.merge(ScopeRow(name=scope.name, body=scope.model_dump(mode="json")))

    def get(self, name: str) -> Scope | None:
        """The scope of that name."""
        with self._database.read() as session:
            row = session.get(ScopeRow, name)
            return Scope.model_validate(row.body) if row else None

    def list(self) -> Scopes:
        """Every scope, by name."""
        with self._database.read() as session:
            return [Scope.model_validate(row.body) for row in session.exec(select(ScopeRow).order_by(ScopeRow.name))]

    def remove(self, name: str, *, who: str = "gnomon", why: str = "withdrawn") -> bool:
        """Forget a scope and its schedules; what was seen in it stays. Whether there was one."""
        with self._database.write() as session:
            row = session.get(ScopeRow, name)
            if row is None:
                return False
            for schedule in session.exec(select(ScheduleRow).where(ScheduleRow.scope == name)):
                session.delete(schedule)
            self._record(session, "withdraw", name, who, why, row, None)
            session.delete(row)
            return True

    @staticmethod
    def _record(
        session: Session, action: str, name: str, who: str, why: str, before: ScopeRow | None, after: Scope | None
    ) -> None:
        change = Change(
            at=utc_now(),
            who=who,
            action=action,
            subject=f"scope:{name}",
            why=why,
            before=Scope.model_validate(before.body).model_dump_json() if before else None,
            after=after.model_dump_json() if after else None,
        )
        record(session, change)


class ScheduleRepository:
    """When scopes are scanned, by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, schedule: Schedule) -> None:
        """Insert or replace."""
        row = ScheduleRow(name=schedule.name, scope=schedule.scope, body=schedule.model_dump(mode="json"))
        with self._database.write() as session:
            session.merge(row)

    def get(self, name: str) -> Schedule | None:
        """The schedule of that name."""
        with self._database.read() as session:
            row = session.get(ScheduleRow, name)
            return Schedule.model_validate(row.body) if row else None

    def list(self) -> Schedules:
        """Every schedule, by name."""
        with self._database.read() as session:
            rows = session.exec(select(ScheduleRow).order_by(ScheduleRow.name))
            return [Schedule.model_validate(row.body) for row in rows]

    def remove(self, name: str) -> bool:
        """Forget a schedule. Whether there was one."""
        with self._database.write() as session:
            row = session.get(ScheduleRow, name)
            if row is not None:
                session.delete(row)
            return row is not None


class ScanRepository:
    """Every scan that was ever started."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, scan: Scan) -> None:
        """Insert, or replace the scan of that id."""
        row = ScanRow(
            id=scan.id,
            scope=scan.scope,
            site=scan.site,
            status=scan.status.value,
            started_at=scan.started_at,
            body=scan.model_dump(mode="json"),
        )
        with self._database.write() as session:
            session.merge(row)

    def get(self, scan_id: str) -> Scan | None:
        """The scan of that id."""
        with self._database.read() as session:
            row = session.get(ScanRow, scan_id)
            return Scan.model_validate(row.body) if row else None

    def list(self, scope: str | None = None, limit: int = 50) -> Scans:
        """The latest scans, newest first."""
        query = select(ScanRow).order_by(col(ScanRow.started_at).desc(), col(ScanRow.id).desc()).limit(limit)
        if scope is not None:
            query = query.where(ScanRow.scope == scope)
        with self._database.read() as session:
            return [Scan.model_validate(row.body) for row in session.exec(query)]

    def latest(self, limit: int) -> Scans:
        """The latest scans, and the last of each scope and status, however long ago it was; newest first."""
        # What it brings along is of no use to a scan, which waits for this module before its first probe.
        from inventory.store.trends import scans_in

        with self._database.read() as session:
            return sorted(scans_in(session, limit), key=lambda scan: (scan.started_at, scan.id), reverse=True)


class LeaseRepository:
    """Names that one holder at a time may have, each until a moment: a dead holder blocks nobody for long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew a name. False while another holder has it."""
        now = utc_now()
        with self._database.write(notify=False) as session:
            row = session.get(LeaseRow, name, with_for_update=True)
            if row is not None and row.holder != holder and row.expires_at > now:
                return False
            session.merge(LeaseRow(name=name, holder=holder, expires_at=now + timedelta(seconds=seconds)))
            return True

    def holder(self, name: str) -> str | None:
        """Who has a name, whether or not its time is over."""
        with self._database.read() as session:
            row = session.get(LeaseRow, name)
            return row.holder if row else None

    def release(self, name: str, holder: str) -> None:
        """Give a name back; nothing happens where another holder has it."""
        with self._database.write(notify=False) as session:
            row = session.get(LeaseRow, name)
            if row is not None and row.holder == holder:
                session.delete(row)
