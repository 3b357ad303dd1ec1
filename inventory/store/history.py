"""How one endpoint came to be what it is, from everything that was seen of it and everything that happened to it."""

from inventory.changes import Event, Happening, history
from inventory.model import Endpoint, Listener, Place
from inventory.store.events import EventRepository
from inventory.store.observations import ObservationRepository

LATEST = 200


def history_of(endpoint: Endpoint, observations: ObservationRepository, events: EventRepository) -> tuple[Event, ...]:
    """What happened, oldest first: as the observations of its places tell, and what no observation can.

    Absence, joining and splitting are only in the record of events; of those the latest are read.
    """
    recorded = events.list(endpoint=endpoint.id, limit=LATEST)
    if endpoint.cluster is not None:
        # The listeners of its pods were others' before and will be again: what was recorded is its history.
        return tuple(reversed(recorded))
    told = [one for one in recorded if one.what not in {Happening.NEW, Happening.CHANGED} or one.field == "routing"]
    for one in (*_own_place(endpoint), *endpoint.places):
        listener = Listener(site=one.site, address=one.address, port=one.port)
        seen = history(observations.of(listener), one.base_path)
        told += (event.model_copy(update={"endpoint": endpoint.id}) for event in seen)
    return tuple(sorted(told, key=lambda event: (event.at, event.number)))


def _own_place(endpoint: Endpoint) -> tuple[Place]:
    place = Place(
        id=endpoint.id, site=endpoint.site, address=endpoint.address, port=endpoint.port, url=endpoint.url,
        base_path=endpoint.base_path, first_seen=endpoint.first_seen, last_seen=endpoint.last_seen,
    )  # fmt: skip
    return (place,)
