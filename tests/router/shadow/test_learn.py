"""Rules from a baseline, and rules as a file that a person edits."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.model import Comparison, RouteSpec, Rule, Shadow, ShadowEvidence
from router.errors import RouteError
from router.shadow.evidence import replay
from router.shadow.learn import learn
from router.shadow.records import parse
from router.shadow.rules_file import read_rules, write_rules

NOW = datetime(2026, 5, 4, tzinfo=UTC)
Line = Callable[..., bytes]


def noisy(at: int, side: str) -> dict[str, object]:
    """An answer of a model whose scores tremble, which says when it answered and shuffles a name."""
    other = side == "s"
    return {
        "label": "cat",
        "score": 0.5 + 1e-5 * (at % 7) * other,
        "at": f"12:00:{at % 60}.{other}",
        "parts": [{"took": at + 100 * other, "kind": "a"}],
    }


def itself(line: Line, spec: RouteSpec, count: int = 60) -> ShadowEvidence:
    lines = [line(str(at), side, noisy(at, side), backend="origin") for at in range(count) for side in "ps"]
    (row,) = replay([parse(one) for one in lines], lambda route, revision: spec, NOW)
    return row


def test_a_baseline_teaches_what_is_noise(line: Line, spec: RouteSpec) -> None:
    spec = spec.model_copy(
        update={"comparison": Comparison(), "shadow": Shadow(backend="origin", percent=100, baseline=True)}
    )
    baseline = itself(line, spec)
    assert (baseline.primary, baseline.shadow, baseline.agreed) == ("origin", "origin", 0)
    learnt, reasons = learn(baseline, Comparison())
    assert set(learnt.ignore) == {"$.at", "$.parts[*].took"}
    (rule,) = learnt.rules
    assert rule.path == "$.score"
    assert rule.relative is not None
    assert 1.2e-4 < rule.relative < 1e-3
    assert any("$.score differs in" in reason and "is allowed" in reason for reason in reasons)
    again = itself(line, spec.model_copy(update={"comparison": learnt}))
    assert again.agreed == again.pairs
    assert learn(again, learnt) == (learnt, ())


def test_a_status_that_changes_by_itself_is_left_for_a_person(line: Line, spec: RouteSpec) -> None:
    lines = [
        line(str(at), side, 1, backend="origin", code=500 if side == "s" else 200) for at in range(5) for side in "ps"
    ]
    (row,) = replay([parse(one) for one in lines], lambda route, revision: spec, NOW)
    learnt, reasons = learn(row, Comparison())
    assert learnt == Comparison()
    assert "for a person to judge" in reasons[0]


def test_which_label_became_which_is_counted(line: Line, spec: RouteSpec) -> None:
    said = [("setosa", "setosa"), ("virginica", "versicolor"), ("virginica", "versicolor"), ("setosa", "virginica")]
    lines = [
        line(str(at), side, {"class": label})
        for at, pair in enumerate(said)
        for side, label in zip("ps", pair, strict=True)
    ]
    (row,) = replay([parse(one) for one in lines], lambda route, revision: spec, NOW)
    assert row.swaps == {"$.class": {'"virginica" -> "versicolor"': 2, '"setosa" -> "virginica"': 1}}
    assert json.loads(row.model_dump_json())["swaps"] == row.swaps


rules = st.one_of(
    st.builds(Rule, path=st.just("$.a[*]"), relative=st.floats(0, 1)),
    st.builds(Rule, path=st.just("$..b"), top=st.integers(1, 9)),
    st.builds(Rule, path=st.just("$['odd key']"), similarity=st.floats(0, 1)),
)


@settings(deadline=None)
@given(
    st.builds(
        Comparison,
        relative=st.floats(0, 1),
        ignore=st.lists(st.sampled_from(["$.x", "status", "$..y"])).map(tuple),
        rules=st.lists(rules).map(tuple),
        size_ratio=st.none() | st.floats(1, 5),
    )
)
def test_rules_come_back_from_their_file(comparison: Comparison) -> None:
    assert read_rules(write_rules(comparison)) == comparison


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [", "are not YAML"),
        ("7", "Input should be a valid dictionary"),
        ("ignroe: []", "ignroe: Extra inputs"),
        ("ignore: [took_ms]", "'took_ms' is not a path"),
        ("rules: [{path: $.a}]", "needs exactly one kind"),
        ("rules: [{path: a, top: 3}]", "'a' is not a path"),
        ("relative: -1", "relative: Input should be greater"),
    ],
)
def test_rules_that_cannot_be_used_are_one_sentence(text: str, words: str) -> None:
    with pytest.raises(RouteError) as caught:
        read_rules(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_the_default() -> None:
    assert read_rules("# nothing\n") == Comparison()
