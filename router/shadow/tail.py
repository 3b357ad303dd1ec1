"""Reads a growing file of lines, and deletes what was consumed without disturbing whoever appends to it.

Consumed bytes become a hole: zeros that take no space (fallocate(2) with FALLOC_FL_PUNCH_HOLE). The file's
size never shrinks, so an appending writer is not disturbed at any moment and no line can fall between
reading and deleting, as it can with truncation in place. Where the file system has no holes, consumed bytes
are overwritten by zeros. A reader that starts anew skips the zeros: the file is its own cursor.
"""

import ctypes
import ctypes.util
import errno
import os
from pathlib import Path
from typing import NamedTuple

from router.shadow.records import MAX_LINE

_READ = 1 << 20
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_NO_HOLES = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


class Line(NamedTuple):
    """A complete line without its newline, and the bytes that it takes in the file."""

    text: bytes
    start: int
    end: int


def prepare(path: Path) -> None:
    """Make the capture file, and its folder, so that only this user can read them.

    Call it before the gateway opens the file: what the gateway makes itself is readable by others.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    path.chmod(0o600)


class Tail:
    """One open file. ``position`` is up to where complete lines were read; OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.fchmod(self._fd, 0o600)
        status = os.fstat(self._fd)
        self.identity = f"{status.st_dev}:{status.st_ino}"
        self.oversized = 0
        self.deleted = self._first_data(status.st_size)
        self.position = self.deleted
        self._rest = b""
        self._skipping = False
        self._fresh = True

    @property
    def size(self) -> int:
        """Bytes in the file, holes included."""
        return os.fstat(self._fd).st_size

    @property
    def unread(self) -> int:
        """Bytes that were written since the last read; below 0 where the file was truncated."""
        return self.size - self.position - len(self._rest)

    def is_at(self, path: Path) -> bool:
        """Whether the path still leads to this file."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        return self.identity == f"{status.st_dev}:{status.st_ino}"

    def was_truncated(self) -> bool:
        """Whether the file became shorter than what was read of it. Reading then starts over."""
        if self.unread >= 0:
            return False
        self.position = self.deleted = 0
        self._rest = b""
        self._skipping = False
        return True

    def ends_a_line(self, position: int) -> bool:
        """Whether a position that an earlier run remembered can be of this file: it is just after a line."""
        if position == 0 or position > self.size:
            return position == 0
        return os.pread(self._fd, 1, position - 1) in {b"\n", b"\0"}

    def read(self) -> list[Line]:
        """The complete lines of the next mebibyte. A partial last line waits for its end.

        A line longer than ``MAX_LINE`` is skipped and counted in ``oversized``.
        """
        chunk = os.pread(self._fd, _READ, self.position + len(self._rest))
        if not chunk:
            return []
        data = self._rest + chunk
        if self._fresh:
            # The hole ends at a block's limit: zeros may follow within the block.
            kept = data.lstrip(b"\0")
            self.position += len(data) - len(kept)
            data = kept
            self._fresh = not data
        *complete, self._rest = data.split(b"\n")
        lines: list[Line] = []
        for text in complete:
            start = self.position
            self.position += len(text) + 1
            if self._skipping:
                self._skipping = False
            elif len(text) > MAX_LINE:
                self.oversized += 1
            else:
                # In half the time of the constructor's own call: there is one for every answer.
                lines.append(Line._make((text, start, self.position)))
        if len(self._rest) > MAX_LINE:
            self.oversized += not self._skipping
            self._skipping = True
            self.position += len(self._rest)
            self._rest = b""
        return lines

    def delete(self, up_to: int) -> None:
        """Delete what lies before a position, from the medium where it can: it will not be read again."""
        if up_to <= self.deleted:
            return
        if self.size < up_to:
            # Somebody truncated the file since it was read: what stands before ``up_to`` now is new, and unread.
            return
        if not _punch(self._fd, self.deleted, up_to - self.deleted):
            at = self.deleted
            while at < up_to:
                at += os.pwrite(self._fd, bytes(min(_READ, up_to - at)), at)
        self.deleted = up_to

    def overwrite(self, at: int, text: bytes) -> None:
        """Write over bytes that were read, so that whoever reads the file next finds these."""
        os.pwrite(self._fd, text, at)

    def empty(self) -> None:
        """Delete everything: only for a file that nobody writes to any more."""
        os.ftruncate(self._fd, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _first_data(self, size: int) -> int:
        if size == 0:
            return 0
        try:
            return os.lseek(self._fd, 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return size
            return 0


_libc = ctypes.CDLL(None, use_errno=True)


def _punch(descriptor: int, start: int, length: int) -> bool:
    """Make a hole. False where the file system, or the C library, cannot."""
    fallocate = getattr(_libc, "fallocate64", None) or getattr(_libc, "fallocate", None)
    if fallocate is None:
        return False
    wide = ctypes.c_int64
    done = fallocate(ctypes.c_int(descriptor), ctypes.c_int(_KEEP_SIZE | _PUNCH_HOLE), wide(start), wide(length))
    if done == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_HOLES:
        return False
    raise OSError(code, os.strerror(code))
