from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.viewmodel import triage
from tui.viewmodel.copy import endpoint_json, urls
from tui.viewmodel.text import plain


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("2w", 14), (" 3M ", 90), ("1 d", 1), ("365d", 365)])
def test_a_span_counts_from_now(text, days, now) -> None:
    assert triage.until(text, now) - now == timedelta(days=days)


def test_a_date_lasts_through_that_day(now) -> None:
    assert triage.until("2026-12-01", now) == datetime(2026, 12, 1, 23, 59, 59, tzinfo=UTC)
    assert triage.until("2026-11-23", now) > now


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "0d", "2026-11-22", "13m", "2099-01-01", "-3d", "30", "3y"])
def test_a_bad_end_is_refused_with_a_sentence(text, now) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+") as refused:
        triage.until(text, now)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=12))
def test_an_end_is_in_the_future_or_refused(text) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    try:
        end = triage.until(text, now)
    except ValueError:
        return
    assert now < end <= now + triage.LONGEST


@pytest.mark.parametrize("text", ["", "  ", "ok"])
def test_a_decision_needs_a_reason(text) -> None:
    with pytest.raises(ValueError, match="reason"):
        triage.reason(text)


def test_an_owner_can_be_taken_away_but_not_be_an_escape() -> None:
    assert triage.owner("  ") == ""
    assert triage.owner(" team-recsys ") == "team-recsys"
    for bad in ("a\x1b[2J", "x" * 121):
        with pytest.raises(ValueError, match="owner"):
            triage.owner(bad)


@pytest.mark.parametrize(
    ("origin", "managed", "complaint"),
    [("80", "20", "the weights that it has"), ("80", "30", "add up to 110"), ("x", "20", "whole number"),
     ("", "100", "whole number"), ("101", "0", "whole number"), ("-1", "101", "whole number"),
     ("٣", "97", "whole number")],
)  # fmt: skip
def test_weights_that_make_no_sense(origin, managed, complaint, spec) -> None:
    with pytest.raises(ValueError, match=complaint):
        triage.weights(spec, {"origin": origin, "managed": managed})


def test_weights_that_do(spec) -> None:
    assert triage.weights(spec, {"origin": "50 %", "managed": " 50"}) == {"origin": 50, "managed": 50}


def test_what_a_decision_is_about_is_listed_up_to_a_few(endpoint) -> None:
    lines = [plain(each) for each in triage.subjects([endpoint(i) for i in range(9)])]
    assert len(lines) == triage.SHOWN + 1
    assert lines[-1].strip() == "and 3 more"


def test_an_assignment_says_whom_it_replaces(endpoint) -> None:
    said = [plain(each) for each in triage.assignment([endpoint(1, owner="bob"), endpoint(2)], "ana")]
    assert said == ["owner ana of 2 endpoints", "instead of bob"]


def test_what_is_copied_cannot_act_on_a_terminal(endpoint, evil) -> None:
    hostile = endpoint(title=evil, url=f"http://127.0.0.1/{evil}")
    for copied in (endpoint_json([hostile]), endpoint_json([hostile, hostile]), urls([hostile])):
        assert copied.isascii()
        assert all(c == "\n" or c.isprintable() for c in copied)
