"""Lets a machine ask over a connection. Each question is sent by the call that brought the answer before it.

A task that waits for every answer would cost more than the answer; here only the end of the interview is awaited.
"""

import asyncio
from collections.abc import Callable

from inventory.model import Listener
from scanner.exchange import Answer, Request
from scanner.findings import Finding
from scanner.identify import Machine
from scanner.io.http import HttpConnection
from scanner.ledger import Ledger


class Interview:
    """One machine, one listener, one connection. What the ledger refuses is answered as forbidden and not sent.

    ``heed`` is shown every answer that came, and ends the interview where it is False. What a request announces goes
    out with it where the ledger permits it then.
    """

    def __init__(
        self,
        machine: Machine,
        connection: HttpConnection,
        ledger: Ledger,
        listener: Listener,
        heed: Callable[[Answer], bool],
    ) -> None:
        self._machine = machine
        self._connection = connection
        self._ledger = ledger
        self._listener = listener
        self._heed = heed
        self._early: dict[Request, Answer] = {}
        self._ended: asyncio.Future[tuple[Finding, ...] | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> tuple[Finding, ...] | None:
        """What the machine found; None where ``heed`` ended it."""
        self._go_on(None)
        try:
            return await self._ended
        except asyncio.CancelledError:
            self._connection.close()
            raise

    def _go_on(self, answer: Answer | None) -> None:
        try:
            request = next(self._machine) if answer is None else self._machine.send(answer)
            while (known := self._known(request)) is not None:
                request = self._machine.send(known)
        except StopIteration as stop:
            self._end(stop.value)
        else:
            ahead = (one for one in request.ahead if self._ledger.permits(self._listener, one))
            self._connection.send((request, *ahead), self._heard)

    def _known(self, request: Request) -> Answer | None:
        """The answer to what needs not be sent: it was sent with another, or is forbidden."""
        answer = self._early.pop(request, None)
        if answer is not None:
            self._ledger.record(self._listener, answer)
            self._heed(answer)
        elif self._ledger.refusal(self._listener, request) is not None:
            answer = Answer(request, outcome="forbidden")
        return answer

    def _heard(self, answers: list[Answer]) -> None:
        try:
            answer, *early = answers
            self._early.update((one.request, one) for one in early)
            self._ledger.record(self._listener, answer)
            if self._heed(answer):
                self._go_on(answer)
            else:
                self._end(None)
        except Exception as error:  # noqa: BLE001 - it is raised where the interview is awaited
            self._ended.set_exception(error)

    def _end(self, found: tuple[Finding, ...] | None) -> None:
        for answer in self._early.values():
            # It was sent, so it is on record, whether the machine came to ask for it or not.
            self._ledger.record(self._listener, answer)
        self._early.clear()
        if not self._ended.done():
            self._ended.set_result(found)
