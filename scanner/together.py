"""Asking for several things at once, of which nothing goes on once one has failed.

``asyncio.gather`` lets the others run after it has raised: they would ask on, by a client that is closed.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(parts: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order. The first error of a part is raised once all the others have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in parts]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [one.result() for one in tasks]
