"""Questions by processes of their own, so that every core asks where there are many to be asked.

The processes are ``scanner.deputy``. What they find comes as JSON and is validated, as anything from outside is: they
speak with hosts that may be hostile.
"""

import asyncio
from itertools import count
from pathlib import Path

from pydantic import TypeAdapter

from inventory.model import Listener, Value
from scanner.findings import AskingEnded, Finding, Limits
from scanner.io.crew import Crew
from scanner.io.words import Kind, Words

FINDINGS: TypeAdapter[tuple[Finding, ...]] = TypeAdapter(tuple[Finding, ...])


class Begin(Value):
    """How to ask: the first that a process is told."""

    limits: Limits
    signatures: Path | None


class Deputies:
    """So many processes that ask. They begin at once, and are free as soon as they have joined. Dismiss them.

    Make it in the thread of the event loop, which must live as long.
    """

    def __init__(self, size: int, limits: Limits, signatures: Path | None) -> None:
        self._crew = Crew(size)
        self._begin = Begin(limits=limits, signatures=signatures).model_dump_json().encode()
        self._deputies: list[Deputy] = []
        self._joining = asyncio.create_task(self._join())

    @property
    def pid(self) -> int:
        """Of the first process, with which the others end."""
        return self._crew.pid

    def freest(self) -> "Deputy | None":
        """Who has the fewest listeners; None while nobody has joined."""
        return min(self._deputies, key=lambda one: one.load, default=None)

    def dismiss(self) -> None:
        """End the processes at once. Whoever is being asked is asked no more."""
        self._joining.cancel()
        for deputy in self._deputies:
            deputy.words.close()
        self._crew.close()

    async def _join(self) -> None:
        numbers = count(1)
        for sock in self._crew.sockets:
            deputy = Deputy(numbers)
            await asyncio.get_running_loop().create_connection(deputy.listen, sock=sock)
            deputy.words.say(0, Kind.BEGIN, self._begin)
            self._deputies.append(deputy)


class Deputy:
    """One process, and who waits for what it finds."""

    def __init__(self, numbers: "count[int]") -> None:
        self._numbers = numbers
        self._waiting: dict[int, asyncio.Future[tuple[Finding, ...]]] = {}
        self.over = False
        """Whether it is no more."""

    @property
    def load(self) -> int:
        """How many listeners it has."""
        return len(self._waiting)

    def listen(self) -> Words:
        """Our end of what is said."""
        self.words = Words(self._heard, self._ended)
        return self.words

    async def ask(self, listener: Listener) -> tuple[Finding, ...]:
        """What it finds a listener to be. Raises AskingEnded where the process is no more."""
        if self.over:
            raise AskingEnded
        number = next(self._numbers)
        found: asyncio.Future[tuple[Finding, ...]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = found
        self.words.say(number, Kind.ASK, listener.model_dump_json().encode())
        try:
            return await found
        except asyncio.CancelledError:
            self.words.say(number, Kind.DROP)
            raise
        finally:
            del self._waiting[number]

    def _heard(self, number: int, kind: Kind, held: bytes) -> None:
        found = self._waiting.get(number)
        if found is None or found.done():
            # It had ended before it heard that nobody wants to know any more.
            return
        if kind is not Kind.FOUND:
            found.set_exception(RuntimeError(held.decode(errors="replace")))
            return
        try:
            found.set_result(FINDINGS.validate_json(held))
        except ValueError as error:
            found.set_exception(error)

    def _ended(self) -> None:
        self.over = True
        for found in self._waiting.values():
            if not found.done():
                found.set_exception(AskingEnded())
