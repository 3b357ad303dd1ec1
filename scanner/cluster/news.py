"""What is new since the last look at a cluster: facts that changed, and holders of listeners that ended. Pure."""

from collections.abc import Iterable

from inventory.model import Ended, Fact, Placed
from scanner.cluster.survey import Said, Sighting

_Slot = tuple[str, int, str]


class News:
    """Remembers what was said of each listener, so that nothing is said twice."""

    def __init__(self) -> None:
        self._said: dict[_Slot, Fact] = {}

    def of(self, sightings: Iterable[Sighting]) -> list[Said]:
        """What was not said before of the listeners, and the end of every holder that is not there any more."""
        now: dict[_Slot, Said] = {}
        for sighting in sightings:
            for said in sighting.said:
                now[_slot(said)] = said
        new = [said for slot, said in now.items() if not _same(self._said.get(slot), said.fact)]
        gone = [
            Said(address, port, Ended(holder=fact.holder))
            for (address, port, what), fact in self._said.items()
            if isinstance(fact, Placed) and (address, port, what) not in now
        ]
        self._said = {slot: said.fact for slot, said in now.items()}
        return [*gone, *new]


def _slot(said: Said) -> _Slot:
    """What a fact stands in the place of. A listener may be handed from one holder to the next."""
    what = f"placed {said.fact.holder}" if isinstance(said.fact, Placed) else said.fact.fact
    return said.address, said.port, what


def _same(before: Fact | None, now: Fact) -> bool:
    if isinstance(before, Placed) and isinstance(now, Placed):
        # A server that tells of no start is taken by its first sighting, which moves.
        return before.model_copy(update={"since": now.since}) == now
    return before == now
