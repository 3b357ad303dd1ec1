from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.viewmodel.text import Run, Tone, age, ago, clean, fit, join, line, plain, plural, span, width_of, wrap

ANYTHING = st.text(st.characters(codec=None), max_size=60)


@given(st.text(alphabet=st.characters(), max_size=80))
def test_nothing_that_a_terminal_obeys_survives(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in cleaned)


@given(st.text(alphabet=st.characters(), max_size=80))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("a\nb\tc", "a␊b␉c"),
        ("\x7f", "␡"),
        ("\x9b31m", "\ufffd31m"),
        ("\u202egnp", "\ufffdgnp"),
        ("a\u200bb", "a\ufffdb"),
        ("e" + "\u0301" * 9, "e\u0301\u0301"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
        ("\ud800", "\ufffd"),
        ("naïve 模型", "naïve 模型"),
    ],
)
def test_what_is_cleaned_stays_visible(dirty: str, shown: str) -> None:
    assert clean(dirty) == shown


def test_a_long_text_is_bounded() -> None:
    assert len(clean("x" * 10_000, 100)) == 100


@given(st.lists(st.text(max_size=12).map(clean), max_size=5), st.integers(0, 40), st.sampled_from(["left", "right"]))
def test_a_fitted_line_has_exactly_its_width(texts: list[str], width: int, align: str) -> None:
    fitted = fit(line(*texts), width, align)  # type: ignore[arg-type]
    assert width_of(fitted) == width


def test_a_cut_line_says_so_and_keeps_its_tone() -> None:
    assert fit(line(Run("endpoint", Tone.BAD)), 4) == (Run("end", Tone.BAD), Run("…", Tone.BAD))


@given(st.text(max_size=120).map(clean), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_no_word(text: str, width: int) -> None:
    lines = wrap(text, width, limit=1000)
    assert all(cell_len(each) <= width for each in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_wrapping_is_bounded() -> None:
    lines = wrap("word " * 500, 10, limit=3)
    assert len(lines) == 3
    assert lines[-1] == "…"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_400, "1d"),
     (13 * 86_400, "13d"), (14 * 86_400, "2w"), (103 * 604_800, "103w"), (104 * 604_800, "2y")],
)  # fmt: skip
def test_a_span_is_in_its_largest_fitting_unit(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_an_age_of_a_clock_that_runs_ahead_is_now(now) -> None:
    assert age(now + timedelta(hours=1), now) == "now"
    assert age(now - timedelta(hours=1), now) == "1h"
    assert ago(now + timedelta(hours=1), now) == "now"
    assert ago(now - timedelta(hours=1), now) == "1h ago"


def test_empty_lines_leave_no_separator() -> None:
    assert plain(join([(), line("a"), (), line("b")], "/")) == "a/b"


def test_plurals() -> None:
    assert [plural(0, "gap"), plural(1, "gap"), plural(1234, "gap"), plural(2, "more", "more")] == [
        "0 gaps", "1 gap", "1,234 gaps", "2 more",
    ]  # fmt: skip
