"""One line of the capture file, validated. What a gateway's access log says is input like any other."""

import binascii
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic_core import SchemaValidator, ValidationError, core_schema

MAX_LINE = 1_048_576
"""Bytes of one captured line at most: far above two bodies of 64 KiB in base64."""

ANSWER_LIMIT = 131_072
"""Bytes of a shadow's answer that are read at most. A larger one is cut, and with it the connection."""

COPY_SECONDS = 60
"""How long a shadow has for its answer."""

TOO_LONG = "UMSDR"
"""The flag of an answer that did not come in time."""

GRPC = "application/grpc"
"""What the content type of a gRPC message begins with."""

_MAX_TEXT = 8192
"""Characters. The gateway cuts texts at 2,048 bytes, and writes one that is no UTF-8 with four characters."""


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


def _schema() -> core_schema.CoreSchema:
    """What a line may say. ``gs`` is of gRPC, ``wr`` what came back from a shadow, in ``ms``."""
    field, text = core_schema.typed_dict_field, core_schema.str_schema(max_length=_MAX_TEXT)
    whole, body = core_schema.int_schema(ge=0, le=2**53), core_schema.str_schema()
    # A float may be a whole number; true is none.
    number = core_schema.chain_schema([core_schema.float_schema(strict=True), whole])
    count = core_schema.union_schema([{**whole, "strict": True}, number], mode="left_to_right")
    fields = {
        "role": field(core_schema.literal_schema(["p", "s"]), required=True),
        "rid": field(core_schema.str_schema(min_length=1, max_length=_MAX_TEXT), required=True),
        **{
            name: field(text, required=False)
            for name in ("entry", "cluster", "flags", "ct", "ce", "rct", "method", "path")
        },
        **{name: field(count, required=False) for name in ("code", "us", "rx", "tx", "wr", "ms", "gs")},
        **{name: field(body, required=False) for name in ("rb", "sb")},
    }
    return core_schema.typed_dict_schema(fields, extra_behavior="ignore")


_read = SchemaValidator(_schema()).validate_json


def parse(line: bytes, *, keep_request: bool = False) -> Record:
    """The record of one captured line. MalformedRecordError where there is none.

    ``entry`` is the route and its revision, ``ROUTE@REVISION``; ``cluster`` the route and the backend, with what else
    the gateway says of it, ``ROUTE|BACKEND|…``. The request's body is the caller's data, which comparing does not need:
    it is dropped unless ``keep_request``.
    """
    if len(line) > MAX_LINE:
        raise MalformedRecordError("the line is longer than a record can be")
    try:
        said: dict[str, Any] = _read(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise MalformedRecordError(f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}") from None
    get = said.get
    route, revision = _entry(get("entry", ""))
    owner, backend = _cluster(get("cluster", ""))
    if not (route or owner):
        raise MalformedRecordError("it names no route")
    code, flags = get("code", 0), get("flags", "")
    if flags == "-":
        flags = ""
    cut = not code and not flags and get("wr", 0) >= ANSWER_LIMIT
    if not (code or flags or cut) and get("ms", 0) >= COPY_SECONDS * 1000:
        flags = TOO_LONG
    return Record._make((
        said["rid"], said["role"], route or owner, revision, backend, code, flags, get("us"), get("rx"), get("tx"),
        _body(get("rb")) if keep_request else b"", _body(get("sb")), get("ct", ""), get("ce", ""), get("method", ""),
        get("path", "").partition("?")[0], get("gs"), get("rct", ""), cut,
    ))  # fmt: skip


@lru_cache(256)
def _entry(name: str) -> tuple[str, int | None]:
    """The route and the revision of an entry."""
    route, at, revision = name.partition("@")
    if at and not (revision.isascii() and revision.isdigit() and len(revision) <= 16):
        raise MalformedRecordError("entry does not end with a revision")
    return (route, int(revision)) if at else ("" if route == "-" else route, None)


@lru_cache(256)
def _cluster(name: str) -> tuple[str, str | None]:
    """The route and the backend of a cluster."""
    route, backend, *_ = *name.split("|"), ""
    return (route, backend) if backend else ("", None)


def _body(said: str | None) -> bytes:
    if not said:
        return b""
    try:
        return binascii.a2b_base64(said, strict_mode=True)
    except ValueError as error:
        raise MalformedRecordError("a body is not base64") from error
