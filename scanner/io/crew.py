"""Processes that ask, begun and ended. What they are told and tell is the business of ``scanner.deputies``.

They may be begun before they are needed (``spare``), and before the model is loaded, which nothing here needs.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MOST = 4
"""Processes at most: the one that records what they find keeps about so many busy."""

_GRACE = 1.0
"""Seconds that they may take to end when they are told to."""


class Crew:
    """As many processes as there are processors for them, each at the other end of a socket. Close it.

    Begin it in a thread that lives as long: the kernel kills the processes when that thread ends.
    """

    def __init__(self, size: int | None = None) -> None:
        pairs = [socket.socketpair() for _ in range(size or min(MOST, len(os.sched_getaffinity(0))))]
        self.sockets = [ours for ours, _ in pairs]
        theirs = [theirs.fileno() for _, theirs in pairs]
        command = [sys.executable, "-P", "-m", "scanner.deputy", str(os.getpid()), *map(str, theirs)]
        # A session of its own: Ctrl-C is for this process, which has the others drop what they do.
        self._process = subprocess.Popen(  # noqa: S603 (its own interpreter and module)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=theirs, start_new_session=True
        )
        for _, end in pairs:
            end.close()

    @property
    def pid(self) -> int:
        """Of the first process, with which the others end."""
        return self._process.pid

    def close(self) -> None:
        """End the processes, and wait until the first has ended. Blocks."""
        for one in self.sockets:
            one.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        self._process.kill()
        self._process.wait()


_spares: list[Crew] = []


@contextmanager
def spare() -> Iterator[None]:
    """Begin the processes already, for whoever needs them within. Where nobody does, they end."""
    one = Crew()
    _spares.append(one)
    try:
        yield
    finally:
        if one in _spares:
            _spares.remove(one)
            one.close()


def obtain() -> Crew:
    """The processes that were begun already, or new ones."""
    return _spares.pop() if _spares else Crew()
