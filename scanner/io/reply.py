"""HTTP/1.1 answers as they come in, sans-I/O: bytes in, an ``Answer`` out, within the limits. Parsed by httptools."""

import zlib
from typing import Any, Final, NamedTuple

import httptools

from scanner.alike import MOST_BYTES, Alike
from scanner.exchange import Answer, Request
from scanner.findings import Limits

_MOST_INTERIM: Final = 8
_HEADER_COUNT: Final = 256
_RAW: Final = 512
_MOST_NAMES: Final = 1024
_KNOWN_NAMES: dict[bytes, str] = {}
_LENGTHS: Final = frozenset({"content-length", "transfer-encoding"})


class Reply:
    """What is known of the answers to requests that were sent together. ``feed`` it until it says how they ended.

    Headers whose names, in lower case, are ``ignored`` are no part of the answer. What was heard ``alike``, with the
    same limits and ignored headers, is not parsed again.
    The ``on_`` methods are those that httptools calls.
    """

    def __init__(
        self,
        requests: tuple[Request, ...],
        limits: Limits,
        ignored: frozenset[str] = frozenset(),
        alike: Alike | None = None,
    ) -> None:
        self._request, *self._following = requests
        self._alike = Alike() if alike is None else alike
        self._before: list[tuple[Answer, Request]] = []
        self._unknown = b""
        self._whole: list[_Part] = []
        self._ignored = ignored
        self._limits = limits
        self._parser: Any = None
        self._status: int | None = None
        self._reason = b""
        self._headers: list[tuple[str, str]] = []
        self._body = bytearray()
        self._raw = b""
        self._before_headers = 0
        self._interim = 0
        self._headers_done = self._done = self._too_large = self._trailing = False

    @property
    def silent(self) -> bool:
        """Whether not one byte has come."""
        return not self._raw

    def feed(self, data: bytes | memoryview) -> str | None:
        """Take the next bytes. The outcome, as in ``Answer``, where the last answer ended with them."""
        if len(self._raw) < _RAW:
            self._raw += bytes(data[: _RAW - len(self._raw)])
        if self._parser is None:
            data = self._recognize(bytes(data))
            if self._done or not data:
                return "answered" if self._done else None
            self._parser = httptools.HttpResponseParser(self)
        if not self._headers_done:
            self._before_headers += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._trailing = True
            return "answered" if self._done else "invalid-http"
        if self._interim > _MOST_INTERIM:
            return "invalid-http"
        if not self._headers_done and not self._interim:
            self._status = _status_of(self._raw)
        if self._done or (self._headers_done and self._request.method == "HEAD"):
            return "answered"
        if self._too_large or (not self._headers_done and self._before_headers > self._limits.header):
            return "too-large"
        return None

    def end(self) -> str:
        """The outcome, now that the host has closed the connection."""
        self._trailing = True
        if self._headers_done:
            return "closed" if self._has_length() else "answered"
        self._status = _status_of(self._raw) if self._headers else None
        return "closed" if self._status is not None or not self._raw else "invalid-http"

    def keeps_open(self, outcome: str) -> bool:
        """Whether the connection may carry another request after this answer."""
        if outcome != "answered" or self._too_large or self._trailing or self._request.method == "HEAD":
            return False
        if self._parser is None:
            return True
        told = ", ".join(value for name, value in self._headers if name == "connection").lower()
        if "close" in told or (self._parser.get_http_version() == "1.0" and "keep-alive" not in told):
            return False
        return self._status in {204, 304} or self._has_length()

    def answers(self, outcome: str, milliseconds: float, host_names: frozenset[str]) -> list[Answer]:
        """The answers that came whole; the first as far as it came. ``outcome`` says how the last of them ended."""
        found = [answer.again(request, milliseconds, self._raw, host_names) for answer, request in self._before]
        if self._parser is None and self._done:
            return found
        # The parser knows this object and would keep it until somebody looks for garbage.
        self._parser = None
        parts = self._whole
        if outcome == "answered" or not (parts or found):
            outcome = "too-large" if self._too_large else outcome
            parts = [*parts, self._part(None if outcome == "invalid-http" else self._status, outcome)]
        parsed = [self._answer(part, milliseconds, host_names) for part in parts]
        self._alike.keep(self._unknown, parsed)
        return found + parsed

    def _recognize(self, data: bytes) -> bytes:
        """Take the answers that were heard before, byte for byte. The rest, which is to be parsed."""
        at = 0
        while not self._done and self._request.method != "HEAD" and (known := self._alike.find(data, at)) is not None:
            answer, at = known
            self._before.append((answer, self._request))
            if self._following:
                self._request = self._following.pop(0)
            else:
                self._done = True
        rest = data[at:]
        self._unknown = rest if len(rest) <= MOST_BYTES else b""
        if self._done and rest:
            try:
                httptools.HttpResponseParser(self).feed_data(rest)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._trailing = True
        return rest

    def _part(self, status: int | None, outcome: str) -> "_Part":
        return _Part(self._request, status, self._reason, self._headers, self._body, outcome)

    def _answer(self, part: "_Part", milliseconds: float, host_names: frozenset[str]) -> Answer:
        coding = next((value for name, value in part.headers if name == "content-encoding"), "").strip().lower()
        body, cut = _decode(bytes(part.body), coding, self._limits.body)
        return Answer(
            request=part.request,
            status=part.status,
            reason=part.reason.decode("latin-1"),
            headers=tuple(part.headers) if part.status is not None else (),
            body=body if part.status is not None else b"",
            outcome="too-large" if cut else part.outcome,
            milliseconds=milliseconds,
            raw=self._raw,
            host_names=host_names,
        )

    def _turn_to_next(self) -> None:
        """The answer to one of the requests is over, and the next one's follows."""
        self._whole.append(self._part(self._status, "answered"))
        self._request = self._following.pop(0)
        self._status, self._reason, self._headers, self._body = None, b"", [], bytearray()
        self._before_headers = self._interim = 0
        self._headers_done = False

    def _has_length(self) -> bool:
        return any(name in _LENGTHS for name, _ in self._headers)

    def on_message_begin(self) -> None:
        """A status line follows: the first, or one after an interim answer, or bytes that nobody asked for."""
        if self._done:
            self._trailing = True
            return
        self._headers.clear()
        self._reason = b""
        self._headers_done = False

    def on_status(self, reason: bytes) -> None:
        """The phrase after the status code, or a part of it."""
        if not self._done:
            self._reason += reason[:256]

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """One header."""
        # Called five times as often as anything else here.
        text = _KNOWN_NAMES.get(name) or _name(name)
        if text not in self._ignored and not self._done and len(self._headers) < _HEADER_COUNT:
            self._headers.append((text, value.decode("utf-8", "replace") if value else ""))

    def on_headers_complete(self) -> None:
        """The head is over."""
        if not self._done:
            self._status = int(self._parser.get_status_code())
            self._headers_done = self._status >= 200

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self._done:
            return
        room = self._limits.body - len(self._body)
        self._body += body[:room]
        self._too_large = self._too_large or len(body) > room

    def on_message_complete(self) -> None:
        """The answer is over, unless it was an interim one."""
        if self._status is not None and self._status < 200:
            self._interim += 1
            self._status = None
        elif self._following and not self._too_large:
            self._turn_to_next()
        else:
            self._done = True


