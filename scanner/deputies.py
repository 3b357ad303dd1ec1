"""Questions by processes of their own, so that every core asks while this one follows and records the scan.

The processes are ``scanner.deputy``. What they find comes as JSON and is validated, as anything from outside is: they
speak with hosts that may be hostile.
"""

import asyncio
from contextlib import suppress
from itertools import count
from pathlib import Path

from pydantic import TypeAdapter

from inventory.model import Listener, Value
from inventory.settings import Settings
from scanner.asking import limits_of
from scanner.findings import Finding, Limits
from scanner.io.crew import Crew, obtain
from scanner.io.words import Kind, Words
from scanner.sources.source import AskingEnded

FINDINGS: TypeAdapter[tuple[Finding, ...]] = TypeAdapter(tuple[Finding, ...])


class Begin(Value):
    """How to ask: the first that a process is told."""

    limits: Limits
    signatures: Path | None


class Deputies:
    """What asks a listener, as ``scanner.asking.Asker`` does. Raises SignatureError, and AskingEnded when it is called.

    Whoever has the fewest listeners gets the next one. Close it in the event loop in which it was used.
    """

    def __init__(self, settings: Settings) -> None:
        self._begin = Begin(limits=limits_of(settings), signatures=settings.signatures).model_dump_json().encode()
        if settings.signatures is not None:
            # So that what is wrong with them is said before anything is sent.
            from scanner.knowledge import load_knowledge

            load_knowledge(settings.signatures)
        self._crew: Crew | None = None
        self._joining: asyncio.Task[list[_Deputy]] | None = None
        self._numbers = count(1)

    def prepare(self) -> None:
        """Begin the processes, unless that was done."""
        if self._crew is None:
            self._crew = obtain()

    async def __call__(self, listener: Listener) -> tuple[Finding, ...]:
        """What a listener is found to be."""
        if self._joining is None:
            self.prepare()
            self._joining = asyncio.create_task(self._join())
        # Whoever is asked no more must not take them from the others.
        deputies = await asyncio.shield(self._joining)
        deputy = min(deputies, key=lambda one: one.load)
        return await deputy.ask(next(self._numbers), listener)

    async def _join(self) -> "list[_Deputy]":
        assert self._crew is not None
        deputies = []
        for sock in self._crew.sockets:
            deputy = _Deputy()
            await asyncio.get_running_loop().create_connection(deputy.listen, sock=sock)
            deputy.words.say(0, Kind.BEGIN, self._begin)
            deputies.append(deputy)
        return deputies

    async def aclose(self) -> None:
        """End the processes. Whoever is being asked is asked no more."""
        if self._joining is not None:
            with suppress(OSError):
                for deputy in await self._joining:
                    deputy.words.close()
        if self._crew is not None:
            crew, self._crew = self._crew, None
            await asyncio.to_thread(crew.close)


class _Deputy:
    """One process, and who waits for what it finds."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[tuple[Finding, ...]]] = {}
        self._over = False

    @property
    def load(self) -> int:
        """How many listeners it has."""
        return len(self._waiting)

    def listen(self) -> Words:
        self.words = Words(self._heard, self._ended)
        return self.words

    async def ask(self, number: int, listener: Listener) -> tuple[Finding, ...]:
        if self._over:
            raise AskingEnded
        found: asyncio.Future[tuple[Finding, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = found
        self.words.say(number, Kind.ASK, listener.model_dump_json().encode())
        try:
            return await found
        except asyncio.CancelledError:
            self.words.say(number, Kind.DROP)
            raise
        finally:
            self._waiting.pop(number, None)

    def _heard(self, number: int, kind: Kind, held: bytes) -> None:
        found = self._waiting.get(number)
        if found is None or found.done():
            # It had ended before it was told that nobody wants to know any more.
            return
        if kind is not Kind.FOUND:
            found.set_exception(RuntimeError(held.decode(errors="replace")))
            return
        try:
            found.set_result(FINDINGS.validate_json(held))
        except ValueError as error:
            found.set_exception(error)

    def _ended(self) -> None:
        self._over = True
        for found in self._waiting.values():
            if not found.done():
                found.set_exception(AskingEnded())
