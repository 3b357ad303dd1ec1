"""The sockets of thousands of conversations on one epoll of their own, which the event loop watches as one file.

asyncio's own bookkeeping for a socket costs more than a question does; here it is one look-up in a table.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from scanner.io.deadlines import Deadlines

READ: Final = int(select.EPOLLIN)
WRITE: Final = int(select.EPOLLOUT)
_AT_ONCE: Final = 128
"""Sockets that are served before the event loop has its turn."""
_CHUNK: Final = 64 * 1024


class Reactor:
    """Calls who watches a file when it is ready. ``buffer`` is for whoever reads, until it returns.

    Who is called must close no file but its own: what else was ready has been asked for already.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watchers: dict[int, Callable[[int], None]] = {}
        self.buffer = bytearray(_CHUNK)
        self.deadlines = Deadlines()

    def fileno(self) -> int:
        """The file that is readable when any that is watched is ready."""
        return self._epoll.fileno()

    def watch(self, file: int, events: int, ready: Callable[[int], None]) -> None:
        """Call ``ready`` with the events whenever the file is ready for any of them, has failed or is hung up."""
        self._epoll.register(file, events)
        self._watchers[file] = ready

    def change(self, file: int, events: int, ready: Callable[[int], None]) -> None:
        """Watch for other events, or on another's behalf."""
        self._epoll.modify(file, events)
        self._watchers[file] = ready

    def forget(self, file: int) -> None:
        """Watch a file no more, which must be open still."""
        if self._watchers.pop(file, None) is not None:
            self._epoll.unregister(file)

    def turn(self) -> None:
        """Serve what is ready now."""
        for file, events in self._epoll.poll(0, _AT_ONCE):
            watcher = self._watchers.get(file)
            if watcher is not None:
                watcher(events)


_OF_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, Reactor] = WeakKeyDictionary()


def reactor() -> Reactor:
    """The reactor of the running event loop, always the same one."""
    loop = asyncio.get_running_loop()
    found = _OF_LOOP.get(loop)
    if found is None:
        found = _OF_LOOP[loop] = Reactor()
        loop.add_reader(found.fileno(), found.turn)
    return found
