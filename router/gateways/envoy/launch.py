"""Started in place of Envoy: sees to whose death it dies by, then becomes Envoy.

Run as ``python -I -S launch.py MODE PARENT PIDFILE ENVOY ARGUMENT…``.

``attached``: the kernel ends it when its parent dies. Set between fork and exec, that would run Python in the child of
a process with many threads, which may hang; the request survives the exec.

``detached``: it lives on. Envoy, where it can be hot-restarted, asks the kernel by itself to be ended with its parent;
so its parent ends before it begins, and the process that takes orphans in is its parent then.

Sources: prctl(2), PR_SET_PDEATHSIG; Envoy, ``HotRestartImpl``.
"""

import ctypes
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def main(mode: str, parent: int, pid_file: str, program: str, arguments: list[str]) -> None:
    """Become the program, in this process or in one that it leaves behind; its pid is in the file by then."""
    if mode == "detached":
        launcher = os.getpid()
        child = os.fork()
        if child:
            _write(pid_file, child)
            os._exit(0)
        while os.getppid() == launcher:
            time.sleep(0.001)
    else:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("the parent died before Envoy was started")
        _write(pid_file, os.getpid())
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is the point


def _write(path: str, pid: int) -> None:
    with open(path, "w", encoding="ascii") as out:  # noqa: PTH123 - nothing is imported that is not needed
        out.write(f"{pid}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
