"""One line of the capture file, validated. What a gateway's access log says is input like any other."""

import binascii
import json
from typing import Any, Literal, NamedTuple

MAX_LINE = 1_048_576
"""Bytes of one captured line at most: far above two bodies of 64 KiB in base64."""

ANSWER_LIMIT = 262_144
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
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedRecordError("the line is not JSON") from error
    if not isinstance(fields, dict):
        raise MalformedRecordError("the line is not a JSON object")
    role = fields.get("role")
    if role not in ("p", "s"):
        raise MalformedRecordError("role is neither p nor s")
    rid, route = _text(fields, "rid"), _text(fields, "route")
    if not rid or not route:
        raise MalformedRecordError("rid or route is missing")
    code, flags = _integer(fields, "code") or 0, _text(fields, "flags")
    return Record(
        rid=rid,
        role=role,
        route=route,
        revision=_integer(fields, "rev"),
        backend=_text(fields, "backend") or None,
        code=code,
        flags=flags,
        micros=_integer(fields, "us"),
        received=_integer(fields, "rx"),
        sent=_integer(fields, "tx"),
        request=_body(fields, "rb") if keep_request else b"",
        body=_body(fields, "sb"),
        content_type=_text(fields, "ct"),
        content_encoding=_text(fields, "ce"),
        method=_text(fields, "method"),
        path=_text(fields, "path").partition("?")[0],
        grpc_status=_integer(fields, "gs"),
        request_type=_text(fields, "rct"),
        cut=not code and not flags and (_integer(fields, "wr") or 0) >= ANSWER_LIMIT,
    )


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    if value is None or value == "-":
        return ""
    if not isinstance(value, str):
        raise MalformedRecordError(f"{key} is not a text")
    return value[:_MAX_TEXT]


def _integer(fields: dict[str, Any], key: str) -> int | None:
    """A count. Envoy writes numbers as texts where a format holds more than one command."""
    value = fields.get(key)
    if value is None or value in ("", "-"):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        raise MalformedRecordError(f"{key} is not a count")
    return value


def _body(fields: dict[str, Any], key: str) -> bytes:
    value = fields.get(key)
    if value is None or value in ("", "-"):
        return b""
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise MalformedRecordError(f"{key} is not base64") from error
