"""One line of the capture file, validated. What a gateway's access log says is input like any other."""

import binascii
from collections.abc import Callable
from typing import Literal, NamedTuple

from pydantic_core import from_json

MAX_LINE = 1_048_576
"""Bytes of one captured line at most: far above two bodies of 64 KiB in base64."""

ANSWER_LIMIT = 131_072
"""Bytes of a shadow's answer that are read at most. A larger one is cut, and with it the connection."""

GRPC = "application/grpc"
"""What the content type of a gRPC message begins with."""

_MAX_TEXT = 2048
_MAX_INTEGER = 2**53


class MalformedRecordError(ValueError):
    """A captured line that is no record. Its text says what is wrong, without the line's content."""


class Record(NamedTuple):
    """One answer of a mirrored request, as the gateway saw it.

    ``role`` is ``p`` for the answer that the caller got and ``s`` for the shadow's. ``code`` 0 means that
    there was no answer. ``micros`` is the duration in microseconds; ``received`` and ``sent`` are bytes of
    the request's and the response's body. ``request`` and ``body`` are these bodies, empty where the gateway did not
    keep them. ``grpc_status`` is the call's, from its trailers. ``cut``: the gateway did not read on. None means that
    the gateway did not say.
    """

    rid: str
    role: Literal["p", "s"]
    route: str
    revision: int | None
    backend: str | None
    code: int
    flags: str
    micros: int | None
    received: int | None
    sent: int | None
    request: bytes
    body: bytes
    content_type: str
    content_encoding: str
    method: str
    path: str
    grpc_status: int | None = None
    request_type: str = ""
    cut: bool = False

    @property
    def complete(self) -> bool:
        """Whether ``body`` is all of the response's body."""
        return self.sent == len(self.body)

    @property
    def failed(self) -> bool:
        """Whether the caller of this answer would call it a failure of the server."""
        return self.code == 0 or self.code >= 500

    @property
    def size(self) -> int:
        """About how many bytes of memory the record holds."""
        return 1024 + len(self.request) + len(self.body)


def parse(line: bytes, *, keep_request: bool = False) -> Record:
    """The record of one captured line. MalformedRecordError where there is none.

    The request's body is the caller's data, which comparing does not need: it is dropped unless
    ``keep_request``.
    """
    if len(line) > MAX_LINE:
        raise MalformedRecordError("the line is longer than a record can be")
    try:
        fields = from_json(line)
    except ValueError as error:
        raise MalformedRecordError("the line is not JSON") from error
    if not isinstance(fields, dict):
        raise MalformedRecordError("the line is not a JSON object")
    if fields.get("role") not in ("p", "s"):
        raise MalformedRecordError("role is neither p nor s")
    if not keep_request:
        fields.pop("rb", None)
    said = dict(_UNSAID)
    for key, value in fields.items():
        place = _KEYS.get(key)
        # What a request or an answer does not have is logged as a dash, or as nothing.
        if place is not None and value is not None and value != "-" and value != "":
            name, read = place
            said[name] = read(key, value)
    if not said["rid"] or not said["route"]:
        raise MalformedRecordError("rid or route is missing")
    if not said["code"] and not said["flags"]:
        said["cut"] = _integer("wr", fields.get("wr") or 0) >= ANSWER_LIMIT
    return Record._make(said.values())


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise MalformedRecordError(f"{key} is not a text")
    return value[:_MAX_TEXT]


def _path(key: str, value: object) -> str:
    return _text(key, value).partition("?")[0]


def _integer(key: str, value: object) -> int:
    """A count. Envoy writes numbers as texts where a format holds more than one command."""
    if type(value) is int and 0 <= value <= _MAX_INTEGER:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        raise MalformedRecordError(f"{key} is not a count")
    return value


def _body(key: str, value: object) -> bytes:
    try:
        return binascii.a2b_base64(value, strict_mode=True)  # type: ignore[arg-type]  # checked by what it raises
    except (binascii.Error, ValueError, TypeError) as error:
        raise MalformedRecordError(f"{key} is not base64") from error


_UNSAID: dict[str, object] = {
    "rid": "", "role": "", "route": "", "revision": None, "backend": None, "code": 0, "flags": "", "micros": None,
    "received": None, "sent": None, "request": b"", "body": b"", "content_type": "", "content_encoding": "",
    "method": "", "path": "", "grpc_status": None, "request_type": "", "cut": False,
}  # fmt: skip
"""The fields of a record in their order, as they are where a line says nothing of them."""

_KEYS: dict[str, tuple[str, Callable[[str, object], object]]] = {
    "rid": ("rid", _text), "role": ("role", _text), "route": ("route", _text), "rev": ("revision", _integer),
    "backend": ("backend", _text), "code": ("code", _integer), "flags": ("flags", _text), "us": ("micros", _integer),
    "rx": ("received", _integer), "tx": ("sent", _integer), "rb": ("request", _body), "sb": ("body", _body),
    "ct": ("content_type", _text), "ce": ("content_encoding", _text), "method": ("method", _text),
    "path": ("path", _path), "gs": ("grpc_status", _integer), "rct": ("request_type", _text),
}  # fmt: skip
"""What a line calls each field, and how it is read."""
