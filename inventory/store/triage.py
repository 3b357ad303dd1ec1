"""What people decided about endpoints."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from inventory.lifecycle import decide
from inventory.model import Change, Endpoint, Governance, Triage, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.endpoints import EndpointRepository
from inventory.store.rows import by_ids
from inventory.store.tables import TriageRow


class TriageRepository:
    """Decisions about endpoints, each with who, when, why, before and after."""

    def __init__(self, database: Database, endpoints: EndpointRepository) -> None:
        self._database = database
        self._endpoints = endpoints

    def get(self, endpoint_id: str) -> Triage:
        """What was decided about an endpoint; the default where nothing was."""
        with self._database.read() as session:
            return _triage(session, endpoint_id)

    def apply(
        self,
        ids: Iterable[str],
        *,
        governance: Governance | None = None,
        exempt_until: datetime | None = None,
        owner: str | None = None,
        who: str,
        why: str,
    ) -> list[Endpoint]:
        """Decide about endpoints, all or none. Returns them as they are then.

        ``owner`` of "" takes the owner away. Raises TransitionError for a decision that is not
        allowed, LookupError for an id that is not known.
        """
        now = utc_now()
        changed: list[Endpoint] = []
        with self._database.write() as session:
            for endpoint_id in ids:
                known = by_ids(session, [endpoint_id]).get(endpoint_id)
                if known is None:
                    raise LookupError(f"there is no endpoint {endpoint_id!r}: `gnomon endpoints` lists them")
                before = _triage(session, endpoint_id)
                after = before
                if governance is not None:
                    after = decide(after, governance, until=exempt_until, why=why, now=now)
                if owner is not None:
                    after = after.model_copy(update={"owner": owner or None})
                session.merge(TriageRow(endpoint=endpoint_id, body=after.model_dump(mode="json")))
                action = "decide" if governance is not None else "assign"
                record(session, Change(
                    at=now, who=who, action=action, subject=endpoint_id, why=why,
                    before=before.model_dump_json(), after=after.model_dump_json(),
                ))  # fmt: skip
                changed.append(known.model_copy(update={"owner": None}))
            session.flush()
            return self._endpoints.rewrite(session, changed, now)


def _triage(session: Session, endpoint_id: str) -> Triage:
    row = session.get(TriageRow, endpoint_id)
    return Triage.model_validate(row.body) if row else Triage(endpoint=endpoint_id)
