"""Work that is asked for more often than it can be done: one at a time, and once more where it was asked again."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from inventory.store import StoreError
from tui.session import Session

Spawn = Callable[[Coroutine[None, None, None]], object]


class Repeat:
    """One piece of background work of one screen. ``spawn`` runs an awaitable; ``failed`` hears what went wrong."""

    def __init__(
        self, session: Session, work: Callable[[], Awaitable[None]], spawn: Spawn, failed: Callable[[StoreError], None]
    ) -> None:
        self._session, self._work, self._spawn, self._failed = session, work, spawn, failed
        self._running = self._again = False

    def ask(self) -> None:
        """Have it done, now or as soon as what runs has ended."""
        if self._running:
            self._again = True
            return
        self._running = True
        self._session.busy.add(self)
        self._spawn(self._run())

    async def _run(self) -> None:
        try:
            while True:
                self._again = False
                await self._work()
                if not self._again:
                    return
                await asyncio.sleep(0)
        except StoreError as error:
            self._failed(error)
        finally:
            self._running = False
            self._session.busy.discard(self)
