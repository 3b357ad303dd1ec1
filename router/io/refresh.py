"""When the keys of issuers are fetched again: before they are too old, each issuer by itself.

A key that an issuer begins to use is found within ``MOST_SECONDS``, or sooner where the issuer says that its keys may
be kept for less long. Keys that cannot be fetched stay as they were, and the reason is kept beside them.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from inventory.model import Issuer, utc_now
from inventory.store import Store, StoreError
from router.io.fetch import FetchedKeys, FetchError, fetch_keys

LEAST_SECONDS, MOST_SECONDS = 10.0, 60.0
AGAIN_SECONDS = 15.0
LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)

Fetch = Callable[[Issuer], Awaitable[FetchedKeys]]


class Refresher:
    """Keeps the keys of every issuer in the store fresh. ``run`` it once."""

    def __init__(self, store: Store, fetch: Fetch = fetch_keys) -> None:
        self._store = store
        self._fetch = fetch
        self._due: dict[str, tuple[Issuer, float]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch what is due until ``stop`` is set."""
        while not stop.is_set():
            with contextlib.suppress(StoreError):
                await self.look(asyncio.get_running_loop().time())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)

    async def look(self, now: float) -> None:
        """Fetch the keys of every issuer that is due at a moment, all at once."""
        issuers = await asyncio.to_thread(self._store.issuers.list)
        due = [one for one in issuers if self._is_due(one, now)]
        waits = await asyncio.gather(*(refresh(self._store, one, self._fetch) for one in due))
        self._due = {one.name: self._due.get(one.name, (one, now)) for one in issuers}
        self._due |= {one.name: (one, now + wait) for one, wait in zip(due, waits, strict=True)}

    def _is_due(self, issuer: Issuer, now: float) -> bool:
        known, at = self._due.get(issuer.name, (None, now))
        return known != issuer or at <= now


async def refresh(store: Store, issuer: Issuer, fetch: Fetch = fetch_keys, at: datetime | None = None) -> float:
    """Fetch the keys of an issuer and keep them, or why not. Seconds until they are to be fetched again."""
    try:
        fetched = await fetch(issuer)
    except FetchError as error:
        log.warning("the keys of the issuer %s could not be fetched: %s", issuer.name, error)
        await asyncio.to_thread(store.issuers.save_error, issuer.name, str(error))
        return AGAIN_SECONDS
    if await asyncio.to_thread(store.issuers.save_keys, issuer.name, fetched.jwks, at or utc_now()):
        log.info("the issuer %s has other keys than before", issuer.name)
    kept = MOST_SECONDS if fetched.max_age is None else float(fetched.max_age)
    return min(max(kept, LEAST_SECONDS), MOST_SECONDS)
