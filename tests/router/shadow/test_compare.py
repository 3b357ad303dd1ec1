"""When two answers agree: every kind of body, status and encoding against every other."""

import gzip
import json
import math
import time
import zlib
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from inventory.model import Comparison
from router.shadow.bodies import MAX_DECODED
from router.shadow.compare import Outcome, Result, compare
from router.shadow.records import ANSWER_LIMIT, Record, parse
from router.shadow.rules import RuleError, compile_rules

JSON = "application/json"
BASE = parse(b'{"rid":"r","role":"p","entry":"churn","code":200,"ct":"application/json"}')


def answer(body: bytes | None = None, *, said: object = None, **changes: Any) -> Record:
    raw = json.dumps(said).encode() if body is None else body
    return replace(BASE, **({"body": raw, "sent": len(raw)} | changes))


def compared(one: Record, other: Record, **rules: Any) -> Result:
    return compare(one, replace(other, role="s"), compile_rules(Comparison(**rules)))


def outcome(one: object, other: object, **rules: Any) -> Outcome:
    return compared(answer(said=one), answer(said=other), **rules).outcome


AGREE = [
    (1, 1.0), (0.1 + 0.2, 0.3), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([], []), (math.nan, math.nan),
    (math.inf, math.inf), (0.0, -0.0), ("é", "é"), (10**400, 10**400), (None, None), (5, 5.000001),
]  # fmt: skip
DIFFER = [
    (1, 2, "$"), (True, 1, "$"), (False, 0, "$"), ("1", 1, "$"), (None, 0, "$"), ([1, 2], [1, 1], "$[1]"),
    ([1], [1, 2], "$[1]"), ({"a": None}, {}, "$.a"), ({}, {"a": None}, "$.a"), (math.nan, 1.0, "$"),
    (math.inf, -math.inf, "$"), (math.inf, 1e308, "$"), ({}, [], "$"), ({"a": {"b": [0, {"c": 1}]}},
    {"a": {"b": [0, {"c": 2}]}}, "$.a.b[1].c"), ({"odd key": 1}, {"odd key": 2}, "$['odd key']"),
    (123_456_789, 123_456_790, "$"), (1.0, 1.001, "$"), (10**400, 1.5, "$"), ("a", "A", "$"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), AGREE)
def test_json_that_means_the_same_agrees(one: object, other: object) -> None:
    assert outcome(one, other) is outcome(other, one) is Outcome.AGREE


@pytest.mark.parametrize(("one", "other", "path"), DIFFER)
def test_json_that_differs_differs_at_its_path(one: object, other: object, path: str) -> None:
    for first, second in ((one, other), (other, one)):
        result = compared(answer(said=first), answer(said=second))
        assert result.outcome is Outcome.DIFFER
        assert [difference.path for difference in result.differences] == [path]


