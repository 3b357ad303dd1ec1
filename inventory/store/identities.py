"""What people say about identity: that a proposed place is the same application, or that a joined one is not."""

from datetime import datetime

from sqlmodel import Session

from inventory.changes import Happening
from inventory.lifecycle import TransitionError
from inventory.matching import Match, Tier
from inventory.model import Change, Endpoint, utc_now
from inventory.store.changes import record
from inventory.store.database import Database
from inventory.store.endpoints import EndpointRepository
from inventory.store.events import append
from inventory.store.links import Link, LinkState, ids_beginning, in_states, lead_over, link, of_ids, put
from inventory.store.recognition import settle_home, told
from inventory.store.rows import by_ids

Links = list[Link]


class IdentityRepository:
    """Which places are one application: proposals to decide, and decisions, each of which can be taken back."""

    def __init__(self, database: Database, endpoints: EndpointRepository) -> None:
        self._database = database
        self._endpoints = endpoints

    def of(self, endpoint_id: str) -> Links:
        """Every link that names an id, as a place or as an endpoint, but for that of an endpoint to itself."""
        with self._database.read() as session:
            return [one for one in of_ids(session, [endpoint_id]) if one.place != one.endpoint]

    def list(self, *states: LinkState, limit: int = 1000) -> Links:
        """The latest links in some states; proposals where none is named."""
        with self._database.read() as session:
            return in_states(session, states or (LinkState.PROPOSED,), limit)

    def named(self, beginning: str) -> str:
        """The id that begins so: of an endpoint, or of a place that belongs to one. Raises LookupError."""
        with self._database.read() as session:
            found = ids_beginning(session, beginning.lower()) if beginning else []
        if len(found) == 1:
            return found[0]
        if found:
            raise LookupError(f"{beginning!r} begins more than one id: give more of it")
        raise LookupError(f"there is no endpoint {beginning!r}: `gnomon endpoints` lists them")

    def confirm(self, place: str, endpoint: str | None, *, who: str, why: str) -> Endpoint:
        """Say that the application at a place is an endpoint; the proposed one where none is named.

        ``place`` is an endpoint's id, or that of a place that was split off. Returns the endpoint that they
        are then. Raises TransitionError where there is nothing to confirm, or more than one thing.
        """
        with self._database.write() as session:
            now = utc_now()
            before = self._one_link(session, place, (LinkState.PROPOSED, LinkState.SPLIT), endpoint)
            newcomer = by_ids(session, [place]).get(place)
            if before is not None:
                endpoint = before.endpoint
            if newcomer is None or endpoint is None or endpoint == place:
                raise TransitionError(
                    f"there is no proposal for {place!r} to confirm: name the other with --same-as ID"
                )
            target = by_ids(session, [endpoint]).get(endpoint)
            if target is None:
                raise TransitionError(f"{endpoint!r} is no endpoint of its own: `gnomon endpoints` lists them")
            settle_home(session, target, now)
            made = before or link(newcomer, Match(endpoint, Tier.PERSON, True, (why,)), LinkState.CONFIRMED, now)
            made = made.model_copy(update={"state": LinkState.CONFIRMED, "who": who, "at": now})
            put(session, [made])
            lead_over(session, place, endpoint)
            append(session, [told(newcomer, endpoint, Happening.JOINED, (why,), now)])
            return self._decided(session, before, made, who, why, now, endpoint)

    def split(self, place: str, *, who: str, why: str) -> Endpoint:
        """Say that the application at a place is one of its own, whatever speaks for another.

        ``place`` is the id of the place, or of an endpoint that has one other. Returns the endpoint that
        the place is then. Raises TransitionError where nothing is joined or proposed.
        """
        with self._database.write() as session:
            now = utc_now()
            before = self._one_link(
                session, place, (LinkState.AUTOMATIC, LinkState.CONFIRMED, LinkState.PROPOSED), None
            )
            if before is None:
                raise TransitionError(f"{place!r} is joined with nothing, and nothing is proposed: nothing to split")
            made = before.model_copy(update={"state": LinkState.SPLIT, "who": who, "at": now})
            put(session, [made])
            if before.state.joined:
                target = by_ids(session, [before.endpoint])[before.endpoint]
                append(session, [told(target, before.place, Happening.SPLIT, (why,), now)])
            return self._decided(session, before, made, who, why, now, before.place)

    def _one_link(self, session: Session, id_: str, states: tuple[LinkState, ...], endpoint: str | None) -> Link | None:
        """The link that is meant: of the place of that id; else of the one other place of the endpoint of that id."""
        links = [one for one in of_ids(session, [id_]) if one.state in states and one.place != one.endpoint]
        of_place = [one for one in links if one.place == id_ and endpoint in {None, one.endpoint}]
        found = of_place or [one for one in links if one.endpoint == id_ and endpoint in {None, one.place}]
        if len(found) > 1:
            names = ", ".join(one.endpoint if one.place == id_ else one.place for one in found)
            raise TransitionError(f"{id_!r} could be meant with any of {names}: name the one")
        return found[0] if found else None

    def _decided(
        self, session: Session, before: Link | None, after: Link, who: str, why: str, now: datetime, result: str
    ) -> Endpoint:
        change = Change(
            at=now, who=who, why=why, subject=result,
            action="confirm" if after.state is LinkState.CONFIRMED else "split",
            before=before.model_dump_json() if before else None,
            after=after.model_dump_json(),
        )  # fmt: skip
        record(session, change)
        home = next((one.listener for one in of_ids(session, [after.endpoint]) if one.place == one.endpoint), None)
        listeners = [after.listener, *([home] if home else [])]
        self._endpoints.refold_in(session, listeners, now)
        return by_ids(session, [result])[result]
