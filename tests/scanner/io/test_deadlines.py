"""Deadlines over a loop whose time the test moves."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.io.deadlines import TICK, Deadlines


class Loop:
    """What deadlines need of an event loop: a clock, and one call that is due."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self.due is None, "one look at a time is enough"
        self.due = self.now + seconds, call

    def turn(self, late: float = 0.0) -> None:
        """Make the call that is due, so much later than it should have been."""
        assert self.due is not None
        (self.now, call), self.due = self.due, None
        self.now += late
        call()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop()
    monkeypatch.setattr("scanner.io.deadlines.asyncio.get_running_loop", lambda: made)
    return made


def test_a_deadline_ends_within_two_ticks_and_never_early(loop: Loop) -> None:
    ended: list[float] = []
    Deadlines().start(1.0, lambda: ended.append(loop.now))
    while loop.due is not None:
        loop.turn()
    assert len(ended) == 1
    assert 101.0 <= ended[0] <= 101.0 + 2 * TICK


def test_time_in_which_the_loop_did_not_turn_counts_against_nobody(loop: Loop) -> None:
    ended: list[float] = []
    Deadlines().start(1.0, lambda: ended.append(loop.now))
    loop.turn(late=30.0)
    assert not ended
    while not ended:
        loop.turn()
    assert ended[0] > 130.0


def test_what_is_stopped_does_not_end_and_nothing_ticks_without_need(loop: Loop) -> None:
    deadlines = Deadlines()
    ended: list[str] = []
    other = deadlines.start(0.1, lambda: ended.append("other"))
    deadlines.start(0.05, other.stop)
    third = deadlines.start(0.1, lambda: ended.append("third"))
    third.stop()
    third.stop()
    while loop.due is not None:
        loop.turn()
    assert ended == []
    assert not deadlines.live


@given(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=20), st.lists(st.floats(0.0, 2.0), max_size=40))
def test_each_ends_once_and_in_order_of_length(lengths: list[float], delays: list[float]) -> None:
    loop, ended = Loop(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scanner.io.deadlines.asyncio.get_running_loop", lambda: loop)
        deadlines = Deadlines()
        for length in lengths:
            deadlines.start(length, lambda length=length: ended.append((length, loop.now)))  # type: ignore[misc]
        while loop.due is not None:
            loop.turn(delays.pop() if delays else 0.0)
    assert sorted(length for length, _ in ended) == sorted(lengths)
    assert all(when >= 100.0 + length for length, when in ended)
