"""The endpoints of one listing: every id in order, and whole endpoints only where the next key may lead."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic

from inventory.listing import Order
from inventory.model import Endpoint
from inventory.query import Query
from inventory.store import Store

AROUND = 1
"""Pages that are read before and after the one in view, so that the next key finds them."""
REST = 1.5
"""After the order was read, it is left alone for this many times as long as that took."""


class Feed:
    """Belongs to the UI's thread; what it awaits is read in others. Raises StoreError where the store fails."""

    def __init__(self, store: Store, order: Order, *, gaps: bool = False) -> None:
        self._store, self._gaps = store, gaps
        self.query, self.order = Query(), order
        self.keys: list[str] = []
        self.rows: dict[str, Endpoint] = {}
        self.loaded = False
        self._read_at: dict[str, int] = {}
        self._ordered_at = -1
        self._rest_until = 0.0

    def ask(self, query: Query, order: Order) -> None:
        """Ask for other endpoints, or for another order. ``reorder`` reads it."""
        if (query, order) != (self.query, self.order):
            self.query, self.order = query, order
            self._ordered_at = -1
            self._rest_until = 0.0

    def due(self, version: int) -> bool:
        """Whether the order may have changed since it was read, and enough time went by."""
        return version != self._ordered_at and monotonic() >= self._rest_until

    async def reorder(self, version: int, now: datetime) -> None:
        """Read the ids in order, until they are of what was asked last."""
        while True:
            asked, started = (self.query, self.order), monotonic()
            keys = await asyncio.to_thread(self._store.pages.keys, *asked, now, gaps=self._gaps)
            if asked == (self.query, self.order):
                break
        self.keys, self._ordered_at, self.loaded = keys, version, True
        self._rest_until = monotonic() + REST * (monotonic() - started)

    def around(self, view: range) -> Sequence[str]:
        """The ids to read for a view: its own and its neighbours', and those of a view at either end."""
        more = AROUND * max(len(view), 1)
        near = self.keys[max(view.start - more, 0) : view.stop + more]
        end = len(view) + more
        return list(dict.fromkeys((*near, *self.keys[:end], *self.keys[-end:])))

    def behind(self, view: range, version: int) -> bool:
        """Whether a row in view is not read yet, or was read before that version."""
        return any(self._read_at.get(key, -1) < version for key in self.keys[view.start : view.stop])

    async def load(self, view: range, version: int) -> set[str]:
        """Bring the rows in view to a version, and read those around it that are not there at all.

        Returns the keys of the rows in view that changed.
        """
        near = self.around(view)
        seen = [key for key in self.keys[view.start : view.stop] if self._read_at.get(key, -1) < version]
        wanted = [*seen, *(key for key in near if key not in self._read_at and key not in seen)]
        found = await asyncio.to_thread(self._store.pages.rows, wanted) if wanted else {}
        changed = {key for key in seen if self.rows.get(key) != found.get(key)}
        for key in wanted:
            self._read_at[key] = version
            if key not in found:
                self.rows.pop(key, None)
            elif key in changed or key not in self.rows:
                self.rows[key] = found[key]
        self._forget(near)
        return changed

    def _forget(self, near: Sequence[str]) -> None:
        """Keep only what is around the view: a screen needs no more, whatever the inventory holds."""
        kept = set(near)
        self.rows = {key: row for key, row in self.rows.items() if key in kept}
        self._read_at = {key: at for key, at in self._read_at.items() if key in kept}
