import asyncio

import pytest

from inventory.model import Exposed, Listener, Scheme
from scanner.findings import Finding
from scanner.questioning import Questioning

FOUND = (Finding(fact=Exposed(scheme=Scheme.HTTP)),)


def listener(port: int) -> Listener:
    return Listener(site="default", address="127.0.0.1", port=port)


class Answers:
    """Records who was asked, how many at once, and what the others were told."""

    def __init__(self) -> None:
        self.done: dict[int, object] = {}
        self.now = self.most = 0
        self.gate = asyncio.Event()

    async def ask(self, asked: Listener) -> tuple[Finding, ...]:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if asked.port == 13:
                raise ValueError("bad luck")
            if asked.port == 14:
                raise asyncio.CancelledError
            return FOUND
        finally:
            self.now -= 1

    def tell(self, asked: Listener, result: object) -> None:
        self.done[asked.port] = result


async def test_everyone_is_asked_and_never_too_many_at_once() -> None:
    answers = Answers()
    answers.gate.set()
    questions = Questioning(answers.ask, answers.tell, concurrency=4, backlog=10)
    async with asyncio.timeout(5):
        for port in range(1, 101):
            await questions.put(listener(port))
        await questions.finish()
    assert answers.done.keys() == set(range(1, 101))
    assert answers.most == 4
    assert questions.unfinished == 0


@pytest.mark.parametrize("port", [13, 14])
async def test_a_listener_that_fails_ends_nobody_else(port: int) -> None:
    answers = Answers()
    answers.gate.set()
    questions = Questioning(answers.ask, answers.tell, concurrency=2)
    async with asyncio.timeout(5):
        for number in (1, port, 2):
            await questions.put(listener(number))
        await questions.finish()
    assert isinstance(answers.done.pop(port), Exception)
    assert answers.done == {1: FOUND, 2: FOUND}


async def test_a_full_backlog_holds_up_who_hands_over() -> None:
    answers = Answers()
    questions = Questioning(answers.ask, answers.tell, concurrency=1, backlog=2)
    async with asyncio.timeout(5):
        for port in (1, 2, 3):
            await questions.put(listener(port))
        waiting = asyncio.create_task(questions.put(listener(4)))
        await asyncio.sleep(0)
        assert not waiting.done()
        answers.gate.set()
        await waiting
        await questions.finish()
    assert len(answers.done) == 4


async def test_held_questions_begin_again() -> None:
    answers = Answers()
    answers.gate.set()
    questions = Questioning(answers.ask, answers.tell, concurrency=1)
    questions.hold(True)
    await questions.put(listener(1))
    await asyncio.sleep(0)
    assert answers.most == 0
    questions.hold(False)
    async with asyncio.timeout(5):
        await questions.finish()
    assert answers.done == {1: FOUND}


async def test_who_was_not_asked_to_the_end_stays_unfinished() -> None:
    answers = Answers()
    questions = Questioning(answers.ask, answers.tell, concurrency=2)
    for port in range(1, 6):
        await questions.put(listener(port))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await questions.cancel()
    assert questions.unfinished == 5
    assert answers.now == 0
    assert answers.done == {}