@pytest.mark.parametrize(
    ("one", "other", "rules", "expected"),
    [
        (1.0, 1.05, {"relative": 0.1}, Outcome.AGREE),
        (1.0, 1.2, {"relative": 0.1}, Outcome.DIFFER),
        (0.0, 0.05, {"absolute": 0.1, "relative": 0}, Outcome.AGREE),
        (7, 8, {"relative": 0.5}, Outcome.DIFFER),
        (7, 8, {"absolute": 1}, Outcome.AGREE),
        ({"t": 1, "y": 2}, {"t": 9, "y": 2}, {"ignore": ("$.t",)}, Outcome.AGREE),
        ({"t": 1, "y": 2}, {"y": 2}, {"ignore": ("$.t",)}, Outcome.AGREE),
        ({"y": 2}, {"t": 1, "y": 2}, {"ignore": ("$['t']",)}, Outcome.AGREE),
        ({"t": 1, "y": 2}, {"t": 9, "y": 3}, {"ignore": ("$.t",)}, Outcome.DIFFER),
        ({"a": {"t": 1}}, {"a": {"t": 2}}, {"ignore": ("$.t",)}, Outcome.DIFFER),
        ({"a": [{"t": 1}]}, {"a": [{"t": 2}]}, {"ignore": ("$..t",)}, Outcome.AGREE),
        ([{"t": 1}, {"t": 2}], [{"t": 3}, {"t": 4}], {"ignore": ("$[*].t",)}, Outcome.AGREE),
        ([{"t": 1}, {"t": 2}], [{"t": 3}, {"t": 4}], {"ignore": ("$[0].t",)}, Outcome.DIFFER),
        ([{"t": 1}, {"t": 2}], [{"t": 3}, {"t": 2}], {"ignore": ("$[0].t",)}, Outcome.AGREE),
        ({"x": {"t": 1}}, {"x": {"t": 2}}, {"ignore": ("$.*.t",)}, Outcome.AGREE),
        (1, 2, {"ignore": ("$",)}, Outcome.AGREE),
        ([1, 2, 2], [2, 1, 2], {"unordered": ("$",)}, Outcome.AGREE),
        ([1, 2, 2], [2, 1, 1], {"unordered": ("$",)}, Outcome.DIFFER),
        ([1, 2], [2, 1, 3], {"unordered": ("$",)}, Outcome.DIFFER),
        ({"a": [[2, 1]]}, {"a": [[1, 2]]}, {"unordered": ("$.a",)}, Outcome.DIFFER),
        ({"a": [[2, 1]]}, {"a": [[1, 2]]}, {"unordered": ("$.a[*]",)}, Outcome.AGREE),
        ([0.0, 1.0], [1.0, 0.9], {"unordered": ("$",), "absolute": 1.0}, Outcome.AGREE),
        ([{"i": 1, "t": 5}, {"i": 2, "t": 6}], [{"i": 2, "t": 7}, {"i": 1, "t": 8}],
         {"unordered": ("$",), "ignore": ("$[*].t",)}, Outcome.AGREE),
    ],
)  # fmt: skip
def test_rules_decide(one: object, other: object, rules: dict[str, Any], expected: Outcome) -> None:
    assert outcome(one, other, **rules) is outcome(other, one, **rules) is expected


def test_matching_moves_earlier_choices_where_greed_would_fail() -> None:
    # 1.0 is near all three; only giving it up lets 0.0 and 2.0 find theirs.
    one, other = [1.0, 0.0, 2.0], [0.9, 1.1, 2.9]
    assert outcome(one, other, unordered=("$",), absolute=1.0, relative=0) is Outcome.AGREE


def test_long_unordered_lists_are_matched_and_hopeless_ones_are_incomparable() -> None:
    one = list(range(3000))
    assert outcome(one, one[::-1], unordered=("$",)) is Outcome.AGREE
    assert outcome(one, [*one[::-1][:-1], -1], unordered=("$",)) is Outcome.DIFFER
    assert outcome(one, [-each - 1 for each in one], unordered=("$",)) is Outcome.INCOMPARABLE


def test_the_work_on_one_pair_is_bounded() -> None:
    inner = [[[0.5] * 50] * 5] * 5
    one, other = [inner] * 200, [[*inner[:-1], [[0.6] * 50]]] * 200
    before = time.process_time()
    result = outcome(one, other, unordered=("$", "$[*]", "$[*][*]", "$[*][*][*]"))
    assert result in {Outcome.DIFFER, Outcome.INCOMPARABLE}
    assert time.process_time() - before < 5


@pytest.mark.parametrize("path", ["took_ms", "$.", "$.a[", "$[x]", "$.a..", "", "$a", "$..[*", "$.a[-1]"])
def test_a_path_that_cannot_be_read_says_so(path: str) -> None:
    with pytest.raises(RuleError, match="is not a path"):
        compile_rules(Comparison(ignore=(path,)))


def test_deep_and_huge_json_is_incomparable_not_fatal() -> None:
    deep = b"[" * 30_000 + b"]" * 30_000
    assert compared(answer(deep), answer(deep + b" ")).outcome is Outcome.INCOMPARABLE
    shallow = b"[" * 150 + b"]" * 150
    assert compared(answer(shallow), answer(shallow + b" ")).outcome is Outcome.INCOMPARABLE
    digits = b"9" * 5000
    assert compared(answer(digits), answer(digits + b" ")).outcome is Outcome.AGREE


BODY = b'{"class": 1}'
ENCODED = {
    "": BODY,
    "gzip": gzip.compress(BODY),
    "x-gzip": gzip.compress(BODY[:4]) + gzip.compress(BODY[4:]),
    "deflate": zlib.compress(BODY),
    "Deflate": zlib.compress(BODY)[2:-4],
    "identity, gzip": gzip.compress(BODY),
}


