"""Descriptor sets: what a route keeps of one, and what is none."""

import base64
import contextlib
import zlib

import pytest
from describing import PREDICT, WATCH, described, kept
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from router.errors import RouteError
from router.shadow.descriptor import MOST_BYTES, pack, unpack


def changed(*, drop: str = "", **fields: object) -> bytes:
    files = descriptor_pb2.FileDescriptorSet.FromString(described())
    left = [file for file in files.file if file.name != drop]
    for name, value in fields.items():
        left[-1].ClearField(name)  # type: ignore[arg-type]
        getattr(left[-1], name).extend(value)
    return descriptor_pb2.FileDescriptorSet(file=left).SerializeToString()


def test_what_is_kept_names_the_methods_and_no_comment() -> None:
    found = unpack(kept())
    assert {path: method.streams for path, method in found.methods.items()} == {PREDICT: False, WATCH: True}
    assert found.methods[PREDICT].answer.DESCRIPTOR.full_name == "iris.Answer"
    assert b"secret" in described()
    assert b"secret" not in zlib.decompress(base64.b64decode(kept()))


def test_a_method_is_found_by_its_path_and_below_a_prefix() -> None:
    found = unpack(kept())
    assert found.method(PREDICT) is found.method("/models/iris" + PREDICT) is found.methods[PREDICT]
    assert found.method("/iris.Model/Train") is found.method("Predict") is found.method("") is None


def test_paths_that_no_method_has() -> None:
    patterns = ("/iris.Model/*", "/iris.Model/Train", PREDICT, "/iris.Model/**", "/other.Model/*", "/*")
    assert unpack(kept()).undescribed(patterns) == ("/iris.Model/Train", "/other.Model/*", "/*")


def test_files_may_come_in_any_order() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(described())
    turned = descriptor_pb2.FileDescriptorSet(file=reversed(files.file))
    assert unpack(pack(turned.SerializeToString())).methods.keys() == {PREDICT, WATCH}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "no descriptor set, or an empty one"),
        (b"syntax = 'proto3';\n", "that is no descriptor set"),
        (b"\xff" * 100, "that is no descriptor set"),
        (bytes(MOST_BYTES + 1), "larger than 4 MiB"),
        (changed(drop="google/protobuf/struct.proto"), "lacks 'google/protobuf/struct.proto', which it imports"),
        (changed(service=[]), "describes no method of a service"),
        (changed(message_type=[]), "is wrong in 'iris.proto'"),
        (changed(dependency=["iris.proto"]), "imports itself"),
        (descriptor_pb2.FileDescriptorSet(file=[descriptor_pb2.FileDescriptorProto()] * 1001).SerializeToString(),
         "more than 1000 files"),
    ],
)  # fmt: skip
def test_what_is_no_descriptor_of_a_service_is_one_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(RouteError, match=sentence) as error:
        pack(raw)
    assert "\n" not in str(error.value)


def test_a_set_of_more_than_a_route_keeps() -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(described())
    noise = base64.b64encode(bytes(range(256)) * 400)  # names of one message each, which do not compress well
    for at in range(20_000):
        files.file[1].message_type.add(name=f"M{zlib.crc32(noise + str(at).encode()):x}_{at}")
    with pytest.raises(RouteError, match="bytes compressed, and a route keeps 131,072"):
        pack(files.SerializeToString())


@pytest.mark.parametrize(
    "text",
    ["AAAA", "x", kept()[:-8], base64.b64encode(zlib.compress(bytes(MOST_BYTES + 1))).decode(),
     base64.b64encode(zlib.compress(b"no set")).decode()],
)  # fmt: skip
def test_a_text_that_was_made_by_hand_is_checked(text: str) -> None:
    with pytest.raises(RouteError):
        unpack(text)


@given(st.binary(max_size=200), st.integers(0, 600))
def test_whatever_is_given_is_taken_or_refused(noise: bytes, at: int) -> None:
    raw = described()
    for given_raw in (noise, raw[:at] + noise + raw[at + len(noise) :]):
        with contextlib.suppress(RouteError):
            assert unpack(pack(given_raw)).methods
