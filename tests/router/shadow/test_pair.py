from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from router.shadow.pair import Loss, Lost, Pair, Pairer, Window
from router.shadow.records import Record, parse


def record(rid: str, role: str, *, route: str = "churn", body: bytes = b"") -> Record:
    return replace(parse(f'{{"rid":"{rid}","role":"{role}","entry":"{route}"}}'.encode()), body=body)


@pytest.mark.parametrize("order", ["ps", "sp"])
def test_the_answers_of_a_request_meet_in_any_order(order: str) -> None:
    pairer = Pairer()
    assert pairer.add(record("a", order[0]), 0, 0, 10) == ()
    (pair,) = pairer.add(record("a", order[1]), 1, 10, 20)
    assert isinstance(pair, Pair)
    assert (pair.primary.role, pair.shadow.role, pair.end) == ("p", "s", 20)
    assert pairer.pending == 0


def test_one_id_on_two_routes_is_two_requests() -> None:
    pairer = Pairer()
    pairer.add(record("a", "p"), 0)
    assert pairer.add(record("a", "s", route="other"), 0) == ()


def test_a_repeated_answer_is_lost_and_the_first_stays() -> None:
    pairer = Pairer()
    first = record("a", "p", body=b"first")
    pairer.add(first, 0)
    (lost,) = pairer.add(record("a", "p"), 0)
    assert isinstance(lost, Lost)
    assert lost.reason is Loss.DUPLICATE
    (pair,) = pairer.add(record("a", "s"), 0)
    assert isinstance(pair, Pair)
    assert pair.primary is first


def test_waiting_ends_after_the_windows_seconds() -> None:
    pairer = Pairer(Window(seconds=5))
    pairer.add(record("a", "p"), 0)
    pairer.add(record("b", "p"), 3)
    assert pairer.expire(5) == ()
    assert [(lost.record.rid, lost.reason) for lost in pairer.expire(6)] == [("a", Loss.LATE)]
    assert pairer.pending == 1


@pytest.mark.parametrize("window", [Window(records=2), Window(size=2 * (1024 + 100))])
def test_memory_is_bounded_by_records_and_by_bytes(window: Window) -> None:
    pairer = Pairer(window)
    events = [event for rid in "abcd" for event in pairer.add(record(rid, "p", body=b"x" * 100), 0)]
    assert [(event.record.rid, event.reason) for event in events if isinstance(event, Lost)] == [
        ("a", Loss.CROWDED),
        ("b", Loss.CROWDED),
    ]
    assert pairer.pending == 2


def test_the_oldest_place_is_what_must_not_be_deleted() -> None:
    pairer = Pairer()
    assert pairer.oldest_start is None
    pairer.add(record("a", "p"), 0, 0, 10)
    pairer.add(record("b", "p"), 0, 10, 20)
    pairer.add(record("a", "s"), 0, 20, 30)
    assert pairer.oldest_start == 10


@pytest.mark.parametrize("since", [1, 9, 10])
def test_at_least_as_many_ids_are_remembered_as_answers_may_wait(since: int) -> None:
    pairer = Pairer(Window(records=10))
    for at in range(1000):
        pairer.add(record(str(at), "p"), 0)
        pairer.add(record(str(at), "s"), 0)
    (again,) = pairer.add(record(str(1000 - since), "p"), 0)
    assert isinstance(again, Lost)
    assert again.reason is Loss.DUPLICATE
    assert pairer.add(record("900", "p"), 0) == ()


ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("ps"), st.sampled_from(["x", "y"]), st.floats(0, 3)),
    max_size=60,
)


@given(ARRIVALS, st.integers(1, 6), st.floats(0.5, 6))
def test_every_record_is_in_exactly_one_place(
    arrivals: list[tuple[str, str, str, float]], records: int, seconds: float
) -> None:
    pairer = Pairer(Window(seconds=seconds, records=records))
    now = 0.0
    events: list[Pair | Lost] = []
    for rid, role, route, wait in arrivals:
        now += wait
        events += pairer.expire(now)
        events += pairer.add(record(rid, role, route=route), now)
        assert pairer.pending <= records
    kinds = Counter(type(event) for event in events)
    assert 2 * kinds[Pair] + kinds[Lost] + pairer.pending == len(arrivals)
    for event in events:
        if isinstance(event, Pair):
            assert event.primary.rid == event.shadow.rid
            assert event.primary.place.route == event.shadow.place.route
            assert (event.primary.role, event.shadow.role) == ("p", "s")


@settings(deadline=None)
@given(ARRIVALS)
def test_whatever_is_said_again_no_request_makes_two_pairs(arrivals: list[tuple[str, str, str, float]]) -> None:
    pairer = Pairer()
    events = [event for rid, role, route, _ in arrivals for event in pairer.add(record(rid, role, route=route), 0)]
    pairs = [(event.primary.place.route, event.primary.rid) for event in events if isinstance(event, Pair)]
    assert len(set(pairs)) == len(pairs)
    assert all(event.reason is Loss.DUPLICATE for event in events if isinstance(event, Lost))
