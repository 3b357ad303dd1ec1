"""The file that a gateway writes its calls to: followed through rotation, resumed where the store says, and shed.

Its lines are read in their order and once: while the gateway still writes to a file that was renamed, nothing is read
of the one that took its place, so that one file and one byte say how far the record is.
"""

import time
from pathlib import Path

from inventory.calls import Recording
from router.audit.lines import lost_of, mark
from router.shadow.tail import Line, Tail, prepare

QUIET_SECONDS = 2.0
"""A file that was replaced has ended when nobody has written to it for so long."""


class Log:
    """One gateway's log. Open it, read it, and ``delete`` what is in the store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tail: Tail | None = None
        self._quiet_since = 0.0

    @property
    def opened(self) -> bool:
        """Whether it can be read."""
        return self._tail is not None

    def open(self, recording: Recording | None) -> None:
        """Open it where the record ended; where that is of another file, at its beginning. OSError."""
        path = self.replaced if self.replaced.exists() else self.path
        if path == self.path:
            prepare(path)
        tail = Tail(path)
        if recording is not None and recording.file == tail.identity and tail.ends_a_line(recording.cursor):
            tail.position = max(tail.position, recording.cursor)
        self._tail = tail
        self._quiet_since = time.monotonic()

    @property
    def replaced(self) -> Path:
        """Where a file goes that is replaced."""
        return self.path.with_name(f"{self.path.name}.old")

    @property
    def place(self) -> tuple[str, int]:
        """The file, and the byte up to which its lines were read."""
        tail = self._opened()
        return tail.identity, tail.position

    @property
    def still(self) -> bool:
        """Whether nothing was written since the last read."""
        return self._opened().unread == 0

    @property
    def behind(self) -> int:
        """The bytes that wait to be read."""
        tail = self._opened()
        waiting = max(0, tail.size - tail.position)
        return waiting if tail.is_at(self.path) or not self.path.exists() else waiting + self.path.stat().st_size

    def read(self) -> tuple[list[Line], int]:
        """The next lines, and how many were too long to be read."""
        tail = self._opened()
        before = tail.oversized
        lines = tail.read()
        if not lines and tail.was_truncated():
            lines = tail.read()
        if lines:
            self._quiet_since = time.monotonic()
        return lines, tail.oversized - before

    def delete(self, up_to: int) -> None:
        """Take what is in the store from the disk."""
        self._opened().delete(up_to)

    def turn(self) -> bool:
        """Go on to the file that took this one's place, if nobody writes to this one any more. Whether it did.

        Only when all that was read is in the store.
        """
        tail = self._opened()
        if tail.is_at(self.path) or not self.path.exists() or time.monotonic() - self._quiet_since < QUIET_SECONDS:
            return False
        self.close()
        self.replaced.unlink(missing_ok=True)
        self.open(None)
        return True

    def replace(self, size: int) -> bool:
        """Put a new file in the place of one that has grown to a size. Whether the gateway has to open it."""
        tail = self._tail
        if tail is None or tail.size < size or not tail.is_at(self.path):
            return False
        self.path.replace(self.replaced)
        prepare(self.path)
        return True

    def shed(self, most: int) -> int:
        """Where more bytes wait than may, give up the older half of them. How many calls that are.

        A mark in their place says how many, so that a kill does not lose the count.
        """
        tail = Tail(self.path)
        try:
            if tail.size - tail.position <= most:
                return 0
            end = tail.position + (tail.size - tail.position) // 2
            lost, last = 0, None
            while tail.position < end and (lines := tail.read()):
                lost += sum(lost_of(line.text) or 1 for line in lines)
                last = lines[-1]
            if last is None:
                return 0
            # The mark takes the room of the last line, which is the last that is given up.
            tail.overwrite(last.start, mark(lost, last.end - last.start - 1))
            tail.delete(last.start)
            return lost
        finally:
            tail.close()

    def close(self) -> None:
        """Close it."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    def _opened(self) -> Tail:
        assert self._tail is not None
        return self._tail
