"""Rollouts: where each stands, how it came there, and what is seen of its step.

A step is taken in one transaction: the route's new revision, the rollout's new position and the record of
both. So a process that is killed, or two that run at once, neither skip a step nor repeat one.
"""

from sqlmodel import Session, col, select

from inventory.model import Change, Rollout, RouteSpec, Transition, Watch, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.rollout_tables import RolloutRow, TransitionRow, WatchRow
from inventory.store.routes import append_revision, latest_revision

ACTIVE = ("running", "paused")


class RolloutRepository:
    """The latest rollout of every route."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, route: str) -> Rollout | None:
        """The latest rollout of a route, ended or not."""
        with self._database.read() as session:
            return _get(session, route)

    def active(self) -> list[Rollout]:
        """The rollouts that have not ended, by route."""
        query = select(RolloutRow).where(col(RolloutRow.status).in_(ACTIVE)).order_by(RolloutRow.route)
        with self._database.read() as session:
            return [Rollout.model_validate(row.body) for row in session.exec(query)]

    def begin(self, rollout: Rollout, spec: RouteSpec, *, who: str, why: str) -> Rollout:
        """Put a rollout on record, and the route at its first step.

        LookupError where another rollout of the route has not ended.
        """
        with self._database.write() as session:
            # Of two which begin at once, one fails: both would write the same number of a revision.
            revision = append_revision(session, rollout.route, spec, who, why)
            before = _get(session, rollout.route)
            if before is not None and before.active:
                raise LookupError(
                    f"a rollout of {rollout.route} is {before.status.value} at {before.step.words}: "
                    f"`gnomon rollout {rollout.route} abort` ends it"
                )
            begun = rollout.model_copy(update={"revision": revision.number, "version": 1, "why": why})
            _write(session, None, begun, who, revision.number)
            return begun

    def move(self, before: Rollout, after: Rollout, spec: RouteSpec | None, *, who: str) -> Rollout | None:
        """Make ``after`` of ``before``, and ``spec`` of the route where it is given. ``after.why`` is the reason.

        None, and nothing done, where the rollout is no longer as it was, or where a ``spec`` would overwrite a
        revision that the rollout does not know: whoever decided must look again.
        """
        with self._database.write() as session:
            current = _get(session, before.route, lock=True)
            if current is None or (current.id, current.version) != (before.id, before.version):
                return None
            number = None
            if spec is not None:
                latest = latest_revision(session, before.route)
                if latest is None or latest.spec is None or latest.number != after.revision:
                    return None
                number = append_revision(session, before.route, spec, who, after.why).number
            moved = after.model_copy(update={"version": before.version + 1, "revision": number or after.revision})
            _write(session, before, moved, who, number)
            return moved

    def transitions(self, route: str, limit: int = 50) -> list[Transition]:
        """How the rollouts of a route came to be where they are, newest first."""
        query = select(TransitionRow).where(TransitionRow.route == route)
        with self._database.read() as session:
            rows = session.exec(query.order_by(col(TransitionRow.number).desc()).limit(limit))
            return [Transition.model_validate(row.body) for row in rows]

    def watch(self, route: str) -> Watch | None:
        """What was last seen of a route's rollout."""
        with self._database.read() as session:
            row = session.get(WatchRow, route)
            return Watch.model_validate(row.body) if row else None

    def save_watch(self, route: str, watch: Watch) -> None:
        """Keep what is seen. It wakes nobody."""
        with self._database.write(notify=False) as session:
            session.merge(WatchRow(route=route, body=watch.model_dump(mode="json")))


def _get(session: Session, route: str, *, lock: bool = False) -> Rollout | None:
    row = session.get(RolloutRow, route, with_for_update=lock or None)
    return Rollout.model_validate(row.body) if row else None


def _write(session: Session, before: Rollout | None, after: Rollout, who: str, revision: int | None) -> None:
    """The rollout as it is now, and the record of how it came to be so."""
    session.merge(RolloutRow(route=after.route, status=after.status.value, body=after.model_dump(mode="json")))
    where = before.step.words if before else ""
    transition = Transition(
        rollout=after.id,
        route=after.route,
        at=utc_now(),
        who=who,
        why=after.why,
        before=where,
        after=after.step.words,
        status=after.status,
        revision=revision,
    )
    session.add(TransitionRow(route=after.route, at=transition.at, body=transition.model_dump(mode="json")))
    change = Change(
        at=transition.at,
        who=who,
        action="rollout",
        subject=f"route:{after.route}",
        why=after.why,
        before=f"{where}, {before.status.value}" if before else None,
        after=f"{after.step.words}, {after.status.value}",
    )
    record(session, change)
