"""What the first bytes of a TCP segment say about the service at one of its ends. Pure, and bounded.

Only what somebody says before anything is secret is read: the start line and Host of HTTP/1 (RFC 9112), the
name and protocols that a TLS client asks for (RFC 8446, RFC 6066, RFC 7301). Nothing else is kept.
"""

import re
from dataclasses import dataclass, field

from inventory.model import Scheme

MOST_SERVERS = 65_536
MOST_NAMES = 8

_MOST_UNANSWERED = 4096
_REQUEST = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) [^ \r\n]{1,8192} HTTP/1\.[01]\r\n")
_RESPONSE = re.compile(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r]")
_HOST = re.compile(rb"\r\nhost:[ \t]*([^\r\n]{1,300})", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*\Z")
_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 22, 1, 2
_SERVER_NAME, _PROTOCOLS = 0, 16
_WEB = frozenset({b"h2", b"http/1.1", b"http/1.0"})


@dataclass(frozen=True, slots=True)
class Word:
    """What one end says. ``by_server`` tells which; ``name`` is the host that a client asks for, in lower case."""

    by_server: bool
    scheme: Scheme
    name: str | None = None


def overhear(payload: bytes) -> Word | None:
    """What the payload of a segment says, if it begins a message of HTTP/1 or a TLS handshake."""
    if payload[:1] == bytes([_HANDSHAKE]):
        return _handshake(payload)
    if _RESPONSE.match(payload):
        return Word(by_server=True, scheme=Scheme.HTTP)
    if _REQUEST.match(payload):
        found = _HOST.search(payload.partition(b"\r\n\r\n")[0])
        return Word(by_server=False, scheme=Scheme.HTTP, name=_name(found[1]) if found else None)
    return None


def _name(text: bytes) -> str | None:
    """A host name without its port. None for addresses and for what is no name."""
    name = text.decode("ascii", "replace").strip().lower().partition(":")[0].rstrip(".")
    return name if _NAME.match(name) and not name.rpartition(".")[2].isdigit() else None


def _handshake(payload: bytes) -> Word | None:
    if len(payload) < 6 or payload[1] != 3 or payload[2] > 4:
        return None
    if payload[5] == _SERVER_HELLO:
        return Word(by_server=True, scheme=Scheme.TLS)
    if payload[5] != _CLIENT_HELLO:
        return None
    name, web = None, False
    for kind, value in _extensions(_Reader(payload[9:])):
        if kind == _SERVER_NAME and name is None:
            # A list of names with their types, of which only host names (0) are defined.
            name = _name(value[5 : 5 + int.from_bytes(value[3:5], "big")]) if value[2:3] == b"\0" else None
        elif kind == _PROTOCOLS:
            reader = _Reader(value[2:])
            while reader.left:
                web |= reader.vector(1) in _WEB
    return Word(by_server=False, scheme=Scheme.HTTPS if web else Scheme.TLS, name=name)


@dataclass(slots=True)
class _Reader:
    """Bytes that are read from the front; whatever was cut off is empty."""

    left: bytes

    def take(self, count: int) -> bytes:
        part, self.left = self.left[:count], self.left[count:]
        return part

    def vector(self, width: int) -> bytes:
        """A vector whose length is told in so many bytes before it."""
        return self.take(int.from_bytes(self.take(width), "big"))


def _extensions(hello: _Reader) -> list[tuple[int, bytes]]:
    """The extensions of a ClientHello that are in the segment: it may go on in the next one."""
    hello.take(2 + 32)
    hello.vector(1)
    hello.vector(2)
    hello.vector(1)
    hello.take(2)
    found = []
    while len(hello.left) >= 4:
        kind = int.from_bytes(hello.take(2), "big")
        length = int.from_bytes(hello.left[:2], "big")
        value = hello.vector(2)
        if len(value) == length:
            found.append((kind, value))
    return found


Server = tuple[str, int]
"""An address and a port."""


@dataclass(slots=True)
class _Known:
    scheme: Scheme
    names: dict[str, None] = field(default_factory=dict)
    answered: bool = False


class Ear:
    """Remembers which servers answered, and by which names their clients asked for them.

    A server counts when it was heard itself, because anybody can ask for anything. What it keeps is bounded:
    ``forgotten`` counts what there was no room for.
    """

    def __init__(self) -> None:
        self._servers: dict[Server, _Known] = {}
        self._unanswered: dict[Server, _Known] = {}
        self._changed: dict[Server, None] = {}
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._servers)

    def hear(self, source: Server, destination: Server, word: Word) -> None:
        """Note what was said by ``source`` to ``destination``."""
        if word.by_server:
            self._answered(source, word)
        else:
            self._asked(destination, word)

    def _asked(self, server: Server, word: Word) -> None:
        known = self._servers.get(server) or self._unanswered.get(server)
        if known is None:
            if len(self._unanswered) >= _MOST_UNANSWERED:
                self._unanswered.pop(next(iter(self._unanswered)))
            known = self._unanswered[server] = _Known(word.scheme)
        if known.scheme is Scheme.TLS and word.scheme is Scheme.HTTPS:
            known.scheme = Scheme.HTTPS
            self._note(server, known)
        if word.name is not None and word.name not in known.names and len(known.names) < MOST_NAMES:
            known.names[word.name] = None
            self._note(server, known)

    def _answered(self, server: Server, word: Word) -> None:
        if server in self._servers:
            return
        if len(self._servers) >= MOST_SERVERS:
            self.forgotten += 1
            return
        known = self._unanswered.pop(server, None) or _Known(word.scheme)
        if word.scheme is Scheme.HTTP:
            known.scheme = Scheme.HTTP
        elif known.scheme is Scheme.HTTP:
            known.scheme = Scheme.TLS
        known.answered = True
        self._servers[server] = known
        self._note(server, known)

    def _note(self, server: Server, known: _Known) -> None:
        if known.answered:
            self._changed[server] = None

    def news(self) -> list[tuple[Server, Scheme, tuple[str, ...]]]:
        """What became known since the last call: servers, what they speak, and all their names so far."""
        changed, self._changed = self._changed, {}
        return [(server, self._servers[server].scheme, tuple(self._servers[server].names)) for server in changed]
