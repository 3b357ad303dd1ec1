"""Rules other than equality: labels, probabilities, embeddings, texts, tolerances at their own places."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from inventory.model import Comparison, Rule
from router.shadow.compare import Outcome, compare
from router.shadow.measures import angle, ranking, top, variation, wording
from router.shadow.records import Record, parse
from router.shadow.rules import compile_rules

BASE = parse(b'{"rid":"r","role":"p","entry":"churn","code":200,"ct":"application/json"}')
TEXT = "the cat sat on the mat and looked at the dog"


def answer(said: object, **changes: Any) -> Record:
    raw = json.dumps(said).encode()
    return replace(BASE, **({"body": raw, "sent": len(raw)} | changes))


def outcome(one: object, other: object, *rules: Rule, **comparison: Any) -> Outcome:
    compiled = compile_rules(Comparison(rules=rules, **comparison))
    first = compare(answer(one), answer(other, role="s"), compiled).outcome
    assert compare(answer(other), answer(one, role="s"), compiled).outcome is first
    return first


AGREE, DIFFER, CUT = Outcome.AGREE, Outcome.DIFFER, Outcome.INCOMPARABLE


@pytest.mark.parametrize(
    ("one", "other", "rule", "expected"),
    [
        ([0.10, 0.2], [0.11, 0.2], {"path": "$.y", "relative": 0.2}, AGREE),
        ([0.10, 0.2], [0.15, 0.2], {"path": "$.y", "relative": 0.2}, DIFFER),
        ([0.10, 0.2], [0.11, 0.2], {"path": "$.y[1]", "relative": 0.2}, DIFFER),
        ({"a": {"b": [1.0]}}, {"a": {"b": [1.4]}}, {"path": "$.y.a", "absolute": 0.5}, AGREE),
        ({"a": {"b": [1.0]}}, {"a": {"b": [1.6]}}, {"path": "$.y.a", "absolute": 0.5}, DIFFER),
        (100, 101, {"path": "$.y", "relative": 0.05}, AGREE),
        (["a", "b", "c"], ["b", "a", "d"], {"path": "$.y", "top": 2}, AGREE),
        (["a", "b", "c"], ["b", "a", "d"], {"path": "$.y", "top": 3}, DIFFER),
        ({"a": 0.7, "b": 0.2, "c": 0.1}, {"a": 0.5, "b": 0.1, "c": 0.4}, {"path": "$.y", "top": 1}, AGREE),
        ({"a": 0.7, "b": 0.2, "c": 0.1}, {"a": 0.3, "b": 0.1, "c": 0.6}, {"path": "$.y", "top": 1}, DIFFER),
        ([{"label": "a", "score": 0.1}, {"label": "b", "score": 0.9}], [{"label": "b", "score": 1}],
         {"path": "$.y", "top": 1}, AGREE),
        (5, 6, {"path": "$.y", "top": 1}, DIFFER),
        ([0.5, 0.5], [0.52, 0.48], {"path": "$.y", "distance": 0.02}, AGREE),
        ([0.5, 0.5], [0.53, 0.47], {"path": "$.y", "distance": 0.02}, DIFFER),
        ({"a": 1.0}, {"b": 1.0}, {"path": "$.y", "distance": 0.99}, DIFFER),
        ({"a": 1.0}, {"b": 1.0}, {"path": "$.y", "distance": 1.0}, AGREE),
        ([-1.0, 2.0], [2.0, -1.0], {"path": "$.y", "distance": 0.9}, DIFFER),
        ([1.0, 0.0], [1.0, 0.01], {"path": "$.y", "cosine": 0.999}, AGREE),
        ([1.0, 0.0], [0.0, 1.0], {"path": "$.y", "cosine": 0.999}, DIFFER),
        ([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], {"path": "$.y", "cosine": 0.9}, DIFFER),
        ([1.0, 0.0], [1.0, 0.0, 0.0], {"path": "$.y", "cosine": 0.0}, DIFFER),
        (TEXT, TEXT.replace("dog", "bird"), {"path": "$.y", "similarity": 0.9}, AGREE),
        (TEXT, "something else entirely", {"path": "$.y", "similarity": 0.9}, DIFFER),
        (TEXT, 7, {"path": "$.y", "similarity": 0.0}, DIFFER),
    ],
)  # fmt: skip
def test_a_rule_decides_at_its_place(one: object, other: object, rule: dict[str, Any], expected: Outcome) -> None:
    assert outcome({"y": one}, {"y": other}, Rule(**rule)) is expected
    elsewhere = outcome({"y": one, "z": 1.0}, {"y": one, "z": 1.5}, Rule(**rule))
    assert elsewhere is DIFFER


def test_a_tolerance_ends_where_its_place_ends_and_a_narrower_one_wins() -> None:
    wide, narrow = Rule(path="$.a", relative=0.5), Rule(path="$.a.b", relative=1e-9)
    assert outcome({"a": {"c": 1.0}, "d": 1.0}, {"a": {"c": 1.2}, "d": 1.2}, wide) is DIFFER
    assert outcome({"a": {"b": 1.0, "c": 1.0}}, {"a": {"b": 1.0, "c": 1.2}}, wide, narrow) is AGREE
    assert outcome({"a": {"b": 1.0, "c": 1.0}}, {"a": {"b": 1.1, "c": 1.0}}, wide, narrow) is DIFFER


def test_a_tolerance_holds_inside_unordered_lists() -> None:
    rule = Rule(path="$.a", relative=0.1)
    assert outcome({"a": [{"x": 1.0}, {"x": 5.0}]}, {"a": [{"x": 5.2}, {"x": 1.02}]}, rule, unordered=("$.a",)) is AGREE


@pytest.mark.parametrize("kinds", [{}, {"top": 3, "cosine": 0.9}, {"relative": 0.1, "similarity": 0.9}])
def test_a_rule_has_one_kind(kinds: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one kind"):
        Rule(path="$.y", **kinds)


numbers = st.floats(-1e6, 1e6)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(any)


@settings(deadline=None)
@given(shares, shares)
def test_total_variation_is_a_bounded_symmetric_distance(one: list[float], other: list[float]) -> None:
    there, back = variation(one, other, 1.0).distance, variation(other, one, 1.0).distance
    assert there is not None
    assert back is not None
    assert there == pytest.approx(back)
    assert -1e-9 <= there <= 1 + 1e-9
    assert variation(one, one, 0.0).near


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=8), st.floats(0.01, 100))
def test_the_cosine_does_not_know_lengths(row: list[float], factor: float) -> None:
    assert angle(row, row, 0.999999).near
    scaled = angle(row, [factor * each for each in row], 0.999)
    assert scaled.near or not any(abs(each) > 1e-300 for each in row)


@pytest.mark.parametrize("hostile", [[1e301, 1.0], [10**400, 1], [math.inf, 1.0], [math.nan], [True], [[]], {}, [{}]])
def test_hostile_numbers_are_no_agreement(hostile: object) -> None:
    assert not angle(hostile, [1.0, 2.0], 0.0).near
    assert not variation(hostile, [1.0, 2.0], 0.1).near


@settings(deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text()),
        lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    )
)
def test_no_value_breaks_a_measure(value: object) -> None:
    for judge, bound in ((variation, 0.5), (angle, 0.5), (wording, 0.5)):
        assert judge(value, [0.5, 0.5], bound).why
    assert top(value, ["a"], 3).why
    assert ranking(value) is None or isinstance(value, list | dict)


def test_texts_of_any_length_are_bounded_work() -> None:
    one, other = "a b " * 500_000, "b a " * 500_000
    assert wording(one, other, 0.9).near


@pytest.mark.parametrize(
    ("statuses", "sizes", "expected"),
    [
        ((0, 0), (1000, 1050), AGREE),
        ((0, 0), (1000, 1200), DIFFER),
        ((0, 13), (1000, 1000), DIFFER),
        ((13, 13), (0, 0), AGREE),
    ],
)
def test_grpc_is_compared_by_status_and_size(
    statuses: tuple[int, int], sizes: tuple[int, int], expected: Outcome
) -> None:
    calls = [
        replace(BASE, content_type="application/grpc+proto", grpc_status=status, sent=size, body=b"?")
        for status, size in zip(statuses, sizes, strict=True)
    ]
    assert compare(calls[0], calls[1], compile_rules(Comparison())).outcome is expected


@pytest.mark.parametrize(("ratio", "expected"), [(None, CUT), (1.5, DIFFER), (3.0, CUT)])
def test_sizes_differ_even_where_bodies_were_cut_off(ratio: float | None, expected: Outcome) -> None:
    one, other = (replace(BASE, body=b"x" * 10, sent=sent) for sent in (100_000, 200_000))
    assert compare(one, other, compile_rules(Comparison(size_ratio=ratio))).outcome is expected
