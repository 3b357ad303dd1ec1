"""Puts questions to many listeners at once, so that a slow one holds up nobody."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from inventory.model import Listener
from scanner.findings import Ask, AskingEnded, Finding

log = logging.getLogger(__name__)

Done = Callable[[Listener, tuple[Finding, ...] | Exception], None]


class Questioning:
    """At most ``concurrency`` listeners are asked at once; at most ``backlog`` more wait.

    ``done`` is told of each listener, with its findings or with the error that ended its questions. Where nobody can be
    asked any more, those who were not asked to the end stay unfinished, and whoever waits is told by AskingEnded.
    """

    def __init__(self, ask: Ask, done: Done, *, concurrency: int, backlog: int = 10_000) -> None:
        self._ask = ask
        self._done = done
        self._concurrency = concurrency
        self._backlog = backlog
        self._waiting: deque[Listener] = deque()
        self._tasks: dict[asyncio.Task[None], Listener] = {}
        self._changed = asyncio.Event()
        self._held = False
        self._ending = False
        self._over: AskingEnded | None = None

    @property
    def unfinished(self) -> int:
        """How many listeners were handed over and have no findings yet."""
        return len(self._waiting) + len(self._tasks)

    @property
    def unasked(self) -> list[Listener]:
        """Those listeners."""
        return [*self._tasks.values(), *self._waiting]

    async def put(self, listener: Listener) -> None:
        """Hand over a listener. Waits while too many wait already."""
        if self._over is not None:
            raise self._over
        while len(self._waiting) >= self._backlog:
            await self._change()
        self._waiting.append(listener)
        self._start()

    def hold(self, held: bool) -> None:
        """Begin no further questions, or begin them again: what asked for the findings is behind."""
        self._held = held
        self._start()

    async def finish(self) -> None:
        """Wait until every listener has been asked."""
        while self.unfinished:
            await self._change()

    async def _change(self) -> None:
        if self._over is not None:
            raise self._over
        self._changed.clear()
        await self._changed.wait()

    async def cancel(self) -> None:
        """End the questions that are under way. Who was not asked to the end stays unfinished."""
        self._held = self._ending = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self._concurrency and not (self._held or self._over):
            listener = self._waiting.popleft()
            task = asyncio.create_task(self._question(listener))
            self._tasks[task] = listener
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._changed.set()
        if self._ending and task.cancelled():
            return
        if not task.cancelled() and isinstance(error := task.exception(), AskingEnded):
            self._over = error
            return
        self._tasks.pop(task, None)
        self._start()

    async def _question(self, listener: Listener) -> None:
        try:
            findings = await self._ask(listener)
        except asyncio.CancelledError:
            if self._ending:
                raise
            self._done(listener, RuntimeError("the questions cancelled themselves"))
        except AskingEnded:
            raise
        except Exception as error:
            # One listener must never end the scan of the others.
            log.warning("the questions to %s failed", listener, exc_info=error)
            self._done(listener, error)
        else:
            self._done(listener, findings)
