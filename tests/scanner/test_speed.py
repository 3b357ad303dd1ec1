import pytest

from scanner.speed import WINDOW, Speedometer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    speed = Speedometer(clock)
    for second in range(1, 31):
        clock.now = 100.0 + second
        # A thousand a second at first, a hundred later.
        probed = min(second, 15) * 1000 + max(0, second - 15) * 100
        progress = speed.progress(probed, 100_000, 0, 0, 0)
        if second == 10:
            assert progress.rate == pytest.approx(1000)
    assert second > 15 + WINDOW
    assert progress.rate == pytest.approx(100)
    assert progress.seconds_left == pytest.approx((100_000 - probed) / 100)


@pytest.mark.parametrize(
    ("probed", "unfinished", "percent", "left"),
    [
        (0, 0, 0.0, None),
        (50, 0, 49.5, 1.0),
        (100, 3, 99.0, None),
        (100, 0, 100.0, 0.0),
    ],
)
def test_a_hundred_percent_means_that_all_questions_are_answered(
    probed: int, unfinished: int, percent: float, left: float | None
) -> None:
    clock = Clock()
    speed = Speedometer(clock)
    clock.now += 1.0
    progress = speed.progress(probed, 100, unfinished, 5, 2)
    assert progress.percent == percent
    assert progress.seconds_left == left
    assert (progress.open, progress.identified) == (5, 2)


def test_nothing_to_send_is_done_at_once() -> None:
    progress = Speedometer(Clock()).progress(0, 0, 0, 0, 0)
    assert (progress.percent, progress.seconds_left, progress.rate) == (100.0, 0.0, 0.0)
