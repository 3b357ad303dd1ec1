"""A server that answers as real products did: every address of it is another product, with words of its own.

It replays the recorded transcripts of the tests. What real fleets vary is varied: every host's HTML holds a token
that is only its own, every answer a request id and a date. So what is remembered of one host fits few others.
Run: python benchmarks/replay.py PORT listens on every address of the machine, or of the network namespace.
"""

import asyncio
import hashlib
import re
import sys
from email.utils import formatdate
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from scanner.authoring import Transcript, read_transcript
from scanner.exchange import Answer

TRANSCRIPTS = Path(__file__).parent.parent / "tests" / "data" / "transcripts"
_OWN = frozenset({"content-length", "transfer-encoding", "connection", "content-encoding", "date", "x-request-id"})
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@cache
def personas() -> tuple[Transcript, ...]:
    """The transcripts of which every request was answered."""
    read = (read_transcript(path) for path in sorted(TRANSCRIPTS.glob("*.yaml")))
    return tuple(one for one in read if all(answer.status is not None for answer in one.answers.values()))


def persona_of(address: str) -> Transcript:
    """Who answers at an address."""
    return personas()[int(ip_address(address)) % len(personas())]


class Host(asyncio.Protocol):
    """One connection to one of the hosts."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = str(transport.get_extra_info("sockname")[0])
        self._left = b""
        self._count = 0

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        *heads, self._left = (self._left + data).split(b"\r\n\r\n")
        for head in heads:
            self._count += 1
            self._transport.write(self._answer(head))

    def _answer(self, head: bytes) -> bytes:
        first, _, path = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        before, after = _rendered(self._address, first, path.partition(" ")[0])
        if not after:
            return before
        return b"%bDate: %b\r\nX-Request-Id: %08x%b" % (before, _now(), id(self) + self._count & 0xFFFFFFFF, after)


def _now() -> bytes:
    return formatdate(usegmt=True).encode()


@cache
def _rendered(address: str, method: str, path: str) -> tuple[bytes, bytes]:
    """An answer in two parts, between which goes what changes from one to the next."""
    answers = persona_of(address).answers
    known = answers.get(f"{method} {path}")
    if known is None and method != "OPTIONS":
        known = answers.get("GET /-/routes")
    if known is None:
        return _NOT_FOUND, b""
    body = b"" if method == "HEAD" else _own(known, address)
    headers = "".join(f"{name}: {value}\r\n" for name, value in known.headers if name not in _OWN)
    head = f"HTTP/1.1 {known.status} {known.reason or 'X'}\r\n{headers}"
    return head.encode("latin-1", "replace"), b"\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _own(answer: Answer, address: str) -> bytes:
    """The body as only this host says it."""
    token = hashlib.blake2b(address.encode(), digest_size=16).hexdigest().encode()
    return re.sub(rb"(?i)<head>", b'<head><meta name="csrf-token" content="' + token + b'">', answer.body, count=1)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Host, "0.0.0.0", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
