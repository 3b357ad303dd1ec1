"""Makes what puts the questions of every signature to a listener."""

import asyncio

from inventory.model import Listener
from inventory.settings import Settings
from scanner.findings import Finding, Limits
from scanner.sources.source import Ask


def asker(settings: Settings) -> Ask:
    """What asks a listener, with the signatures and the limits of the settings. Raises SignatureError.

    Each listener has a ledger of its own: scans of scopes that overlap may meet at one. Signatures of the user's are
    read at once, so that what is wrong with them is said before anything is sent; where there are none, what it
    takes to ask is loaded when the first listener is there, which lets the first probe go sooner.
    """
    loaded = None if settings.signatures is None else _load(settings)
    loading: asyncio.Task[Ask] | None = None

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        nonlocal loaded, loading
        if loaded is None:
            if loading is None or loading.cancelled():
                loading = asyncio.create_task(asyncio.to_thread(_load, settings))
            # Whoever is asked no more must not take it from the others.
            loaded = await asyncio.shield(loading)
        return await loaded(listener)

    return ask


def _load(settings: Settings) -> Ask:
    # A quarter of a second of imports and signatures: see above.
    from scanner.knowledge import load_knowledge
    from scanner.ledger import Ledger
    from scanner.questions import new_token, question
    from scanner.recall import Recall

    knowledge = load_knowledge(settings.signatures)
    limits = Limits(connect=settings.scan_timeout, answer=settings.answer_timeout, host=settings.host_timeout)
    recall = Recall(knowledge, limits, new_token())

    async def ask(listener: Listener) -> tuple[Finding, ...]:
        return await question(listener, knowledge, limits, Ledger(knowledge), recall)

    return ask
