"""The endpoints of one listing: every id in order, and whole endpoints only where the next key may lead.

The order is read once. After that what was written since is read, put into its place, and of the rows that are
held only those are read again that it is about.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic

from inventory.listing import Order
from inventory.model import Endpoint
from inventory.query import Query
from inventory.store import Store
from inventory.store.order import Ordered, patched

AROUND = 1
"""Pages that are read before and after the one in view, so that the next key finds them."""
AT_ONCE = 64
"""Rows that are read in one go: about what a screen shows. Those in view come first, and wait for no others."""
PAUSE = 0.5
"""Seconds between one look at what changed and the next: with the look itself, changes appear within a second."""
REST = 4.0
"""After a look, the store is left alone for this many times as long as that took, where that is longer."""
WHOLE_AFTER = 30.0
"""Seconds after which a filtered order that changed is read whole: time alone decides about ages."""


class Feed:
    """Belongs to the UI's thread; what it awaits is read in others. Raises StoreError where the store fails."""

    def __init__(self, store: Store, order: Order, *, gaps: bool = False) -> None:
        self._store, self._gaps = store, gaps
        self.query, self.order = Query(), order
        self.rows: dict[str, Endpoint] = {}
        self._ordered: Ordered | None = None
        self._of: tuple[Query, Order] | None = None
        self._old: set[str] = set()
        self._absent: set[str] = set()
        self._flying: set[str] = set()
        self._rest_until = self._whole_until = 0.0

    @property
    def keys(self) -> Sequence[str]:
        """The ids of the listing in order."""
        return self._ordered.keys if self._ordered else ()

    @property
    def loaded(self) -> bool:
        """Whether anything was read yet."""
        return self._ordered is not None

    def ask(self, query: Query, order: Order) -> None:
        """Ask for other endpoints, or for another order. ``follow`` reads it."""
        self.query, self.order = query, order
        if (query, order) != self._of:
            self._rest_until = 0.0

    def due(self, version: int) -> bool:
        """Whether the order may have changed since it was read, and enough time went by."""
        current = self._ordered is not None and self._of == (self.query, self.order)
        return not (current and self._ordered and self._ordered.version >= version) and monotonic() >= self._rest_until

    async def follow(self, now: datetime) -> None:
        """Bring the order to what the store holds, until it is of what was asked last."""
        while True:
            asked, started = (self.query, self.order), monotonic()
            ordered, changed = await asyncio.to_thread(self._read, *asked, now)
            if asked == (self.query, self.order):
                break
        self._ordered, self._of = ordered, asked
        held = self.rows.keys() | self._absent | self._flying
        old = held if changed is None else held & changed
        self._old |= old
        self._absent -= old
        rest = 0.0 if changed is None else REST * (monotonic() - started)
        self._rest_until = monotonic() + max(PAUSE, rest)

    def hurry(self) -> None:
        """Be due at the next look, whatever was read lately."""
        self._rest_until = 0.0

    def _read(self, query: Query, order: Order, now: datetime) -> tuple[Ordered, frozenset[str] | None]:
        """The order, and the ids of what was written since; None where that may be any."""
        before, reader = self._ordered, self._store.order
        if before is not None and self._of == (query, order) and not (query.terms and monotonic() > self._whole_until):
            news = reader.since(before, query, order, now, gaps=self._gaps)
            if news is not None:
                return patched(before, news), news.changed
        self._whole_until = monotonic() + WHOLE_AFTER
        return reader.read(query, order, now, gaps=self._gaps), None

    def around(self, view: range) -> Sequence[str]:
        """The ids to read for a view: its own and its neighbours', and those of a view at either end."""
        more = AROUND * max(len(view), 1)
        near = self.keys[max(view.start - more, 0) : view.stop + more]
        end = len(view) + more
        return list(dict.fromkeys((*near, *self.keys[:end], *self.keys[-end:])))

    def _wanted(self, key: str) -> bool:
        return key in self._old or (key not in self.rows and key not in self._absent)

    def lacks(self, view: range) -> list[str]:
        """The rows in view and then those around it that are not there, or are others by now."""
        seen = self.keys[view.start : view.stop]
        return [key for key in dict.fromkeys((*seen, *self.around(view))) if self._wanted(key)]

    async def load(self, view: range) -> set[str]:
        """Read the first of the rows that a view lacks. Returns the keys of those that changed."""
        near = self.around(view)
        wanted = self.lacks(view)[:AT_ONCE]
        self._old -= set(wanted)
        self._flying = set(wanted)
        found = await asyncio.to_thread(self._store.pages.rows, wanted) if wanted else {}
        self._flying = set()
        changed = {key for key in wanted if self.rows.get(key) != found.get(key)}
        for key in changed:
            if key in found:
                self.rows[key] = found[key]
            else:
                self.rows.pop(key, None)
        self._absent |= {key for key in wanted if key not in found}
        self._forget(near)
        return changed

    def _forget(self, near: Sequence[str]) -> None:
        """Keep only what is around the view: a screen needs no more, whatever the inventory holds.

        The rows stay the same mapping, for the table that shows them looks into it until it is filled again.
        """
        kept = set(near)
        for key in self.rows.keys() - kept:
            del self.rows[key]
        self._old &= kept
        self._absent &= kept