class _Part(NamedTuple):
    """What came in answer to one request, and how that ended."""

    request: Request
    status: int | None
    reason: bytes
    headers: list[tuple[str, str]]
    body: bytearray
    outcome: str


def _name(name: bytes) -> str:
    """A header's name in lower case. The same few come again and again."""
    known = name.decode("latin-1").lower()
    if len(_KNOWN_NAMES) < _MOST_NAMES and len(name) <= 64:
        _KNOWN_NAMES[name] = known
    return known


def _status_of(raw: bytes) -> int | None:
    """The status in the first line, where the line is one of HTTP/1; the head may be unfinished."""
    parts = raw[:64].split(b"\r\n", 1)[0].split(b" ", 2)
    if len(parts) > 1 and parts[0] in {b"HTTP/1.0", b"HTTP/1.1"} and parts[1].isdigit() and len(parts[1]) == 3:
        return int(parts[1])
    return None


def _decode(body: bytes, coding: str, limit: int) -> tuple[bytes, bool]:
    """The body without its content coding, at most ``limit`` bytes, and whether there was more."""
    if coding not in {"gzip", "x-gzip", "deflate"} or not body:
        return body, False
    try:
        inflater = zlib.decompressobj(47 if coding != "deflate" else 15)
        plain = inflater.decompress(body, limit)
    except zlib.error:
        return b"", False
    return plain, bool(inflater.unconsumed_tail)
