import gc
from collections.abc import Iterator

import pytest

from inventory.garbage import collect_seldom


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
