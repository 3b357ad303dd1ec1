"""Makes what puts the questions of every signature to a listener."""

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from inventory.model import Listener
from inventory.settings import Settings
from scanner.findings import Ask, Finding, Limits

if TYPE_CHECKING:
    from scanner.deputies import Deputies

log = logging.getLogger(__name__)

MANY = 128
"""Listeners at once for which further processes are begun: that costs as much as asking a few hundred."""

MOST = 4
"""Processes that ask at most, this one among them, which records what all of them find."""


class Asker:
    """What asks a listener, with the signatures and the limits of the settings. Raises SignatureError.

    Each listener has a ledger of its own: scans of scopes that overlap may meet at one. Signatures of the user's are
    read at once, so that what is wrong with them is said before anything is sent; where there are none, what it
    takes to ask is loaded by ``prepare`` or for the first listener, which lets the first probe go sooner.

    Where there are many listeners at once and processors for it, further processes ask some of them, until there are
    none. Raises AskingEnded when one of those is killed.
    """

    def __init__(self, settings: Settings, *, many: int = MANY, most: int = MOST) -> None:
        self._settings = settings
        self._loaded = None if settings.signatures is None else _load(settings)
        self._loading: asyncio.Task[Ask] | None = None
        self._many = many
        self._size = min(most, len(os.sched_getaffinity(0))) - 1
        self.begun: Deputies | None = None
        """The further processes, while there are any."""
        self._load = self._own = 0

    def prepare(self) -> None:
        """Begin to load what it takes to ask, in a thread, unless that was begun."""
        if self._loaded is None and (self._loading is None or self._loading.cancelled()):
            self._loading = asyncio.create_task(asyncio.to_thread(_load, self._settings))

    async def __call__(self, listener: Listener) -> tuple[Finding, ...]:
        """What a listener is found to be."""
        self._load += 1
        if self._load >= self._many:
            self.begin()
        deputy = self.begun.freest() if self.begun is not None else None
        try:
            if deputy is not None and deputy.load <= self._own:
                return await deputy.ask(listener)
            self._own += 1
            try:
                return await (await self._ask())(listener)
            finally:
                self._own -= 1
        finally:
            self._load -= 1
            if not self._load and self.begun is not None:
                begun, self.begun = self.begun, None
                begun.dismiss()

    def begin(self) -> "Deputies | None":
        """Begin the further processes, unless that was done. None where there are no processors for any, or no room."""
        if self.begun is None and self._size > 0:
            from scanner.deputies import Deputies

            try:
                self.begun = Deputies(self._size, _limits(self._settings), self._settings.signatures)
            except OSError as error:
                log.warning("this process asks alone, because no other can be begun: %s", error)
                self._size = 0
        return self.begun

    async def _ask(self) -> Ask:
        self.prepare()
        if self._loaded is None:
            assert self._loading is not None
            # Whoever is asked no more must not take it from the others.
            self._loaded = await asyncio.shield(self._loading)
        return self._loaded


def _limits(settings: Settings) -> Limits:
    return Limits(connect=settings.scan_timeout, answer=settings.answer_timeout, host=settings.host_timeout)


def _load(settings: Settings) -> Ask:
    # A quarter of a second of imports and signatures: see above.
    from scanner.knowledge import load_knowledge
    from scanner.questions import asks

    return asks(load_knowledge(settings.signatures), _limits(settings))
