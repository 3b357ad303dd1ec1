"""One request and its answer, as values: what the machine yields and what it gets back."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from scanner.lazily import lazily
from scanner.literals import folded

Method = Literal["GET", "HEAD", "OPTIONS"]

PASSING = frozenset(
    {
        "age", "cf-ray", "date", "etag", "expires", "keep-alive", "last-modified", "nel", "report-to", "server-timing",
        "traceparent", "x-amz-cf-id", "x-amzn-requestid", "x-amzn-trace-id", "x-correlation-id",
        "x-envoy-upstream-service-time", "x-process-time", "x-request-id", "x-response-time", "x-runtime", "x-trace-id",
    }
)  # fmt: skip
"""Headers that tell of the moment, or of the one request, and nothing of what answers."""

_TITLE = re.compile(r"<title[^<>]{0,200}>(.{0,400}?)</title", re.IGNORECASE | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")
_SPACE = re.compile(r"\s+")
_AFTER_PATH = re.compile(r"[?#]")


def plain_uri(text: str) -> str:
    """A URI without what may be a secret in it: user, password, query and fragment. Empty for what is none."""
    try:
        place = urlsplit(text).netloc
    except ValueError:
        return ""
    shown = _AFTER_PATH.split(text, maxsplit=1)[0]
    if place not in shown:
        # The parser leaves out line breaks and tabs, between which a password could stay.
        return ""
    return shown.replace(place, place.rpartition("@")[2], 1)


def clean(text: str, longest: int = 120) -> str:
    """Text of a scanned host, made fit for a terminal and a listing: no control or direction marks, bounded.

    Nor halves of surrogate pairs, which JSON can spell and no database takes.
    """
    return _SPACE.sub(" ", _CONTROL.sub(" ", text[: longest * 4])).strip()[:longest]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``path`` is the request target with its query. There is never a body or a credential.

    ``relative`` is the same target without the base path of the application it is meant for. ``ahead`` are requests
    that will be made next whatever the answer is, so that they may go out together (pipelining: RFC 9112,
    section 9.3.2).
    """

    method: Method
    path: str
    relative: str = ""
    ahead: tuple["Request", ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(eq=False)
class Answer:
    """What came back; it is not changed after that.

    ``status`` is None where no HTTP status line was read; ``outcome`` then says why.

    ``reason`` is the phrase after the status code, as sent: its case tells Werkzeug from others.
    ``outcome`` is ``answered`` for a complete answer, otherwise what ended it: ``timeout``, ``reset``, ``refused``,
    ``closed``, ``invalid-http``, ``too-large``, ``forbidden`` and ``unasked`` (never sent). Header names are in
    lower case. ``body`` is bounded by the client and decoded from any content coding. ``raw`` is the very beginning
    of what came, ``host_names`` are the authorities that mean this listener in a redirect.
    """

    request: Request
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    outcome: str = "answered"
    milliseconds: float = 0.0
    raw: bytes = field(default=b"", repr=False)
    host_names: frozenset[str] = frozenset()
    mark: bytes | None = field(default=None, init=False, repr=False)
    """A digest of what can be seen of it, once ``Knowledge.mark`` has made it."""

    def again(self, request: Request, milliseconds: float, raw: bytes, host_names: frozenset[str]) -> "Answer":
        """The same answer to another request, from a host of other names; what was worked out of it is kept."""
        told = {"request": request, "milliseconds": milliseconds, "raw": raw, "host_names": host_names}
        other = object.__new__(Answer)
        other.__dict__ = self.__dict__ | told
        # It alone depends on what was asked for.
        other.__dict__.pop("shape", None)
        return other

    def header(self, name: str) -> str:
        """All the values of a header, joined by commas; empty where there is none."""
        return self.by_name.get(name, "")

    @lazily
    def by_name(self) -> dict[str, str]:
        """The headers by name, the values of each joined by commas."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    @lazily
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are replaced."""
        return self.body.decode("utf-8", "replace")

    @lazily
    def lower(self) -> str | None:
        """The text in lower case, for ``scanner.literals``; None where that does not tell what a pattern matches."""
        return folded(self.text)

    @lazily
    def document(self) -> Any:
        """The body as JSON, or None where it is none. Nesting beyond the parser's depth is not JSON here."""
        if not self.body or self.body.lstrip()[:1] not in b'{["tfn-0123456789':
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @lazily
    def media(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()

    @lazily
    def title(self) -> str:
        """The title of an HTML page, cleaned; empty where there is none."""
        if self.lower is not None and "<title" not in self.lower:
            return ""
        match = _TITLE.search(self.text[:65536])
        return clean(match.group(1)) if match else ""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @lazily
    def digest(self) -> str | None:
        """SHA-256 of the bounded body in hex; None without an answer."""
        return hashlib.sha256(self.body).hexdigest() if self.status is not None else None

    @lazily
    def shape(self) -> tuple[int | None, str, bytes]:
        """What is equal for two answers that differ only in the path they were asked for."""
        body = self.body[:4096].replace(self.request.path.encode(), b"\x00")
        bare = self.request.path.partition("?")[0].strip("/").encode()
        body = body.replace(bare, b"\x00") if bare else body
        return self.status, self.media, re.sub(rb"[0-9a-f]{8,}|\d+", b"#", body)
