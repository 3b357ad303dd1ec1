"""The warden: a small process that starts the demonstration's servers and lets none of them outlive it.

It runs as its own program, on the standard library alone. The demonstration holds the other end of its
standard input; when that closes, be it on purpose or because the demonstration was killed, the warden
stops every server, everything those servers started (it is their subreaper, so that nobody escapes by
a session of its own or a double fork), deletes the folder it was told to, and ends. Should the warden
itself be killed, the kernel kills the servers (``PR_SET_PDEATHSIG``; the signal is tied to the thread
that forked, and here there is only one).

Input, one JSON object a line: ``{"start": NAME, "argv": [...], "env": {...}, "cwd": PATH, "log": PATH}``,
``{"delete": FOLDER}`` (at the end), ``{"keep": true}`` (do not delete after all). Output:
``{"started": NAME, "pid": N}``, ``{"failed": NAME, "error": TEXT}``, ``{"exited": NAME, "status": N}``
where a negative status is the number of the signal.
"""

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GRACE_SECONDS = 2.0
"""How long servers may take to end after SIGTERM before they are killed."""

_DELETIONS = 20
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Warden:
    """The servers that were started and are not yet reaped, by process id."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._delete: Path | None = None
        self._prctl = _find_prctl()
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def obey(self, line: bytes) -> None:
        """Carry out one line of input."""
        order: dict[str, Any] = json.loads(line)
        if "start" in order:
            self._start(order)
        elif "delete" in order:
            self._delete = Path(order["delete"])
        elif "keep" in order:
            self._delete = None

    def _start(self, order: dict[str, Any]) -> None:
        own_pid, prctl = os.getpid(), self._prctl

        def die_with_the_warden() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != own_pid:  # it was killed before the line above
                os._exit(1)

        try:
            with Path(order["log"]).open("ab") as log:
                child = subprocess.Popen(  # noqa: S603 (the demonstration names its own programs)
                    order["argv"],
                    cwd=order["cwd"],
                    env=order["env"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_the_warden,  # noqa: PLW1509 (safe: the warden has one thread)
                )
        except (OSError, subprocess.SubprocessError) as error:
            _say(failed=order["start"], error=str(error))
            return
        self._names[child.pid] = order["start"]
        child.returncode = 0  # reap() collects it; Popen is not to wait for it as well
        _say(started=order["start"], pid=child.pid)

    def reap(self) -> bool:
        """Collect whoever ended and report the servers among them. True while any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            name = self._names.pop(pid, None)
            if name is not None:
                _say(exited=name, status=os.waitstatus_to_exitcode(status))

    def end(self, wait: Callable[[float], object]) -> None:
        """Stop everything: ask, then insist until no descendant is left. ``wait`` ends early on SIGCHLD."""
        for pid in self._names:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.reap() and self._names and (left := deadline - time.monotonic()) > 0:
            wait(left)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.reap() and time.monotonic() < deadline:
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait(0.05)
        # A process that is not ours, such as the gateway, may be writing its last there.
        for _ in range(_DELETIONS):
            if self._delete is None or not self._delete.exists():
                return
            shutil.rmtree(self._delete, ignore_errors=True)
            wait(0.05)


def descendants(ancestor: int) -> list[int]:
    """The process ids of all children of a process, their children and so on, from ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything; the parent is the second field after it.
            fields = entry.read_bytes().rpartition(b")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    front = [ancestor]
    while front:
        front = [child for pid in front for child in children.get(pid, ())]
        found.extend(front)
    return found


def _find_prctl() -> Callable[[int, int], object]:
    if not sys.platform.startswith("linux"):
        return lambda _option, _argument: None
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    return lambda option, argument: prctl(option, argument, 0, 0, 0)


def _say(**event: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    """Obey standard input until it closes or a signal says to stop; then end everything."""
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    stopping: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    warden = Warden()
    with selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ)

        def wait(seconds: float | None) -> bool:
            """Whether standard input has something. Signals end the wait as well."""
            ready = {key.fd for key, _ in selector.select(seconds)}
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(woken, 4096)
            return 0 in ready

        selector.register(0, selectors.EVENT_READ)
        pending = b""
        while not stopping:
            if wait(None):
                chunk = os.read(0, 65536)
                if not chunk:
                    break
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    warden.obey(line)
            warden.reap()
        selector.unregister(0)
        warden.end(wait)


if __name__ == "__main__":
    main()
