import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.shadow.records import ANSWER_LIMIT, MAX_LINE, MalformedRecordError, Place, Record, parse

WHOLE = {
    "rid": "r", "role": "s", "entry": "churn@7", "cluster": "churn|b|shadow", "code": 200, "flags": "-",
    "us": 12, "rx": 3, "tx": 5, "rb": "YXNr", "sb": "aGVsbG8=", "ct": "text/plain",
    "ce": "gzip", "method": "POST", "path": "/predict?key=secret",
}  # fmt: skip


def line(**changes: object) -> bytes:
    return json.dumps({key: value for key, value in (WHOLE | changes).items() if value is not None}).encode()


def test_every_field_arrives_and_the_query_does_not() -> None:
    record = parse(line(), keep_request=True)
    assert record == Record(
        "r", "s", "churn@7", "churn|b|shadow", 200, "-", 12, 3, 5, b"ask", b"hello", "text/plain", "gzip", "POST",
        "/predict?key=secret",
    )  # fmt: skip
    assert record.place == Place("churn", 7, "b")
    assert (record.flags, record.path, record.complete) == ("", "/predict", True)
    assert parse(line()).request == b""


@pytest.mark.parametrize(
    ("said", "cut"),
    [
        ({"code": 0, "flags": "-", "wr": ANSWER_LIMIT}, True),
        ({"code": 0, "flags": "-", "wr": ANSWER_LIMIT - 1}, False),
        ({"code": 0, "flags": "-", "wr": None}, False),
        ({"code": 0, "flags": "UPE", "wr": ANSWER_LIMIT}, False),
        ({"code": 200, "flags": "-", "wr": ANSWER_LIMIT}, False),
    ],
)
def test_an_answer_was_cut_where_much_came_and_none_was_had(said: dict[str, object], cut: bool) -> None:
    assert parse(line(**said)).cut == cut


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ({"code": 0, "ms": 60_001}, "UMSDR"),
        ({"code": 0, "ms": 59_999}, ""),
        ({"code": 0}, ""),
        ({"code": 0, "ms": 60_001, "flags": "UF"}, "UF"),
        ({"code": 0, "ms": 60_001, "wr": ANSWER_LIMIT}, ""),
        ({"code": 200, "ms": 60_001}, ""),
    ],
)
def test_an_answer_took_too_long_where_its_time_was_over(said: dict[str, object], flags: str) -> None:
    assert parse(line(**said)).flags == flags


@pytest.mark.parametrize(
    ("said", "route", "revision", "backend"),
    [
        ({}, "churn", 7, "b"),
        ({"entry": None}, "churn", None, "b"),
        ({"entry": "churn"}, "churn", None, "b"),
        ({"cluster": None}, "churn", 7, None),
        ({"cluster": "churn"}, "churn", 7, None),
        ({"cluster": "churn|b"}, "churn", 7, "b"),
        ({"entry": "-"}, "churn", None, "b"),
    ],
)
def test_names_are_taken_apart(said: dict[str, object], route: str, revision: int | None, backend: str | None) -> None:
    record = parse(line(**said))
    assert record.place == Place(route, revision, backend)


def test_what_is_missing_is_not_invented() -> None:
    record = parse(b'{"rid":"r","role":"p","entry":"churn"}')
    assert (record.code, record.micros, record.sent, record.place) == (0, None, None, Place("churn", None, None))
    assert record.failed
    assert not record.complete


@pytest.mark.parametrize(
    ("changes", "complete"),
    [
        ({}, True),
        ({"tx": 6}, False),
        ({"tx": None}, False),
        ({"tx": 0, "sb": None}, True),
        ({"sb": None}, False),
    ],
)
def test_a_body_is_complete_only_where_its_length_says_so(changes: dict[str, object], complete: bool) -> None:
    assert parse(line(**changes)).complete is complete


@pytest.mark.parametrize(
    "changes",
    [
        {"rid": None}, {"rid": ""}, {"rid": 5}, {"rid": "r" * 257}, {"entry": "-", "cluster": "-"},
        {"entry": None, "cluster": "churn"}, {"role": "x"}, {"role": None}, {"role": ["p"]},
        {"code": -1}, {"code": "abc"}, {"code": True}, {"code": "7"}, {"us": 1.5}, {"us": 5.0}, {"us": 2.0**60},
        {"tx": 2**60}, {"tx": "9" * 400}, {"tx": [1]},
        {"sb": "???"}, {"sb": 7}, {"sb": "YQ"}, {"sb": "é"}, {"ct": {}}, {"entry": {}},
        {"entry": "churn@"}, {"entry": "churn@x"}, {"entry": "churn@" + "9" * 17}, {"cluster": 3},
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedRecordError):
        parse(line(**changes))


@pytest.mark.parametrize("field", ["role", "code", "sb"])
@pytest.mark.parametrize("value", [["secret"], "secret' secret", 'secret" secret\n', {"secret": "secret"}])
def test_what_is_wrong_is_said_without_what_the_line_holds(field: str, value: object) -> None:
    with pytest.raises(MalformedRecordError) as wrong:
        parse(line(**{field: value}))
    assert field in str(wrong.value)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b"3", b"\xff", b"[" * 100_000, b"x" * (MAX_LINE + 1)])
def test_a_line_that_is_no_object_is_malformed(bad: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        parse(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={key: JSON | st.just(WHOLE[key]) for key in WHOLE}))
def test_anything_is_a_record_or_malformed_and_nothing_else(fields: dict[str, object]) -> None:
    try:
        record = parse(json.dumps(fields).encode())
    except MalformedRecordError:
        return
    assert record.role in {"p", "s"}
    assert record.rid


@given(st.binary(max_size=200))
def test_noise_is_never_fatal(noise: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        parse(noise)


@given(st.binary(max_size=200))
def test_bodies_survive(body: bytes) -> None:
    assert parse(line(sb=base64.b64encode(body).decode() or None, n=len(body))).body == body


def test_the_contracts_lines_are_records(line: Callable[..., bytes]) -> None:
    assert parse(line("a", "p", {"x": 1})).body == b'{"x": 1}'
