from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from making import NOW

from inventory.model import Sample
from inventory.traffic import add_counts, joined, percentile

counts = st.dictionaries(st.sampled_from([1, 5, 20, 100]), st.integers(0, 50))
samples = st.builds(
    Sample,
    route=st.just("iris"),
    backend=st.sampled_from(["a", "b"]),
    at=st.integers(0, 5000).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    seconds=st.just(15.0),
    requests=st.integers(0, 9),
    failures=st.integers(0, 9),
    in_flight=st.integers(0, 9),
    latency=counts,
)


@given(counts, counts)
def test_counts_add_up_in_any_order(one: dict[int, int], other: dict[int, int]) -> None:
    assert add_counts(one, other) == add_counts(other, one)
    assert sum(add_counts(one, other).values()) == sum(one.values()) + sum(other.values())


@given(counts, st.floats(0, 1))
def test_a_percentile_lies_in_the_bucket_that_holds_its_rank(found: dict[int, int], share: float) -> None:
    value = percentile(found, share)
    total = sum(found.values())
    if total == 0:
        assert value is None
        return
    assert value is not None
    below = sum(count for bound, count in found.items() if bound < value)
    inside = sum(count for bound, count in found.items() if bound <= max(min(b for b in found if b >= value), value))
    assert below <= share * total + 1e-9
    assert inside >= share * total - 1e-9


@given(st.lists(samples, max_size=20))
def test_joining_loses_nothing_and_does_so_once(found: list[Sample]) -> None:
    whole = joined(found, 600)
    for backend in ("a", "b"):
        own, parts = ([one for one in many if one.backend == backend] for many in (whole, found))
        assert sum(one.requests for one in own) == sum(one.requests for one in parts)
        assert sum(sum(one.latency.values()) for one in own) == sum(sum(one.latency.values()) for one in parts)
        assert max((one.in_flight for one in own), default=0) == max((one.in_flight for one in parts), default=0)
        assert len({one.at for one in own}) == len(own)
    assert all(one.at.timestamp() % 600 == 0 for one in whole)
    assert {one.model_dump_json() for one in joined(whole, 600)} == {one.model_dump_json() for one in whole}
