"""The fast reader of JSON and the forgiving one behind it say the same of every body."""

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shadow.bodies import BeyondBoundsError, UnreadableError, parse_json

INTEGERS = st.integers() | st.integers(295, 305).map(lambda digits: 10**digits) | st.just(-(10**299))
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def told(value: Any) -> str:
    """A value with the types of all within it, so that 1 is not 1.0 and NaN is itself."""
    return ascii(value)


def plainly(digits: str) -> int | float:
    return int(digits) if len(digits) <= 300 else float(digits)


@given(JSON, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.booleans())
def test_a_document_is_what_python_reads(document: Any, encoding: str, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    body = text.encode(encoding, "surrogatepass")
    try:
        expected = json.loads(body, parse_int=plainly)
    except ValueError:
        with pytest.raises(UnreadableError):
            parse_json(body)
        return
    assert told(parse_json(body).value) == told(expected)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[NaN, -Infinity, 1e400]", [math.nan, -math.inf, math.inf]),
        (b'"\\ud800"', "\ud800"),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b" -0 ", 0),
        (b"9" * 300, 10**300 - 1),
        (b"9" * 301, 1e301),
        (b"9" * 400, math.inf),
        (b"1" * 301, float("1" * 301)),
        (b"[0." + b"1" * 400 + b"]", [1 / 9]),
    ],
    ids=itertools.count(),
)
def test_what_other_readers_refuse_is_read(body: bytes, value: object) -> None:
    assert told(parse_json(body).value) == told(value)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"01", b"[1,]", b'"\x01"', b"nul", b"{} {}", b"\xff", b"1" * 400 + b"x"], ids=itertools.count()
)
def test_what_is_no_json_cannot_be_read(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_json(body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000], ids=["lists", "objects"])
def test_what_is_nested_too_deeply_is_not_read(body: bytes) -> None:
    with pytest.raises(BeyondBoundsError):
        parse_json(body)
