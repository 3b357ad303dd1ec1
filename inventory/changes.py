"""What is new, changed, gone and back: pure, the difference between two looks at an endpoint.

What people decide is not here: every decision has its own record, ``Change``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from inventory.fold import fold
from inventory.model import Endpoint, Moment, Observation, Presence, Value

WATCHED: Final = ("url", "scheme", "kind", "product", "version", "posture", "routing")
"""Fields of which a change is worth telling, in the order that they are told."""


class Happening(StrEnum):
    """What happened to an endpoint."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone"
    RETURNED = "returned"
    JOINED = "joined"
    SPLIT = "split"


class Event(Value):
    """One thing that happened to an endpoint. ``number`` grows with each that the store keeps; 0 before that.

    ``field``, ``before`` and ``after`` are of a change; ``after`` of the others says why or into what.
    """

    number: int = 0
    at: Moment
    endpoint: str
    what: Happening
    url: str
    kind: str | None = None
    product: str | None = None
    field: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """An endpoint as far as its changes are watched."""

    presence: str
    watched: tuple[str | None, ...]


def look(endpoint: Endpoint) -> Look:
    """What is watched of an endpoint."""
    return Look(endpoint.presence.value, tuple(_text(getattr(endpoint, name)) for name in WATCHED))


def diff(before: Look | None, after: Endpoint, now: datetime) -> Iterator[Event]:
    """What happened between two looks. A first sighting is new, and nothing else."""
    about: dict[str, Any] = {
        "endpoint": after.id, "url": after.url, "kind": after.kind, "product": after.product
    }  # fmt: skip
    if before is None:
        yield Event(at=after.first_seen, what=Happening.NEW, **about)
        return
    current = look(after)
    if before == current:
        return
    was_gone, is_gone = before.presence == Presence.GONE, after.presence is Presence.GONE
    if is_gone and not was_gone:
        yield Event(at=now, what=Happening.GONE, **about, after=f"last seen {after.last_seen:%Y-%m-%d %H:%M} UTC")
    if was_gone and not is_gone:
        yield Event(at=after.last_seen, what=Happening.RETURNED, **about)
    for name, old, new in zip(WATCHED, before.watched, current.watched, strict=True):
        if old != new:
            yield Event(at=now, what=Happening.CHANGED, **about, field=name, before=old, after=new)


def history(observations: Iterable[Observation], base_path: str) -> tuple[Event, ...]:
    """How the application under a base path of one listener came to be what it is, scan by scan, oldest first.

    Each scan's observations are folded with all before them; the differences are the history. That is
    what the observations tell, whenever they were read in.
    """
    ordered = sorted(observations, key=lambda one: (one.at, one.id))
    starts: dict[str, datetime] = {}
    for one in ordered:
        starts.setdefault(one.scan, one.at)
    ordered.sort(key=lambda one: (starts[one.scan], one.scan))
    so_far: list[Observation] = []
    before: Look | None = None
    told: list[Event] = []
    for _, its in groupby(ordered, key=lambda one: one.scan):
        new = list(its)
        if so_far and not _tells_more(new, so_far):
            so_far += new
            continue
        so_far += new
        found = {one.base_path: one for one in fold(so_far)}.get(base_path)
        if found is None:
            continue
        told += diff(before, found, max(one.at for one in new))
        before = look(found)
    return tuple(told)


def _tells_more(new: Sequence[Observation], known: Sequence[Observation]) -> bool:
    """Whether any of the new facts differs from all the known: most scans see what the last one saw."""
    seen = {(one.base_path, one.fact.model_dump_json()) for one in known if one.fact.fact != "questioned"}
    return any((one.base_path, one.fact.model_dump_json()) not in seen for one in new if one.fact.fact != "questioned")


def _text(value: object) -> str | None:
    return None if value is None else str(value)
