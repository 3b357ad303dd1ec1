"""Invitations and members of the fleet. Neither a secret nor its digest is part of the record of changes."""

from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from inventory.model import Change, Invitation, Member, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.gateway_tables import InvitationRow, MemberRow
from inventory.store.gateways import forget


class FleetRepository:
    """Who may join, and who has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def invite(self, invitation: Invitation, *, who: str, why: str) -> None:
        """Give leave to join. Those that have ended are forgotten."""
        with self._database.write() as session:
            session.connection().execute(delete(InvitationRow).where(col(InvitationRow.expires_at) < utc_now()))
            _record(session, "invite gateway", invitation.gateway, who, why, after=invitation.expires_at.isoformat())
            session.add(_invitation(invitation))

    def redeem(self, digest: str, member: Member) -> str:
        """Use an invitation up, in one transaction with who joins by it. Why it is not good; "" where it is.

        ``member`` says everything but its name, which is the invitation's. Of two that come at once, one joins.
        """
        with self._database.write() as session:
            row = session.get(InvitationRow, digest, with_for_update=True)
            if row is None:
                return "the token is none that was given out here"
            known = Invitation.model_validate(row.body)
            if known.used_at is not None:
                return "the token was used before: make another one by `gnomon gateway --invite`"
            if known.expires_at <= member.joined_at:
                return "the token has expired: make another one by `gnomon gateway --invite`"
            joined = member.model_copy(update={"gateway": known.gateway})
            session.merge(_invitation(known.model_copy(update={"used_at": member.joined_at})))
            session.merge(_member(joined))
            _record(session, "join gateway", known.gateway, known.gateway, "by invitation", after=joined.enrolment)
            return ""

    def invited(self, digest: str) -> Invitation | None:
        """The invitation of that digest, used and ended ones included."""
        with self._database.read() as session:
            row = session.get(InvitationRow, digest)
            return Invitation.model_validate(row.body) if row else None

    def members(self) -> list[Member]:
        """Every gateway that joined, by name, those included that were expelled."""
        with self._database.read() as session:
            rows = session.exec(select(MemberRow).order_by(MemberRow.gateway)).all()
        return [Member.model_validate(row.body) for row in rows]

    def renewed(self, gateway: str, enrolment: str, ends_at: datetime) -> None:
        """Keep when the newest certificate of a member ends. It wakes nobody."""
        with self._database.write(notify=False) as session:
            row = session.get(MemberRow, gateway, with_for_update=True)
            known = Member.model_validate(row.body) if row else None
            if known is not None and known.enrolment == enrolment:
                session.merge(_member(known.model_copy(update={"ends_at": ends_at})))

    def expel(self, gateway: str, *, who: str, why: str) -> bool:
        """Refuse a gateway's certificates from now on. Whether there was one that was not refused before.

        What it reported of routes goes: nobody knows what it still serves.
        """
        with self._database.write() as session:
            row = session.get(MemberRow, gateway, with_for_update=True)
            known = Member.model_validate(row.body) if row else None
            if known is None or known.expelled_at is not None:
                return False
            session.merge(_member(known.model_copy(update={"expelled_at": utc_now()})))
            forget(session, gateway)
            _record(session, "expel gateway", gateway, who, why, before=known.enrolment)
            return True


def _invitation(one: Invitation) -> InvitationRow:
    return InvitationRow(digest=one.digest, expires_at=one.expires_at, body=one.model_dump(mode="json"))


def _member(one: Member) -> MemberRow:
    return MemberRow(gateway=one.gateway, body=one.model_dump(mode="json"))


def _record(
    session: Session,
    action: str,
    gateway: str,
    who: str,
    why: str,
    *,
    before: str | None = None,
    after: str | None = None,
) -> None:
    subject = f"gateway:{gateway}"
    record(session, Change(at=utc_now(), who=who, action=action, subject=subject, why=why, before=before, after=after))
