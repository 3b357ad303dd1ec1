"""Processes that ask, begun and ended. What they are told and tell is the business of ``scanner.deputies``."""

import os
import socket
import subprocess
import sys


class Crew:
    """So many processes, each at the other end of a socket. Close it. Raises OSError where none can be begun.

    Begin it in a thread that lives as long: the kernel kills the processes when that thread ends.
    """

    def __init__(self, size: int) -> None:
        pairs = [socket.socketpair() for _ in range(size)]
        self.sockets = [ours for ours, _ in pairs]
        theirs = [theirs.fileno() for _, theirs in pairs]
        command = [sys.executable, "-P", "-m", "scanner.deputy", str(os.getpid()), *map(str, theirs)]
        # A session of its own: Ctrl-C is for this process, which has the others drop what they do.
        try:
            self._process = subprocess.Popen(  # noqa: S603 (its own interpreter and module)
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=theirs, start_new_session=True
            )
        except OSError:
            for one in self.sockets:
                one.close()
            raise
        finally:
            for _, end in pairs:
                end.close()

    @property
    def pid(self) -> int:
        """Of the first process, with which the others end."""
        return self._process.pid

    def close(self) -> None:
        """End the processes at once: they have nothing to keep. The connections that they had are closed with them."""
        for one in self.sockets:
            one.close()
        self._process.kill()
        self._process.wait()
