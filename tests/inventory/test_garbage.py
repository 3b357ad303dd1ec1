import gc
from collections.abc import Iterator

import pytest

from inventory.garbage import collect_seldom, nothing_is_garbage


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(("young", "expected"), [(700, 50_000), (90_000, 90_000)])
def test_garbage_is_looked_for_seldom_and_never_more_often_than_asked(young: int, expected: int) -> None:
    gc.set_threshold(young, 11, 12)
    collect_seldom()
    assert gc.get_threshold() == (expected, 11, 12)


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_looked_for_again_after_a_great_making_as_before_it(collects: bool) -> None:
    def made() -> None:
        with nothing_is_garbage():
            assert not gc.isenabled()
            raise KeyError

    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(KeyError):
            made()
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()
