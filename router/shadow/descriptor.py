"""Descriptors of gRPC services: what ``protoc --include_imports --descriptor_set_out`` writes, checked and kept. Pure.

A route keeps one as a text: without comments, compressed (RFC 1950), in base64. It is input like any other, whoever
wrote it: bounded before it is opened, and while it is.
"""

import base64
import binascii
import functools
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from inventory.model import DESCRIPTOR_LIMIT
from router.errors import RouteError

MOST_BYTES = 4 * 1024 * 1024
"""Bytes of a descriptor set at most, comments and all."""

_MOST_FILES = 1000
_WRITE = "`protoc --include_imports --descriptor_set_out=FILE` writes one"


class Method(NamedTuple):
    """What a method answers with: messages of a class, several of them where it ``streams``."""

    answer: type[Message]
    streams: bool


class Descriptor(NamedTuple):
    """The methods of the services that a set describes, by their path ``/package.Service/Method``; and its types."""

    methods: dict[str, Method]
    pool: descriptor_pool.DescriptorPool

    def method(self, path: str) -> Method | None:
        """The method that a request's path is of, also below a prefix; None where it is not described."""
        parts = path.rsplit("/", 2)
        return self.methods.get("/" + "/".join(parts[-2:])) if len(parts) == 3 else None

    def undescribed(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of some patterns of paths that no method has."""
        return tuple(path for path in paths if not any(_pattern(path).fullmatch(known) for known in self.methods))


def pack(raw: bytes) -> str:
    """A descriptor set as a route keeps it. RouteError with one sentence for one that cannot be used."""
    if len(raw) > MOST_BYTES:
        raise RouteError(f"the descriptor set is larger than {MOST_BYTES // 1024 // 1024} MiB")
    files = _parsed(raw)
    for file in files.file:
        file.ClearField("source_code_info")
    _opened(files)
    text = base64.b64encode(zlib.compress(files.SerializeToString(deterministic=True), 9)).decode()
    if len(text) > DESCRIPTOR_LIMIT:
        raise RouteError(
            f"the descriptor set takes {len(text):,} bytes compressed, and a route keeps {DESCRIPTOR_LIMIT:,}: give "
            "the files of its own services alone"
        )
    return text


@functools.lru_cache(maxsize=64)
def unpack(text: str) -> Descriptor:
    """What a route's descriptor describes. RouteError with one sentence where it cannot be used."""
    machine = zlib.decompressobj()
    try:
        raw = machine.decompress(binascii.a2b_base64(text, strict_mode=True), MOST_BYTES + 1)
    except (ValueError, zlib.error) as error:
        raise RouteError("the descriptor is not in the form that a route keeps") from error
    if len(raw) > MOST_BYTES or not machine.eof:
        raise RouteError(f"the descriptor is cut off, or opens to more than {MOST_BYTES // 1024 // 1024} MiB")
    return _opened(_parsed(raw))


def _parsed(raw: bytes) -> descriptor_pb2.FileDescriptorSet:
    files = descriptor_pb2.FileDescriptorSet()
    try:
        files.ParseFromString(raw)
    except DecodeError as error:
        raise RouteError(f"that is no descriptor set: {_WRITE}") from error
    if not files.file:
        raise RouteError(f"that is no descriptor set, or an empty one: {_WRITE}")
    if len(files.file) > _MOST_FILES:
        raise RouteError(f"the descriptor set holds more than {_MOST_FILES} files")
    return files


def _opened(files: descriptor_pb2.FileDescriptorSet) -> Descriptor:
    pool = descriptor_pool.DescriptorPool()
    for file in _in_order(list(files.file)):
        try:
            pool.AddSerializedFile(file.SerializeToString())
        except (TypeError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:200]
            raise RouteError(f"the descriptor set is wrong in {file.name[:80]!r}: {why}") from error
    methods = {
        f"/{service.full_name}/{method.name}": Method(
            message_factory.GetMessageClass(method.output_type), bool(method.server_streaming)
        )
        for file in files.file
        for service in pool.FindFileByName(file.name).services_by_name.values()
        for method in service.methods
    }
    if not methods:
        raise RouteError("the descriptor set describes no method of a service: give the file that declares the service")
    return Descriptor(methods, pool)


def _in_order(waiting: list[descriptor_pb2.FileDescriptorProto]) -> list[descriptor_pb2.FileDescriptorProto]:
    """Every file after those that it imports."""
    ordered: list[descriptor_pb2.FileDescriptorProto] = []
    known: set[str] = set()
    listed = {file.name for file in waiting}
    while waiting:
        ready = [file for file in waiting if known.issuperset(file.dependency)]
        if not ready:
            first = waiting[0]
            gone = next((name for file in waiting for name in file.dependency if name not in listed), None)
            if gone is None:
                raise RouteError(f"the descriptor set is wrong: {first.name[:80]!r} imports itself by way of others")
            raise RouteError(f"the descriptor set lacks {gone[:80]!r}, which it imports: {_WRITE} that is whole")
        ordered += ready
        known.update(file.name for file in ready)
        waiting = [file for file in waiting if file.name not in known]
    return ordered


def _pattern(path: str) -> re.Pattern[str]:
    """A pattern of a shadow's paths: ``*`` is one segment, ``**`` at the end any further ones."""
    words = {"*": "[^/]+", "**": ".+"}
    return re.compile("/".join(words.get(part, re.escape(part)) for part in path.split("/")))
