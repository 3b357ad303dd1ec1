"""Finding and awaiting processes, ours or not: what tests of starting and stopping need."""

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path


def naming(text: str) -> list[int]:
    """The processes, but this one, whose command line or environment holds a text, such as a test's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in said and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def still_running(pids: Iterable[int], seconds: float) -> list[int]:
    """Which of them run after so many seconds. Returns as soon as none does."""
    deadline = time.monotonic() + seconds
    running: dict[int, int] = {}
    for pid in pids:
        try:
            running[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            continue
    descriptors = list(running)
    try:
        # A process that ended is readable, even while nobody has reaped it.
        while running:
            ended, _, _ = select.select(list(running), [], [], max(0.0, deadline - time.monotonic()))
            for descriptor in ended:
                del running[descriptor]
            if not ended:
                break
        return list(running.values())
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
