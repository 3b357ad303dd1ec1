"""The processes that ask for ``scanner.deputies``: ``python -m scanner.deputy PARENT SOCKET...``.

What it takes to ask is loaded once; then the process splits into one for each socket. A listener is asked by one of
them, with the ledger and the limits of ``scanner.questions``. They end with the process that began them.
"""

import asyncio
import gc
import logging
import os
import socket
import sys
import traceback
from typing import TYPE_CHECKING

from inventory.garbage import collect_seldom, nothing_is_garbage
from scanner.io.bound import end_with
from scanner.io.words import Kind, Words

if TYPE_CHECKING:
    from inventory.model import Listener
    from scanner.findings import Ask
    from scanner.knowledge import Knowledge

log = logging.getLogger(__name__)


def main() -> None:
    """Ask until there is nobody more to ask for."""
    parent, *files = map(int, sys.argv[1:])
    end_with(parent)
    collect_seldom()
    with nothing_is_garbage():
        import scanner.deputies
        import scanner.questions  # noqa: F401 - what is loaded here is loaded once
        from scanner.knowledge import load_knowledge

        knowledge = load_knowledge()
    # What is there already is never garbage, and looking at it would make a copy of it in every process.
    gc.freeze()
    asyncio.run(_serve(socket.socket(fileno=_split(files)), knowledge))


def _split(files: list[int]) -> int:
    """Be one process for each of some files. Which of them this one has."""
    first = os.getpid()
    mine = files[0]
    for file in files[1:]:
        if os.fork() == 0:
            end_with(first)
            mine = file
            break
    for file in files:
        if file != mine:
            os.close(file)
    return mine


async def _serve(sock: socket.socket, knowledge: "Knowledge") -> None:
    desk = _Desk(knowledge)
    await asyncio.get_running_loop().create_connection(desk.listen, sock=sock)
    await asyncio.Event().wait()


class _Desk:
    """Takes listeners in and gives findings out."""

    def __init__(self, knowledge: "Knowledge") -> None:
        self._knowledge = knowledge
        self._ask: Ask | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def listen(self) -> Words:
        self._words = Words(self._heard, _leave)
        return self._words

    def _heard(self, number: int, kind: Kind, held: bytes) -> None:
        from inventory.model import Listener

        if kind is Kind.BEGIN:
            self._begin(held)
        elif kind is Kind.ASK:
            listener = Listener.model_validate_json(held)
            self._tasks[number] = asyncio.create_task(self._answer(number, listener))
        elif kind is Kind.DROP and number in self._tasks:
            self._tasks.pop(number).cancel()

    def _begin(self, held: bytes) -> None:
        from scanner.deputies import Begin
        from scanner.knowledge import SignatureError, load_knowledge
        from scanner.questions import asks

        told = Begin.model_validate_json(held)
        try:
            knowledge = self._knowledge if told.signatures is None else load_knowledge(told.signatures)
        except SignatureError as error:
            # They could be read a moment ago, when whoever wants to know read them.
            log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            _leave()
        else:
            self._ask = asks(knowledge, told.limits)

    async def _answer(self, number: int, listener: "Listener") -> None:
        from scanner.deputies import FINDINGS

        assert self._ask is not None
        try:
            found = FINDINGS.dump_json(await self._ask(listener))
        except Exception as error:  # noqa: BLE001 - it is told, and one listener must never end the others
            # Whoever began this process says it, as it says all else: an error may hold what a hostile host wrote.
            self._words.say(number, Kind.FAILED, "".join(traceback.format_exception(error)).encode(errors="replace"))
        else:
            self._words.say(number, Kind.FOUND, found)
        self._tasks.pop(number, None)


def _leave() -> None:
    """Whoever wanted to know is no more, or has heard enough: there is nothing to be kept."""
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
