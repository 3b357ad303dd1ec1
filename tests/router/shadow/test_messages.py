"""gRPC answers by their messages: what is read, what cannot be, and how it is compared."""

import base64
import contextlib
import zlib
from typing import Any

import pytest
from describing import PREDICT, WATCH, answer_class, frame, kept
from google.protobuf import any_pb2, json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from inventory.model import Comparison, Rule
from router.shadow.bodies import UnreadMessagesError
from router.shadow.compare import Outcome, Result, compare
from router.shadow.descriptor import unpack
from router.shadow.messages import MAX_OPENED, MAX_VALUES, document, reader
from router.shadow.records import Record, parse
from router.shadow.rules import compile_rules

READ = reader(kept())
Answer: Any = answer_class()
BASE = parse(
    b'{"rid":"r","role":"p","entry":"iris","code":200,"ct":"application/grpc","gs":0,"path":"/iris.Model/Predict"}'
)
EMPTY = {"label": "", "score": 0.0, "took_ms": 0, "raw": "", "sure": False, "kind": "UNKNOWN", "odds": [], "votes": {},
         "parts": []}  # fmt: skip

plain = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.text(max_size=3), plain, max_size=3)
scalars = {
    "label": st.text(max_size=8), "score": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "took_ms": st.integers(-(2**63), 2**63 - 1),
    "raw": st.binary(max_size=8).map(lambda raw: base64.b64encode(raw).decode()),
    "sure": st.booleans(), "kind": st.sampled_from(["UNKNOWN", "SETOSA", "VIRGINICA"]),
    "odds": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    "votes": st.dictionaries(st.text(max_size=3), st.integers(-(2**31), 2**31 - 1), max_size=3),
}  # fmt: skip
answers = st.recursive(
    st.fixed_dictionaries({**scalars, "parts": st.just([])}, optional={"more": objects}),
    lambda inner: st.fixed_dictionaries({**scalars, "parts": st.lists(inner, max_size=2)}, optional={"next": inner}),
    max_leaves=4,
)  # fmt: skip


def made(fields: dict[str, Any]) -> bytes:
    return json_format.ParseDict(fields, Answer()).SerializeToString()


def answer(body: bytes, **changes: Any) -> Record:
    return replace(BASE, **({"body": body, "sent": len(body)} | changes))


def compared(one: Record, other: Record, *rules: Rule, **comparison: Any) -> Result:
    compiled = compile_rules(Comparison(rules=rules, **comparison))
    return compare(one, replace(other, role="s", asked=""), compiled, read=READ)


@given(answers)
def test_a_message_is_what_was_put_into_it(fields: dict[str, Any]) -> None:
    assert READ(frame(made(fields)), PREDICT) == fields


@given(st.lists(st.tuples(answers, st.booleans()), max_size=4))
def test_a_stream_is_the_list_of_its_messages(sent: list[tuple[dict[str, Any], bool]]) -> None:
    body = b"".join(frame(made(fields), compressed=packed) for fields, packed in sent)
    assert READ(body, WATCH) == [fields for fields, _ in sent]


@given(st.binary(max_size=300), st.sampled_from([PREDICT, WATCH, "/iris.Model/Train", ""]))
def test_any_bytes_are_read_or_refused(body: bytes, path: str) -> None:
    for raw in (body, frame(body), frame(body, compressed=True)):
        with contextlib.suppress(UnreadMessagesError):
            READ(raw, path)


@settings(deadline=None)
@given(answers, st.data())
def test_an_answer_that_was_cut_is_never_read(fields: dict[str, Any], data: st.DataObject) -> None:
    body = frame(made({**fields, "label": "x"}))
    with pytest.raises(UnreadMessagesError, match="no whole row"):
        READ(body[: data.draw(st.integers(1, len(body) - 1))], PREDICT)


def test_what_the_declaration_does_not_know_is_compared_too() -> None:
    known = made({"label": "setosa"})
    one, other = (READ(frame(known + b"\xa0\x06" + bytes([n]) + b"\xa3\x06\x08\x01\xa4\x06"), PREDICT) for n in (1, 2))
    assert one == {**EMPTY, "label": "setosa", "#100": [1, [[1, 1]]]}
    assert other == {**EMPTY, "label": "setosa", "#100": [2, [[1, 1]]]}
    assert READ(frame(made({"kind": 7})), PREDICT) == {**EMPTY, "kind": 7}


def test_deflate_is_known_by_itself_and_other_codings_are_not() -> None:
    def flagged(body: bytes) -> bytes:
        return b"\1" + len(body).to_bytes(4, "big") + body

    assert READ(flagged(zlib.compress(made({"label": "a"}))), PREDICT) == {**EMPTY, "label": "a"}
    for body, why in ((b"snappy", "otherwise than by gzip"), (zlib.compress(b"abc")[:-3], "ends too early")):
        with pytest.raises(UnreadMessagesError, match=why):
            READ(flagged(body), PREDICT)


