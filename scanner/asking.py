"""Makes what puts the questions of every signature to a listener, in this process."""

import asyncio
from typing import TYPE_CHECKING

from inventory.model import Listener
from inventory.settings import Settings
from scanner.findings import Finding, Limits
from scanner.sources.source import Ask

if TYPE_CHECKING:
    from scanner.knowledge import Knowledge


class Asker:
    """What asks a listener, with the signatures and the limits of the settings. Raises SignatureError.

    Each listener has a ledger of its own: scans of scopes that overlap may meet at one. Signatures of the user's are
    read at once, so that what is wrong with them is said before anything is sent; where there are none, what it
    takes to ask is loaded by ``prepare`` or for the first listener, which lets the first probe go sooner.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded = None if settings.signatures is None else _load(settings)
        self._loading: asyncio.Task[Ask] | None = None

    def prepare(self) -> None:
        """Begin to load what it takes to ask, in a thread, unless that was begun."""
        if self._loaded is None and (self._loading is None or self._loading.cancelled()):
            self._loading = asyncio.create_task(asyncio.to_thread(_load, self._settings))

    async def __call__(self, listener: Listener) -> tuple[Finding, ...]:
        """What a listener is found to be."""
        self.prepare()
        if self._loaded is None:
            assert self._loading is not None
            # Whoever is asked no more must not take it from the others.
            self._loaded = await asyncio.shield(self._loading)
        return await self._loaded(listener)


def limits_of(settings: Settings) -> Limits:
    """What the settings let one listener cost."""
    return Limits(connect=settings.scan_timeout, answer=settings.answer_timeout, host=settings.host_timeout)


def _load(settings: Settings) -> Ask:
    # A quarter of a second of imports and signatures: see above.
    from scanner.knowledge import load_knowledge

    return asks(load_knowledge(settings.signatures), limits_of(settings))


def asks(knowledge: "Knowledge", limits: Limits) -> Ask:
    """What asks by some knowledge, and remembers what it learns of hosts that answer alike."""
    from scanner.ledger import Ledger
    from scanner.questions import new_token, question
    from scanner.recall import Recall

    recall = Recall(knowledge, limits, new_token())

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        return await question(listener, knowledge, limits, Ledger(knowledge), recall)

    return ask
