"""Hears of what is written to the store, so that nobody has to ask many times a second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from inventory.store import Store, StoreError
from inventory.store.bell import Bell

POLL_SECONDS = 0.05
"""How often the store is asked where it has no bell."""

GIVE_WAY_SECONDS = 0.02
"""How long after a write those look for whom nobody waits: it is most often a route, whose change goes first."""

BELL_SECONDS = 2.0
"""How often it is asked all the same, bell or not: a write may come from where none is rung."""


@contextlib.asynccontextmanager
async def hearing(store: Store, wake: asyncio.Event, stop: asyncio.Event) -> AsyncIterator["Ear"]:
    """An ear for as long as the block runs. What it wakes is woken by ``stop`` too."""
    ear = Ear(store, wake)
    stopped = asyncio.create_task(stop.wait())
    stopped.add_done_callback(lambda _: wake.set())
    try:
        yield ear
    finally:
        stopped.cancel()
        ear.close()


class Ear:
    """Wakes an event whenever something is written."""

    def __init__(self, store: Store, wake: asyncio.Event) -> None:
        """Nothing is heard before ``listen``."""
        self._store = store
        self._wake = wake
        self._bell: Bell | None = None

    async def listen(self) -> float:
        """Listen, where that is not done yet and can be done. Seconds after which to ask without having heard."""
        if self._bell is None:
            with contextlib.suppress(StoreError):
                self._bell = await asyncio.to_thread(self._store.bell)
            if self._bell is not None:
                asyncio.get_running_loop().add_reader(self._bell.fileno(), self._rang)
                # What was written before the bell hung is found by looking once more.
                self._wake.set()
        return POLL_SECONDS if self._bell is None else BELL_SECONDS

    def _rang(self) -> None:
        assert self._bell is not None
        try:
            self._bell.heard()
        except OSError:
            self.close()
        self._wake.set()

    def close(self) -> None:
        """Stop listening."""
        if self._bell is not None:
            asyncio.get_running_loop().remove_reader(self._bell.fileno())
            self._bell.close()
            self._bell = None
