"""A descriptor set of a small gRPC service, as protoc writes one, and messages of it."""

import gzip

from google.protobuf import descriptor_pb2, message_factory, struct_pb2
from google.protobuf.message import Message

from router.shadow.descriptor import pack, unpack

PREDICT = "/iris.Model/Predict"
WATCH = "/iris.Model/Watch"
_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS = (
    ("label", _Field.TYPE_STRING, ""), ("score", _Field.TYPE_FLOAT, ""), ("took_ms", _Field.TYPE_INT64, ""),
    ("raw", _Field.TYPE_BYTES, ""), ("sure", _Field.TYPE_BOOL, ""), ("kind", _Field.TYPE_ENUM, ".iris.Kind"),
    ("odds", _Field.TYPE_DOUBLE, "*"), ("next", _Field.TYPE_MESSAGE, ".iris.Answer"),
    ("votes", _Field.TYPE_MESSAGE, "*.iris.Answer.VotesEntry"),
    ("more", _Field.TYPE_MESSAGE, ".google.protobuf.Struct"),
    ("parts", _Field.TYPE_MESSAGE, "*.iris.Answer"),
)  # fmt: skip


def described() -> bytes:
    """``iris.Model`` with ``Predict``, which gives one Answer, and ``Watch``, which streams them."""
    files = descriptor_pb2.FileDescriptorSet()
    files.file.add().ParseFromString(struct_pb2.DESCRIPTOR.serialized_pb)
    own = files.file.add(name="iris.proto", package="iris", syntax="proto3")
    own.dependency.append("google/protobuf/struct.proto")
    own.source_code_info.location.add(leading_comments="a secret remark")
    kinds = own.enum_type.add(name="Kind")
    for number, name in enumerate(("UNKNOWN", "SETOSA", "VIRGINICA")):
        kinds.value.add(name=name, number=number)
    answer = own.message_type.add(name="Answer")
    for number, (name, kind, of) in enumerate(_FIELDS, 1):
        label = _Field.LABEL_REPEATED if of.startswith("*") else _Field.LABEL_OPTIONAL
        answer.field.add(name=name, number=number, type=kind, type_name=of.lstrip("*") or None, label=label)
    entry = answer.nested_type.add(name="VotesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_Field.TYPE_INT32, label=_Field.LABEL_OPTIONAL)
    service = own.service.add(name="Model")
    service.method.add(name="Predict", input_type=".iris.Answer", output_type=".iris.Answer")
    service.method.add(name="Watch", input_type=".iris.Answer", output_type=".iris.Answer", server_streaming=True)
    return files.SerializeToString()


def kept() -> str:
    """The same as a route keeps it."""
    return pack(described())


def answer_class() -> type[Message]:
    """The class of ``iris.Answer``."""
    return message_factory.GetMessageClass(unpack(kept()).pool.FindMessageTypeByName("iris.Answer"))


def frame(message: bytes, *, compressed: bool = False) -> bytes:
    """A message as gRPC sends it."""
    body = gzip.compress(message) if compressed else message
    return bytes([compressed]) + len(body).to_bytes(4, "big") + body