@pytest.mark.parametrize(("one", "other"), product(ENCODED, ENCODED))
def test_the_encoding_of_a_body_does_not_matter(one: str, other: str) -> None:
    first = answer(ENCODED[one], content_encoding=one)
    second = answer(ENCODED[other], content_encoding=other)
    assert compared(first, second).outcome is Outcome.AGREE


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"not gzip", "gzip", Outcome.DIFFER),
        (gzip.compress(BODY)[:-9], "gzip", Outcome.DIFFER),
        (gzip.compress(b" " * (MAX_DECODED + 1)), "gzip", Outcome.INCOMPARABLE),
        (b"\x0b\x02\x80", "br", Outcome.INCOMPARABLE),
        (BODY, "gzip, gzip, gzip", Outcome.INCOMPARABLE),
    ],
    ids=["not gzip", "cut short", "a bomb", "an unknown encoding", "too many layers"],
)
def test_bodies_that_cannot_be_opened(body: bytes, encoding: str, expected: Outcome) -> None:
    strange = answer(body, content_encoding=encoding)
    assert compared(answer(BODY), strange).outcome is expected
    assert compared(strange, answer(BODY)).outcome is expected
    assert compared(strange, strange).outcome is Outcome.AGREE


def test_truncated_bodies_never_agree() -> None:
    whole, cut = answer(BODY), answer(BODY, sent=len(BODY) + 1)
    for one, other in ((cut, cut), (cut, whole), (whole, cut)):
        result = compared(one, other)
        assert (result.outcome, result.reason) == (Outcome.INCOMPARABLE, "truncated")


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        (answer(BODY), answer(BODY, code=500), "status"),
        (answer(BODY), answer(BODY, sent=999, code=500), "status"),
        (answer(BODY), answer(BODY, content_type="text/html"), "content-type"),
        (answer(BODY), answer(b"oops"), "body"),
        (answer(b"", content_type="image/png"), answer(b"\x89PNG\0\xff", content_type="image/png"), "body"),
    ],
)
def test_other_differences_have_a_word_for_a_path(one: Record, other: Record, path: str) -> None:
    assert compared(one, other).differences[0].path == path
    assert compared(other, one).differences[0].path == path
    assert compared(one, other, ignore=("status", "content-type")).outcome is not None


def test_the_parameters_of_a_content_type_do_not_matter() -> None:
    other = answer(BODY + b" ", content_type="Application/JSON; charset=utf-8")
    assert compared(answer(BODY), other).outcome is Outcome.AGREE


def test_status_and_content_type_can_be_ignored() -> None:
    other = answer(BODY, code=201, content_type="")
    assert compared(answer(BODY), other).outcome is Outcome.DIFFER
    assert compared(answer(BODY), other, ignore=("status", "content-type")).outcome is Outcome.AGREE


@pytest.mark.parametrize(
    ("primary", "shadow", "reason"),
    [
        ({"code": 0, "flagged": "DC"}, {}, "the caller left"),
        ({"flagged": "DC,UT"}, {}, "the caller left"),
        ({}, {"code": 503, "flagged": "UO"}, "over the shadow's budget"),
        ({}, {"code": 0, "flagged": "DC"}, "the copy was cut off"),
        ({}, {"code": 0, "flagged": ""}, "the copy was cut off"),
        ({}, {"code": 0, "returned": ANSWER_LIMIT}, "the shadow's answer is larger than is read"),
        ({"received": 5000}, {"code": 413}, "the request is too large to be copied"),
    ],
)
def test_what_is_no_answer_of_the_shadow_is_incomparable(
    primary: dict[str, Any], shadow: dict[str, Any], reason: str
) -> None:
    rules = compile_rules(Comparison())
    result = compare(answer(BODY, **primary), answer(BODY, **shadow), rules, max_mirrored_bytes=4000)
    assert (result.outcome, result.reason) == (Outcome.INCOMPARABLE, reason)


def test_a_413_of_the_shadow_itself_is_a_difference() -> None:
    rules = compile_rules(Comparison())
    result = compare(answer(BODY, received=10), answer(BODY, code=413), rules, max_mirrored_bytes=4000)
    assert result.outcome is Outcome.DIFFER


