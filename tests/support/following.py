"""What follows a growing file, run for the length of a block; and how to wait for what it makes of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

DEADLINE = 10.0


class Follower(Protocol):
    async def run(self, stop: asyncio.Event) -> Any:
        """Follow until the event is set."""


@asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(follower.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        # What is waited for happens in files and in a database: neither tells, so they are asked.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def append(path: Path, *lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(b"".join(lines))
