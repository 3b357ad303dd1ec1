"""The messages of a gRPC answer as values like those of JSON, to be compared as such. Pure, with bounded work.

An answer is a row of frames, each a flag, a length and a message. Source: "gRPC over HTTP2", Length-Prefixed-Message.
A message becomes an object with the names of its declaration: fields that cannot be absent are always there, bytes are
base64, values of an enumeration their names, and what the declaration does not know is under ``#`` and its number.
Struct, ListValue, Value, the wrappers and Any become what they stand for.
"""

import base64
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor as Type
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from router.errors import RouteError
from router.shadow.bodies import UnreadMessagesError
from router.shadow.descriptor import Descriptor, unpack

MAX_OPENED = 1024 * 1024
"""Bytes that the messages of one answer may open to. Empty messages take a hundred bytes of memory for two of these."""

MAX_VALUES = 200_000
MAX_DEPTH = 90
_HEAD = 5
_EITHER = zlib.MAX_WBITS | 32
"""gzip or zlib, whichever it is: the captured line does not have the header that says which."""

Field = Any
"""A FieldDescriptor, whose class depends on how protobuf is implemented here."""

_PACKAGE = "google.protobuf."
_WRAPPERS = {f"{_PACKAGE}{kind}Value" for kind in
             ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")}  # fmt: skip


def reader(text: str) -> Callable[[bytes, str], object]:
    """``document`` for the descriptor that a route keeps; where that cannot be used, nothing can be read."""
    try:
        descriptor = unpack(text)
    except RouteError:
        return _nothing
    return lambda body, path: document(body, path, descriptor)


def _nothing(_body: bytes, _path: str) -> object:
    raise UnreadMessagesError("the route's descriptor cannot be used")


def document(body: bytes, path: str, descriptor: Descriptor) -> object:
    """What an answer says: its message, or the list of them where the method streams.

    ``path`` is that of the request. UnreadMessagesError where the method is not described, or the answer is not what
    the method's declaration says.
    """
    method = descriptor.method(path)
    if method is None:
        raise UnreadMessagesError("the descriptor does not have the method")
    found = []
    reader = _Reader(descriptor)
    for part in frames(body):
        try:
            message = method.answer.FromString(part)
        except DecodeError as error:
            raise UnreadMessagesError("a message is not of its method's type") from error
        found.append(reader.value(message, 0))
    return found[0] if len(found) == 1 and not method.streams else found


def frames(body: bytes) -> Iterator[bytes]:
    """The messages in the frames of a body, opened where they are compressed. UnreadMessagesError where it is cut."""
    at, room = 0, MAX_OPENED
    while at < len(body):
        flag, length = body[at], int.from_bytes(body[at + 1 : at + _HEAD], "big")
        part = body[at + _HEAD : at + _HEAD + length]
        if flag > 1 or len(body) < at + _HEAD or len(part) < length:
            raise UnreadMessagesError("the answer is no whole row of gRPC's frames")
        if flag:
            part = _inflated(part, room)
        room -= len(part)
        if room < 0:
            raise UnreadMessagesError("the messages are too large to be compared")
        yield part
        at += _HEAD + length


def framed(message: bytes) -> bytes:
    """A message in a frame of its own."""
    return b"\0" + len(message).to_bytes(_HEAD - 1, "big") + message


def _inflated(part: bytes, room: int) -> bytes:
    machine = zlib.decompressobj(_EITHER)
    try:
        opened = machine.decompress(part, room + 1)
    except zlib.error as error:
        raise UnreadMessagesError("a message is compressed otherwise than by gzip or deflate") from error
    if len(opened) <= room and not machine.eof:
        raise UnreadMessagesError("a compressed message ends too early")
    return opened


class _Reader:
    """Turns the messages of one answer into values; all of them share its bounds."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self._left = MAX_VALUES
        self._special: dict[str, Callable[[Any, int], object]] = {
            f"{_PACKAGE}Any": self._any,
            f"{_PACKAGE}Struct": lambda one, depth: self._entries(one.fields, depth),
            f"{_PACKAGE}ListValue": lambda one, depth: [self.value(each, depth) for each in one.values],
            f"{_PACKAGE}Value": self._either,
            **dict.fromkeys(_WRAPPERS, lambda one, _depth: self._plain(one.value)),
        }

    def value(self, message: Message, depth: int) -> object:
        """A message at this depth of the answer."""
        self._count(1)
        if depth > MAX_DEPTH:
            raise UnreadMessagesError("the messages are nested too deeply to be compared")
        special = self._special.get(message.DESCRIPTOR.full_name)
        return special(message, depth + 1) if special else self._fields(message, depth + 1)

    def _fields(self, message: Message, depth: int) -> dict[str, object]:
        given = {field.number: (field, value) for field, value in message.ListFields()}
        found: dict[str, object] = {}
        for field in message.DESCRIPTOR.fields:
            known = given.pop(field.number, None)
            if known is not None:
                found[field.name] = self._field(field, known[1], depth)
            elif not field.has_presence:
                self._count(1)
                found[field.name] = self._default(field)
        for field, value in given.values():
            found[f"[{field.full_name}]"] = self._field(field, value, depth)
        for number, value in self._unknown(UnknownFieldSet(message), depth):
            found.setdefault(f"#{number}", []).append(value)  # type: ignore[attr-defined]
        return found

    def _field(self, field: Field, value: Any, depth: int) -> object:
        if _is_map(field):
            return self._entries(value, depth, field.message_type.fields_by_name["value"])
        if field.is_repeated:
            if field.message_type is not None:
                return [self.value(each, depth) for each in value]
            self._count(len(value))
            return [self._scalar(field, each) for each in value]
        return self.value(value, depth) if field.message_type is not None else self._scalar(field, value)

    def _default(self, field: Field) -> object:
        if _is_map(field):
            return {}
        return [] if field.is_repeated else self._scalar(field, field.default_value)

    def _entries(self, entries: Any, depth: int, kind: Field | None = None) -> dict[str, object]:
        self._count(len(entries))
        if kind is None or kind.message_type is not None:
            return {_name(key): self.value(entries[key], depth) for key in entries}
        return {_name(key): self._scalar(kind, entries[key]) for key in entries}

    def _scalar(self, field: Field, value: Any) -> object:
        self._count(1)
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known is not None else value
        return self._plain(value)

    def _plain(self, value: Any) -> object:
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    def _either(self, message: Any, depth: int) -> object:
        kind = message.WhichOneof("kind")
        if kind in {None, "null_value"}:
            return None
        value = getattr(message, kind)
        return self.value(value, depth) if kind in {"struct_value", "list_value"} else value

    def _any(self, message: Any, depth: int) -> object:
        name = message.type_url.rpartition("/")[2]
        try:
            kind: Type = self._descriptor.pool.FindMessageTypeByName(name)
            inner = message_factory.GetMessageClass(kind).FromString(message.value)
        except (KeyError, DecodeError):
            return {"@type": name, "value": self._plain(message.value)}
        return {"@type": name, "value": self.value(inner, depth)}

    def _unknown(self, fields: Any, depth: int) -> Iterator[tuple[int, object]]:
        for field in fields:
            self._count(1)
            data = field.data
            if not isinstance(data, int | bytes):
                if depth > MAX_DEPTH:
                    raise UnreadMessagesError("the messages are nested too deeply to be compared")
                data = [list(pair) for pair in self._unknown(data, depth + 1)]
            yield field.field_number, self._plain(data)

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise UnreadMessagesError("the messages are too large to be compared")


def _is_map(field: Field) -> bool:
    kind = field.message_type
    return kind is not None and field.is_repeated and kind.GetOptions().map_entry


def _name(key: object) -> str:
    """A key of a map as JSON has it."""
    return str(key).lower() if isinstance(key, bool) else str(key)