@pytest.mark.parametrize("ignore", [(), ("status",), ("status", "content-type")])
def test_no_answer_of_the_shadow_is_a_difference_whatever_is_ignored(ignore: tuple[str, ...]) -> None:
    result = compared(answer(BODY), answer(b"", code=0, flagged="UF", content_type=""), ignore=ignore)
    assert (result.outcome, result.differences[0].shadow) == (Outcome.DIFFER, "no answer (UF)")


def stream(*pieces: str, done: bool = True) -> Record:
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + ("data: [DONE]\n\n" if done else "")
    return answer(text.encode(), content_type="text/event-stream")


def test_streams_compare_by_what_they_say() -> None:
    assert compared(stream("a b", " c"), stream("a", " b c")).outcome is Outcome.AGREE
    assert compared(stream("a b", " c"), stream("a", " b d")).outcome is Outcome.DIFFER
    assert compared(stream("a"), stream("a", done=False)).outcome is Outcome.DIFFER
    plain = answer(b"event: x\r\ndata: 1\r\n\r\n: note\r\n", content_type="text/event-stream")
    same = answer(b"data:1\nevent: x\n\n", content_type="text/event-stream")
    assert compared(plain, same).outcome is Outcome.AGREE


def test_lines_of_json_compare_one_by_one() -> None:
    kind = "application/x-ndjson"
    one, other = answer(b'{"a":1}\n{"a":2}\n', content_type=kind), answer(b'{"a": 1}\n{"a":3}', content_type=kind)
    assert [difference.path for difference in compared(one, other).differences] == ["$[1].a"]


def test_pictures_of_values_are_short_and_harmless() -> None:
    hostile = "\x1b]0;owned\x07\u202e\ud800" + "x" * 10_000
    result = compared(answer(said={"\x1b[2J": hostile}), answer(said={"\x1b[2J": 1}))
    for text in result.differences[0][:5]:
        assert len(text) <= 200
        assert text.isprintable()
        text.encode()


def test_differences_are_bounded_and_grouped() -> None:
    result = compared(answer(said=[{"c": each} for each in range(100)]), answer(said=[{"c": -1}] * 100))
    assert len(result.differences) == 16
    assert {difference.group for difference in result.differences} == {"$[*].c"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abt"), inner, max_size=3),
    max_leaves=12,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=12)
ANSWERS = st.builds(
    lambda body, kind, coding, code, extra: answer(
        body, content_type=kind, content_encoding=coding, code=code, sent=len(body) + extra
    ),
    BODIES,
    st.sampled_from([JSON, "", "text/plain", "text/event-stream", "application/x-ndjson"]),
    st.sampled_from(["", "gzip", "deflate", "br"]),
    st.sampled_from([200, 200, 200, 500]),
    st.sampled_from([0, 0, 0, 1]),
)
RULES = st.fixed_dictionaries(
    {
        "relative": st.sampled_from([0.0, 1e-6, 0.3]),
        "absolute": st.sampled_from([0.0, 1.0]),
        "ignore": st.sampled_from([(), ("$.t",), ("$..a", "status")]),
        "unordered": st.sampled_from([(), ("$",), ("$", "$[*]", "$.a")]),
    }
)


@given(ANSWERS, RULES)
def test_an_answer_that_is_whole_agrees_with_itself(one: Record, rules: dict[str, Any]) -> None:
    expected = Outcome.AGREE if one.complete else Outcome.INCOMPARABLE
    assert compared(one, one, **rules).outcome is expected


@given(ANSWERS, ANSWERS, RULES)
def test_the_outcome_is_symmetric(one: Record, other: Record, rules: dict[str, Any]) -> None:
    assert compared(one, other, **rules).outcome is compared(other, one, **rules).outcome


@given(VALUES, st.randoms(use_true_random=False), RULES)
def test_the_order_of_keys_and_of_unordered_lists_does_not_matter(value: Any, chance: Any, rules: Any) -> None:
    shuffled = json.loads(json.dumps(value))
    if isinstance(shuffled, list):
        chance.shuffle(shuffled)
    if isinstance(shuffled, dict):
        items = list(shuffled.items())
        chance.shuffle(items)
        shuffled = dict(items)
    assert outcome(value, shuffled, **(rules | {"unordered": ("$",)})) is Outcome.AGREE


@given(VALUES, VALUES)
def test_a_difference_is_reported_exactly_where_there_is_one(one: object, other: object) -> None:
    result = compared(answer(said=one), answer(said=other))
    assert bool(result.differences) is (result.outcome is Outcome.DIFFER)
