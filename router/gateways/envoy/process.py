"""The supervised Envoy: started, waited for, started again when it dies, ended when it is no longer wanted."""

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

from router.errors import GatewayError
from router.gateways.envoy import admin, launch
from router.gateways.envoy.files import Files
from router.gateways.envoy.ports import CAN_TELL, listeners, require_free

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_STEADY = 30.0
"""Seconds. Pauses between starts double from the first to the longest; so long a life begins anew."""

_LOG_BYTES = 10_000_000
_STOP_SECONDS = 5.0
START_SECONDS = 15.0
FLUSH_MILLISECONDS = 100
"""How often captured answers reach their file."""


class EnvoyProcess:
    """One local Envoy.

    ``detached``: it goes on serving when this process is killed, and the next one with the same bootstrap takes it
    over. Otherwise the kernel ends it with this process.
    """

    def __init__(self, binary: Path, files: Files, *, address: str, port: int, detached: bool) -> None:
        """Nothing is started yet."""
        self._binary = binary
        self._files = files
        self._address = address
        self._port = port
        self._detached = detached
        self._child: asyncio.subprocess.Process | None = None
        self._adopted: int | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        if self._child is not None and self._child.returncode is None:
            return self._child.pid
        return self._adopted

    async def start(self, bootstrap: dict[str, Any]) -> None:
        """Start it, or take over the one that was left running, and keep it running.

        Returns once it answers on its administration socket; GatewayError where the port is another program's,
        or where Envoy ends at once, with its last words.
        """
        text = json.dumps(bootstrap, indent=1, sort_keys=True)
        left = await asyncio.to_thread(self._left_running)
        if left is not None and self._written() == text:
            self._adopted = left
            log.info("took over the running Envoy, pid %d", left)
        else:
            if left is not None:
                await asyncio.to_thread(_end, left)
            require_free(self._address, self._port)
            self._files.bootstrap.write_text(text, encoding="utf-8")
            await self._spawn()
            await self._answering()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it: first asked, then, after some seconds, made to."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._adopted is not None:
            await asyncio.to_thread(_end, self._adopted)
            self._adopted = None
        await self._end_child()
        for path in (self._files.pid, self._files.admin):
            path.unlink(missing_ok=True)

    async def owns_port(self) -> bool:
        """Whether this Envoy listens on the gateway's port. True where the system does not tell.

        Envoy can be ready without: a program that took the port between our look and Envoy's start keeps
        it, and Envoy only writes so to its log.
        """
        return not CAN_TELL or self.pid in await asyncio.to_thread(listeners, self._port)

    def last_words(self) -> str:
        """The end of what Envoy wrote to its log, in one line of printable characters."""
        with contextlib.suppress(OSError):
            lines = self._files.log.read_bytes()[-4000:].decode("utf-8", "replace").splitlines()
            telling = [line for line in lines if "[critical]" in line or "[error]" in line] or lines
            last = telling[-1].rpartition("] ")[2] if telling else ""
            return "".join(letter for letter in last if letter.isprintable())
        return ""

    async def _spawn(self) -> None:
        files = self._files
        with contextlib.suppress(OSError):
            if files.log.stat().st_size > _LOG_BYTES:
                files.log.replace(files.log.with_suffix(".log.1"))
        files.admin.unlink(missing_ok=True)
        arguments = [
            "--config-path", str(files.bootstrap), "--log-path", str(files.log), "--log-level", "warning",
            "--file-flush-interval-msec", str(FLUSH_MILLISECONDS), "--disable-hot-restart",
        ]  # fmt: skip
        command = [str(self._binary), *arguments]
        if not self._detached:
            command = [sys.executable, "-I", "-S", str(launch.__file__), str(os.getpid()), *command]
        descriptor = os.open(files.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(descriptor)
        files.pid.write_text(f"{self._child.pid}\n", encoding="ascii")

    async def _answering(self) -> None:
        child = self._child
        assert child is not None
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(admin.alive, self._files.admin):
            if child.returncode is not None:
                await self._cannot_start(f"Envoy ended at once: {self.last_words()}; see {self._files.log}")
            if time.monotonic() > deadline:
                await self._cannot_start(f"Envoy did not answer in {START_SECONDS:g} s; see {self._files.log}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 0.02)

    async def _cannot_start(self, sentence: str) -> None:
        await self._end_child()
        require_free(self._address, self._port)
        raise GatewayError(sentence)

    async def _keep(self) -> None:
        """Start Envoy again whenever it ended, with longer and longer pauses while it does not last."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            await self._ended()
            pause = _FIRST_PAUSE if time.monotonic() - began > _STEADY else pause
            log.error("Envoy ended: %s; starting it again in %g s", self.last_words(), pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.restarts += 1
            try:
                await self._spawn()
            except OSError as error:
                log.error("Envoy cannot be started: %s", error)  # noqa: TRY400 - the cause is all in the sentence

    async def _ended(self) -> None:
        if self._adopted is None:
            if self._child is not None:
                await self._child.wait()
            return
        await _gone_from(self._adopted)
        self._adopted = None

    async def _end_child(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()

    def _left_running(self) -> int | None:
        """The Envoy that a killed gnomon left with this state folder."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._files.pid.read_text(encoding="ascii"))
            if _runs(pid, self._files.bootstrap) and admin.alive(self._files.admin):
                return pid
        return None

    def _written(self) -> str:
        with contextlib.suppress(OSError):
            return self._files.bootstrap.read_text(encoding="utf-8")
        return ""


def _runs(pid: int, bootstrap: Path) -> bool:
    """Whether this process is there and is the Envoy of this bootstrap, and not another that got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(bootstrap).encode() in command.split(b"\0")


async def _gone_from(pid: int) -> None:
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


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not _gone(descriptor, _STOP_SECONDS):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                _gone(descriptor, _STOP_SECONDS)
        finally:
            os.close(descriptor)


def _gone(descriptor: int, seconds: float) -> bool:
    """Whether the process of a descriptor ends within so many seconds."""
    return bool(select.select([descriptor], [], [], seconds)[0])
