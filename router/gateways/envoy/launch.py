"""Started in place of Envoy: has the kernel end this process when its parent dies, then becomes Envoy.

Run as ``python -I -S launch.py PARENT ENVOY ARGUMENT…``. The kernel's request survives the exec; set between fork
and exec it would run Python in the child of a process with many threads, which may hang.
Source: prctl(2), PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, program: str, arguments: list[str]) -> None:
    """Become the program, bound to the life of the parent. Where there is no prctl, merely become it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent died before Envoy was started")
    os.execv(program, [program, *arguments])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
