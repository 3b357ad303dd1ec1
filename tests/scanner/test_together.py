"""Several things at once, of which nothing is left once they have ended."""

import asyncio

import pytest

from scanner.together import together


async def after(turns: int, ended: list[int], error: Exception | None = None) -> int:
    """The number of turns of the event loop that it took, or an error."""
    try:
        for _ in range(turns):
            await asyncio.sleep(0)
        if error:
            raise error
        return turns
    finally:
        ended.append(turns)


@pytest.mark.parametrize("turns", [(), (0,), (3, 1, 2)])
async def test_results_are_in_order_whoever_is_first(turns: tuple[int, ...]) -> None:
    ended: list[int] = []
    assert await together(after(one, ended) for one in turns) == list(turns)
    assert ended == sorted(turns)


async def test_the_first_error_is_raised_when_nothing_goes_on() -> None:
    ended: list[int] = []
    parts = [after(10_000, ended), after(2, ended, LookupError("two")), after(1, ended, LookupError("one"))]
    with pytest.raises(LookupError, match="one"):
        await together(parts)
    assert sorted(ended) == [1, 2, 10_000]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_to_cancel_it_is_to_cancel_all() -> None:
    ended: list[int] = []
    task = asyncio.ensure_future(together([after(10_000, ended), after(10_001, ended)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [10_000, 10_001]
