"""The callers of the model: they ask without pause through the gateway and count every failure.

A failure is what a caller would call one: no answer, a status that is not 200, or an answer that is
not the one the original server gave to the same payment.
"""

import asyncio
import json
import math
import statistics
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Self

from tui.demo.client import Answer, CallError, Connection

TOLERANCE = 1e-6
"""How far, relatively, a probability may be from the original server's."""

_LATENCIES_KEPT = 100_000


@dataclass(frozen=True)
class Question:
    """A request body and the answer that its callers rely on."""

    body: bytes
    expected: dict[str, Any]


@dataclass
class Tally:
    """What the callers saw. ``served_by`` counts answers by the header ``X-Served-By``; latencies in ms."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))

    @property
    def failed(self) -> int:
        """How many requests failed, of ``requests``."""
        return self.failures.total()

    def quantile(self, share: float) -> float | None:
        """The latency in ms that this share of the requests stayed within; None before any."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    @property
    def median(self) -> float | None:
        """The middle latency in ms."""
        return statistics.median(self.latencies) if self.latencies else None


class Callers:
    """A number of callers, each with a connection of its own, asking the questions in turn.

    ``pause`` is what a caller thinks between two requests, in seconds. Use as an asynchronous context
    manager: they call from entry to exit, which waits for the requests that are under way; an exception
    cancels them.
    """

    def __init__(
        self,
        address: str,
        port: int,
        host: str,
        path: str,
        questions: Sequence[Question],
        *,
        callers: int = 4,
        pause: float = 0.004,
    ) -> None:
        self.tally = Tally()
        self._target = (address, port, host)
        self._path = path
        self._questions = questions
        self._callers = callers
        self._pause = pause
        self._stop = asyncio.Event()
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call(first)) for first in range(self._callers)]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if kind is not None:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=kind is not None)

    async def more(self, requests: int, seconds: float) -> Counter[str]:
        """Wait until so many further requests have been answered or failed; who served them.

        Raises TimeoutError after ``seconds``, and what a caller raised, should one break.
        """
        before = Counter(self.tally.served_by)
        reached = asyncio.get_running_loop().create_future()
        self._awaited.append((self.tally.requests + requests, reached))
        async with asyncio.timeout(seconds):
            await asyncio.wait([reached, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in self._tasks:
            if task.done():
                task.result()
        return self.tally.served_by - before

    async def _call(self, first: int) -> None:
        questions = islice(cycle(self._questions), first * len(self._questions) // self._callers, None)
        async with Connection(*self._target) as connection:
            for question in questions:
                if self._stop.is_set():
                    return
                await self._ask(connection, question)
                await asyncio.sleep(self._pause)

    async def _ask(self, connection: Connection, question: Question) -> None:
        started = time.perf_counter()
        try:
            answer = await connection.request("POST", self._path, question.body)
        except CallError as error:
            self._count(str(error))
            return
        self.tally.latencies.append((time.perf_counter() - started) * 1000)
        self.tally.served_by[answer.headers.get("x-served-by", "unknown")] += 1
        self._count(fault(answer, question.expected))

    def _count(self, failure: str | None) -> None:
        self.tally.requests += 1
        if failure is not None:
            self.tally.failures[failure] += 1
        for goal, reached in self._awaited:
            if self.tally.requests >= goal and not reached.done():
                reached.set_result(None)
        self._awaited = [entry for entry in self._awaited if not entry[1].done()]


def fault(answer: Answer, expected: dict[str, Any]) -> str | None:
    """What is wrong with an answer in the eyes of a caller who relies on the original's; None is nothing."""
    if answer.status != 200:
        return f"status {answer.status}"
    try:
        got = json.loads(answer.body)
        same = got["decision"] == expected["decision"] and all(
            math.isclose(got["probabilities"][name], value, rel_tol=TOLERANCE, abs_tol=1e-12)
            for name, value in expected["probabilities"].items()
        )
    except (ValueError, KeyError, TypeError):
        return "an answer of another shape"
    return None if same else "another answer than the original's"


async def learn(address: str, port: int, path: str, payments: Sequence[dict[str, float]]) -> list[Question]:
    """Ask the original server each payment once, directly: its answers are what callers rely on.

    Raises CallError where it does not answer with 200.
    """
    questions = []
    async with Connection(address, port) as connection:
        for payment in payments:
            body = json.dumps(payment).encode()
            answer = await connection.request("POST", path, body)
            if answer.status != 200:
                raise CallError(f"the original answered {answer.status} to {payment}")
            questions.append(Question(body, json.loads(answer.body)))
    return questions
