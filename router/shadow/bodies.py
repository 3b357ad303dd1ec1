"""Captured bodies, decoded within bounds. Pure. A compressed body may claim any size: only so much is opened."""

import contextlib
import json
import zlib
from typing import NamedTuple

import msgspec

MAX_DECODED = 8 * 1024 * 1024
"""Bytes that a compressed body may open to."""

_LONGEST_INTEGER = 300
_LONG = b"0" * _LONGEST_INTEGER
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")

_read = msgspec.json.Decoder().decode

_GZIP = zlib.MAX_WBITS | 16
_JSON_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/json-lines"})


class UnreadableError(ValueError):
    """A body that its own headers describe wrongly: corrupt, or not what it says."""


class BeyondBoundsError(ValueError):
    """A body that would cost too much to read, or whose encoding is not known here."""


class UnreadMessagesError(ValueError):
    """A gRPC answer whose messages cannot be read. Its text is one of few, so that reasons can be counted."""


class Document(NamedTuple):
    """A parsed JSON body."""

    value: object


def media_type(content_type: str) -> str:
    """The type without parameters, in lower case; empty where there is none."""
    return content_type.partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Whether a media type holds one JSON document."""
    return kind == "application/json" or kind.endswith("+json")


def is_json_lines(kind: str) -> bool:
    """Whether a media type holds one JSON document a line."""
    return kind in _JSON_LINES


def decoded(body: bytes, encodings: str) -> bytes:
    """The body without its content encodings (RFC 9110, section 8.4): gzip and deflate.

    UnreadableError where it is corrupt; BeyondBoundsError where it opens to more than ``MAX_DECODED``
    bytes or is encoded in another way.
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > 2:
        raise BeyondBoundsError("the body is encoded more than twice")
    for name in reversed(names):
        if name in {"gzip", "x-gzip"}:
            body = _inflate(body, _GZIP)
        elif name == "deflate":
            # Some servers send raw deflate under this name, without the zlib header that RFC 1950 asks for.
            wrapped = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
            body = _inflate(body, zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        else:
            raise BeyondBoundsError("the body's encoding cannot be read here")
    return body


def parse_json(body: bytes) -> Document:
    """The JSON document of a body. UnreadableError where it is not JSON; BeyondBoundsError where too deep."""
    # Ten times as fast, it reads less: no NaN, no half of a character, no UTF-16. What it refuses is read once more.
    if len(body) <= _LONGEST_INTEGER or _LONG not in body.translate(_DIGITS_ALIKE):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            return Document(_read(body))
    try:
        return Document(json.loads(body, parse_int=_integer))
    except RecursionError as error:
        raise BeyondBoundsError("the JSON is nested too deeply") from error
    except ValueError as error:
        raise UnreadableError("the body is not JSON") from error


def parse_json_lines(body: bytes) -> Document:
    """The documents of a body with one a line, as a list."""
    return Document([parse_json(line).value for line in body.splitlines() if line.strip()])


def _integer(digits: str) -> int | float:
    # Python refuses to read very long integers, and other JSON readers take them as floating point anyway.
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _inflate(body: bytes, window_bits: int) -> bytes:
    parts: list[bytes] = []
    room = MAX_DECODED
    while body:
        machine = zlib.decompressobj(window_bits)
        try:
            part = machine.decompress(body, room + 1)
        except zlib.error as error:
            raise UnreadableError("the compressed body is corrupt") from error
        room -= len(part)
        if room < 0:
            raise BeyondBoundsError("the compressed body opens to more than is compared")
        if not machine.eof:
            raise UnreadableError("the compressed body ends too early")
        parts.append(part)
        # A gzip body may be several members, one after the other (RFC 1952, section 2.2).
        body = machine.unused_data if window_bits == _GZIP else b""
    return b"".join(parts)
