from hypothesis import given
from hypothesis import strategies as st

from tui.history import History, Location, Opened
from tui.viewmodel.marks import Marks

KEYS = list("abcdefgh")


def test_a_range_reaches_from_its_beginning_to_the_cursor_and_shrinks_again() -> None:
    marks = Marks(frozenset("h")).ranged("c")
    assert marks.extended(KEYS, "e").marked == frozenset("cdeh")
    assert marks.extended(KEYS, "e").extended(KEYS, "b").marked == frozenset("bch")
    assert marks.extended(KEYS, "d").ranged("d") == Marks(frozenset("cdh"))


def test_a_range_whose_beginning_is_gone_ends() -> None:
    marks = Marks().ranged("c").extended(KEYS, "d")
    assert marks.extended(["d", "e"], "e") == Marks(frozenset("cd"))


def test_all_or_none() -> None:
    assert Marks(frozenset("a")).all_or_none("ab").marked == frozenset("ab")
    assert Marks(frozenset("abc")).all_or_none("ab").marked == frozenset("c")
    assert Marks(frozenset("ax")).kept(KEYS).marked == frozenset("a")


@given(st.lists(st.sampled_from(["back", "forward", "pulse", "gaps", "routes"]), max_size=30))
def test_back_and_forward_walk_where_one_has_been(steps: list[str]) -> None:
    history = History((Location("start"),))
    for step in steps:
        if step == "back":
            gone = history.back()
            assert gone.forward() == history or not history.can_back
            history = gone
        elif step == "forward":
            history = history.forward()
        else:
            to = Location(step, (Opened("endpoint", "e1"),))
            history = history.go(to)
            assert history.here == to
            assert not history.can_forward or history.visited[history.at] == to
    assert 0 <= history.at < len(history.visited)
    assert all(a != b for a, b in zip(history.visited, history.visited[1:], strict=False))
