"""Processes that are known by their number alone: is it still the one, has it ended, end it."""

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path

STOP_SECONDS = 5.0


def lives(pid: int) -> bool:
    """Whether this process is there, whatever it runs: in the middle of an exec it runs nothing that can be told."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2][:1]
    except OSError:
        return False
    return state not in {"Z", "X"}


async def gone_from(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def end(pid: int) -> None:
    """End a process that may not be our child: first asked, then, after some seconds, made to."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not _gone(descriptor, STOP_SECONDS):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                _gone(descriptor, STOP_SECONDS)
        finally:
            os.close(descriptor)


def _gone(descriptor: int, seconds: float) -> bool:
    """Whether the process of a descriptor ends within so many seconds."""
    return bool(select.select([descriptor], [], [], seconds)[0])
