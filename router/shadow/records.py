"""One line of the capture file, validated. What a gateway's access log says is input like any other."""

import re
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

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

_MAX_ID = 256
"""Characters. The gateway makes ids itself, of 36; many are remembered."""

_QUOTED = re.compile(r""" ['"].*['"]""", re.DOTALL)


class MalformedRecordError(ValueError):
    """A captured line that is no record. Its text says what is wrong, without the line's content."""


class Place(NamedTuple):
    """Where an answer came from. None: the gateway did not say."""

    route: str
    revision: int | None
    backend: str | None


_Text = Annotated[str, Meta(max_length=_MAX_TEXT)]
_Id = Annotated[str, Meta(min_length=1, max_length=_MAX_ID)]
_Count = Annotated[int, Meta(ge=0, le=2**53)]

_NAMES = {
    "flagged": "flags", "micros": "us", "received": "rx", "sent": "tx", "request": "rb", "body": "sb",
    "content_type": "ct", "content_encoding": "ce", "asked": "path", "grpc_status": "gs", "request_type": "rct",
    "returned": "wr", "took": "ms",
}  # fmt: skip


# Records hold no other records, so they need not be looked through for cycles: there are many.
class Record(Struct, frozen=True, gc=False, rename=_NAMES):
    """One answer of a mirrored request, as the gateway saw it.

    ``role`` is ``p`` for the answer that the caller got and ``s`` for the shadow's. ``entry`` is the route and its
    revision, ``ROUTE@REVISION``; ``cluster`` the route and the backend, with what else the gateway says of it,
    ``ROUTE|BACKEND|…``. ``code`` 0 means that there was no answer. ``flagged`` are the gateway's flags as it writes
    them, ``asked`` is the path with what follows it. ``micros`` is the duration in microseconds;
    ``received`` and ``sent`` are bytes of the request's and the response's body. ``request`` and ``body`` are these
    bodies, empty where the gateway did not keep them. ``grpc_status`` is the call's, from its trailers. ``returned``
    is how many bytes came back from a shadow, heads included, and ``took`` how many milliseconds it had. None means
    that the gateway did not say.
    """

    rid: _Id
    role: Literal["p", "s"]
    entry: _Text = ""
    cluster: _Text = ""
    code: _Count = 0
    flagged: _Text = ""
    micros: _Count | None = None
    received: _Count | None = None
    sent: _Count | None = None
    request: bytes = b""
    body: bytes = b""
    content_type: _Text = ""
    content_encoding: _Text = ""
    method: _Text = ""
    asked: _Text = ""
    grpc_status: _Count | None = None
    request_type: _Text = ""
    returned: _Count = 0
    took: _Count = 0

    @property
    def place(self) -> Place:
        """Where it came from."""
        return _place(self.entry, self.cluster)

    @property
    def path(self) -> str:
        """What was asked for, without the query."""
        return self.asked.partition("?")[0]

    @property
    def cut(self) -> bool:
        """Whether the gateway did not read on, since too much came."""
        return not self.code and not _flags(self.flagged) and self.returned >= ANSWER_LIMIT

    @property
    def flags(self) -> str:
        """Why there is no answer, or what else was wrong with it, as the gateway's flags, separated by commas."""
        late = not self.code and self.took >= COPY_SECONDS * 1000 and not self.cut
        return _flags(self.flagged) or (TOO_LONG if late else "")

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


_read = msgspec.json.Decoder(Record).decode


def parse(line: bytes, *, keep_request: bool = False) -> Record:
    """The record of one captured line. MalformedRecordError where there is none.

    The request's body is the caller's data, which comparing does not need: it is dropped unless ``keep_request``.
    """
    if len(line) > MAX_LINE:
        raise MalformedRecordError("the line is longer than a record can be")
    try:
        record = _read(line)
    except (msgspec.DecodeError, RecursionError) as error:
        # What a field holds instead of what it may hold is the line's content.
        raise MalformedRecordError(_QUOTED.sub("", str(error))) from None
    _place(record.entry, record.cluster)
    return msgspec.structs.replace(record, request=b"") if record.request and not keep_request else record


@lru_cache(1024)
def _place(entry: str, cluster: str) -> Place:
    """What an entry and a cluster name. MalformedRecordError where that is no route."""
    route, at, revision = entry.partition("@")
    if at and not (revision.isascii() and revision.isdigit() and len(revision) <= 16):
        raise MalformedRecordError("entry does not end with a revision")
    owner, backend, *_ = *cluster.split("|"), ""
    named = "" if route == "-" else route
    if not (named or backend):
        raise MalformedRecordError("it names no route")
    return Place(named or owner, int(revision) if at else None, backend or None)


def _flags(said: str) -> str:
    return "" if said == "-" else said
