"""Words between processes of one scan: numbered, of a kind, a few kilobytes each, over a pair of sockets.

A word is a length of four bytes, a number of four, a kind of one, and what it holds.
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum

_HEAD = struct.Struct("!IIB")


class Kind(IntEnum):
    """What a word is: ``BEGIN``, ``ASK`` and ``DROP`` go to who asks, ``FOUND`` and ``FAILED`` come back."""

    BEGIN = 1
    ASK = 2
    DROP = 3
    FOUND = 4
    FAILED = 5


Heard = Callable[[int, Kind, bytes], None]


class Words(asyncio.Protocol):
    """One end. ``heard`` gets each word, ``ended`` is called once when the other end is no more.

    What is said in one turn of the event loop goes out together.
    """

    def __init__(self, heard: Heard, ended: Callable[[], None]) -> None:
        self._heard = heard
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread = b""
        self._unsent: list[bytes] = []

    def say(self, number: int, kind: Kind, held: bytes = b"") -> None:
        """Say a word. It is lost where the other end is no more, of which ``ended`` tells."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += _HEAD.pack(len(held), number, kind), held

    def close(self) -> None:
        """Say and hear nothing more, but for what was said by now."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See ``asyncio.Protocol``."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        data = self._unread + data
        at = 0
        while len(data) - at >= _HEAD.size:
            length, number, kind = _HEAD.unpack_from(data, at)
            start = at + _HEAD.size
            if len(data) < start + length:
                break
            at = start + length
            self._heard(number, Kind(kind), data[start:at])
        self._unread = data[at:]

    def connection_lost(self, _error: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._ended()

    def _flush(self) -> None:
        said, self._unsent = self._unsent, []
        if said and self._transport is not None:
            self._transport.write(b"".join(said))
