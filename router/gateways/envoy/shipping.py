"""Carries a log that Envoy writes to gnomon on another machine. A line is taken from the disk once it is kept there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from router.audit.log import Log
from router.gateways.envoy.wire import CALLS
from router.shadow.tail import Tail

log = logging.getLogger(__name__)

Take = Callable[[str, str, int, bytes], Awaitable[bool]]
"""Given the kind of the log, the file, the byte where the lines end, and the lines: whether they are kept."""

_POLL = 0.1
_AGAIN = 0.5
MOST_BEHIND = 256 * 1024 * 1024
"""Bytes that may wait on disk. Beyond, calls are given up by halves and counted, and captured answers are dropped."""


class Shipper:
    """Follows one file."""

    def __init__(self, path: Path, kind: str, most: int = MOST_BEHIND) -> None:
        """The file must exist when it is run."""
        self._path, self._kind, self._most = path, kind, most

    async def run(self, take: Take) -> None:
        """Carry lines until cancelled."""
        tail = Tail(self._path)
        try:
            while True:
                lines = await asyncio.to_thread(tail.read)
                kept = [line for line in lines if line.text.strip(b"\0")]
                if not lines:
                    tail.was_truncated()
                    await asyncio.sleep(_POLL)
                    continue
                body = b"".join(line.text.lstrip(b"\0") + b"\n" for line in kept)
                while body and not await take(self._kind, tail.identity, lines[-1].end, body):
                    await asyncio.sleep(_AGAIN)
                    if self._shed(tail):
                        # What is left begins where the hole ends.
                        tail.close()
                        tail = Tail(self._path)
                        break
                else:
                    await asyncio.to_thread(tail.delete, lines[-1].end)
        finally:
            tail.close()

    def _shed(self, tail: Tail) -> bool:
        """Where too much waits, give some up; whether the file has to be read from where it begins now."""
        if tail.size - tail.deleted <= self._most:
            return False
        if self._kind == CALLS:
            lost = Log(self._path).shed(self._most)
            log.error("%d calls were given up: more waited for gnomon than may", lost)
        else:
            tail.delete(tail.size)
            log.warning("captured answers were dropped: more waited for gnomon than may")
        return True