def test_any_becomes_what_it_holds() -> None:
    from google.protobuf import descriptor_pb2, struct_pb2

    from router.shadow.descriptor import pack

    files = descriptor_pb2.FileDescriptorSet()
    for module in (struct_pb2, any_pb2):
        files.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    own = files.file.add(name="a.proto", package="a", syntax="proto3", dependency=["google/protobuf/any.proto"])
    own.service.add(name="S").method.add(
        name="M", input_type=".google.protobuf.Any", output_type=".google.protobuf.Any"
    )
    read = reader(pack(files.SerializeToString()))
    for inner, said in (
        (struct_pb2.Value(number_value=2.5), 2.5),
        (
            struct_pb2.ListValue(values=[struct_pb2.Value(bool_value=True), struct_pb2.Value(null_value=0)]),
            [True, None],
        ),
    ):
        holder = any_pb2.Any()
        holder.Pack(inner)
        assert read(frame(holder.SerializeToString()), "/a.S/M") == {"@type": inner.DESCRIPTOR.full_name, "value": said}
    unknown = any_pb2.Any(type_url="t/b.C", value=b"\1")
    assert read(frame(unknown.SerializeToString()), "/a.S/M") == {"@type": "b.C", "value": "AQ=="}


def test_a_hostile_answer_is_bounded() -> None:
    nested = b""
    for _ in range(95):
        nested = b"\x42" + _varint(len(nested)) + nested
    many = b"\x3a" + _varint(8 * (MAX_VALUES + 1)) + bytes(8 * (MAX_VALUES + 1))
    for body, why in (
        (frame(nested), "nested too deeply"),
        (frame(nested * 3 + b"\x42" * 500), "not of its method's type"),
        (frame(b"\x5a\x00" * 20_000), "too large"),
        (frame(many), "too large"),
        (frame(bytes(MAX_OPENED * 50), compressed=True), "too large"),
        (frame(b"", compressed=False) * MAX_VALUES, "too large"),
    ):
        with pytest.raises(UnreadMessagesError, match=why):
            document(body, WATCH, unpack(kept()))


def test_answers_are_compared_by_the_rules_of_json() -> None:
    base = {"label": "setosa", "score": 0.5, "tookMs": 3, "odds": [0.1, 0.9]}
    one = answer(frame(made(base)))
    assert compared(one, answer(frame(made(base), compressed=True))) == Result(Outcome.AGREE)
    assert compared(one, answer(frame(made({**base, "score": 0.5000001})))).outcome is Outcome.AGREE
    (found,) = compared(one, answer(frame(made({**base, "label": "virginica"})))).differences
    assert (found.path, found.primary, found.shadow, found.label) == ("$.label", '"setosa"', '"virginica"', True)
    (found,) = compared(one, answer(frame(made({**base, "odds": [0.1, 0.8]})))).differences
    assert (found.path, found.group) == ("$.odds[1]", "$.odds[*]")
    later = answer(frame(made({**base, "tookMs": 9})))
    assert compared(one, later, ignore=("$.took_ms",)).outcome is Outcome.AGREE
    assert compared(one, later, Rule(path="$.took_ms", absolute=6)).outcome is Outcome.AGREE
    longer = compared(one, answer(frame(made({**base, "label": "setosa" * 20}))), size_ratio=1.5)
    assert longer.differences[0].path == "size"
    assert compared(one, answer(b"", grpc_status=13)).differences[0].path == "grpc-status"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sent": 9000}, "an answer is longer than is kept"),
        ({"body": b"\x09abcd", "sent": 5}, "the answer is no whole row of gRPC's frames"),
        ({"content_type": "application/grpc+json"}, "the answers' type is not that of plain gRPC"),
        ({"asked": "/iris.Model/Train"}, "the descriptor does not have the method"),
        ({"body": frame(b"\xff"), "sent": 6}, "a message is not of its method's type"),
    ],
)
def test_what_cannot_be_read_is_compared_by_size_and_says_so(changes: dict[str, Any], why: str) -> None:
    body = frame(made({"label": "setosa"}))
    one = answer(**({"body": body} | changes))
    assert compared(one, replace(one, body=one.body[::-1])) == Result(Outcome.AGREE, unread=why)
    larger = compared(one, replace(one, sent=99_000))
    assert (larger.outcome, larger.differences[0].path) == (Outcome.DIFFER, "size")
    assert larger.unread
    if "asked" not in changes and "content_type" not in changes:
        assert compared(answer(body, sent=one.sent), one).unread


def test_a_descriptor_that_cannot_be_used_reads_nothing() -> None:
    with pytest.raises(UnreadMessagesError, match="the route's descriptor cannot be used"):
        reader("AAAA")(b"", PREDICT)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
