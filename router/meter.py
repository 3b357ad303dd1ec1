"""What passed through the gateway, added up in the store."""

import asyncio
import logging
from collections.abc import Iterable

from inventory.model import Traffic
from inventory.store import Store, StoreError
from router.gateways import Gateway

log = logging.getLogger(__name__)


class Meter:
    """Adds what a gateway counts to what the store has."""

    def __init__(self, store: Store) -> None:
        """Nothing is read or written before ``count``."""
        self._store = store
        self._totals: dict[tuple[str, str], Traffic] = {}

    async def count(self, gateway: Gateway) -> None:
        """Add what passed since the last call."""
        moved = await gateway.traffic()
        if moved:
            try:
                await asyncio.to_thread(self._add, moved)
            except StoreError as error:
                log.warning("the traffic of this second is not recorded yet: %s", error)

    def _add(self, moved: Iterable[Traffic]) -> None:
        changed = []
        for one in moved:
            key = one.route, one.backend
            if key not in self._totals:
                known = {(row.route, row.backend): row for row in self._store.shadow.traffic(one.route)}
                self._totals[key] = known.get(key, Traffic(route=one.route, backend=one.backend))
            total = self._totals[key]
            self._totals[key] = total.model_copy(
                update={
                    "requests": total.requests + one.requests,
                    "failures": total.failures + one.failures,
                    "shadowed": total.shadowed + one.shadowed,
                }
            )
            changed.append(self._totals[key])
        self._store.shadow.save_traffic(changed)
