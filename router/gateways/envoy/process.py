"""The supervised Envoy: started, waited for, started again when it dies, ended when it is no longer wanted."""

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from router.errors import GatewayError
from router.gateways.envoy import admin, launch
from router.gateways.envoy.files import Files
from router.gateways.envoy.pids import STOP_SECONDS, end, gone_from, lives, runs
from router.gateways.envoy.ports import CAN_TELL, listeners, require_free

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_STEADY = 30.0
"""Seconds. Pauses between starts double from the first to the longest; so long a life begins anew."""

_LOG_BYTES = 10_000_000
START_SECONDS = 15.0
FLUSH_MILLISECONDS = 100
"""How often captured answers reach their file."""


class EnvoyProcess:
    """One local Envoy.

    ``detached``: it goes on serving when this process is killed, and the next one with the same bootstrap takes it
    over. Otherwise the kernel ends it with this process. One that runs is replaced by a hot restart: the new one gets
    its listening socket and, once it is ready, every new connection.
    Source: Envoy's "Hot restart".
    """

    def __init__(
        self, binary: Path, files: Files, *, address: str, port: int, drain: int = 60, detached: bool = False
    ) -> None:
        """Nothing is started yet. ``drain``: seconds that one which was replaced has for the requests it has."""
        self._binary = binary
        self._files = files
        self._address = address
        self._port = port
        self._drain = drain
        self._detached = detached
        self._child: asyncio.subprocess.Process | None = None
        self._adopted: int | None = None
        self._draining: list[int] = []
        self._reaping: set[asyncio.Task[None]] = set()
        self.taken_over = asyncio.Event()
        """Set when another gnomon replaced this Envoy: it is no longer ours to keep running."""
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0
        self.before_again: Callable[[], dict[str, Any] | None] | None = None
        """Asked before one that ended is started again: the configuration to start with, None for the same."""

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
        text = _text(bootstrap)
        left = await asyncio.to_thread(self._left_running)
        if left is not None:
            self._adopted = left
        if left is not None and self._written() == text:
            log.info("took over the running Envoy, pid %d", left)
        elif left is not None and self._lineage() is not None:
            await self._take_over(bootstrap)
        else:
            if left is not None:
                await asyncio.to_thread(end, left)
                self._adopted = None
            require_free(self._address, self._port)
            self._files.bootstrap.write_text(text, encoding="utf-8")
            await self._spawn()
            await self._answering(0)
        self._keeper = asyncio.create_task(self._keep())

    async def replace(self, bootstrap: dict[str, Any]) -> None:
        """Hot restart: start another with this configuration, which takes the port over; return once it serves.

        One that was replaced before has its time first: Envoy would end it at once for a third. GatewayError where
        the new one cannot start; the one that runs goes on then, with the configuration it has.
        """
        for pid in self._draining:
            if runs(pid, self._files.bootstrap):
                await gone_from(pid)
        self._draining.clear()
        await self._take_over(bootstrap)
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(admin.ready, self._files.admin):
            if time.monotonic() > deadline:
                raise GatewayError(f"the new Envoy is not ready after {START_SECONDS:g} s; see {self._files.log}")
            await asyncio.sleep(0.02)

    async def _take_over(self, bootstrap: dict[str, Any]) -> None:
        lineage, before = self._lineage(), self._written()
        assert lineage is not None, "only an Envoy that runs can be replaced"
        base, epoch = lineage
        old_child, old_adopted, old_pid = self._child, self._adopted, self.pid
        self._files.bootstrap.write_text(_text(bootstrap), encoding="utf-8")
        try:
            await self._spawn(base, epoch + 1)
            await self._answering(epoch + 1)
        except BaseException:
            self._child, self._adopted = old_child, old_adopted
            self._files.bootstrap.write_text(before, encoding="utf-8")
            if old_pid is not None:
                self._remember(old_pid, base, epoch)
            raise
        if old_pid is not None:
            self._draining.append(old_pid)
        if old_child is not None:
            self._reaping.add(task := asyncio.create_task(_reap(old_child)))
            task.add_done_callback(self._reaping.discard)
        log.info("Envoy was replaced without a pause, pid %s after %s", self.pid, old_pid)

    async def stop(self) -> None:
        """End it: first asked, then, after some seconds, made to."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._adopted is not None:
            await asyncio.to_thread(end, self._adopted)
            self._adopted = None
        await self._end_child()
        for pid in self._draining:
            if runs(pid, self._files.bootstrap):
                await asyncio.to_thread(end, pid)
        if self._reaping:
            await asyncio.wait(self._reaping)
        if not self.taken_over.is_set():
            self._forget()

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

    async def _spawn(self, base: int | None = None, epoch: int = 0) -> None:
        """Start a first Envoy, or one that is to take over from that of the epoch before."""
        files = self._files
        with contextlib.suppress(OSError):
            if files.log.stat().st_size > _LOG_BYTES:
                files.log.replace(files.log.with_suffix(".log.1"))
        if base is None:
            files.admin.unlink(missing_ok=True)
            files.base.unlink(missing_ok=True)
            lineage = ["--use-dynamic-base-id", "--base-id-path", str(files.base)]
        else:
            lineage = ["--base-id", str(base), "--restart-epoch", str(epoch)]
        arguments = [
            "--config-path", str(files.bootstrap), "--log-path", str(files.log), "--log-level", "warning",
            "--file-flush-interval-msec", str(FLUSH_MILLISECONDS), *lineage,
            "--socket-path", str(files.hot), "--socket-mode", "0600",
            # Callers are asked to open other connections at once; what still runs at the end is cut.
            "--drain-strategy", "immediate", "--drain-time-s", str(self._drain),
            "--parent-shutdown-time-s", str(self._drain),
        ]  # fmt: skip
        mode = "detached" if self._detached else "attached"
        launcher = [sys.executable, "-I", "-S", str(launch.__file__), mode, str(os.getpid()), str(files.pid)]
        command = [*launcher, str(self._binary), *arguments]
        descriptor = os.open(files.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(descriptor)
        self._child, self._adopted = child, None
        if self._detached:
            # It is nobody's child then, and known by its number.
            await child.wait()
            self._child, self._adopted = None, int(files.pid.read_text(encoding="ascii"))

    async def _answering(self, epoch: int) -> None:
        """Wait until the Envoy of this epoch answers, which takes the administration socket from the one before."""
        deadline = time.monotonic() + START_SECONDS
        while await asyncio.to_thread(admin.epoch, self._files.admin) != epoch:
            # Not whether it looks like Envoy: before its exec, and in the middle of it, it does not.
            if self.pid is None or not lives(self.pid):
                await self._cannot_start(epoch, f"Envoy ended at once: {self.last_words()}; see {self._files.log}")
            if time.monotonic() > deadline:
                await self._cannot_start(epoch, f"Envoy did not answer in {START_SECONDS:g} s; see {self._files.log}")
            await asyncio.sleep(0.02)
        pid = self.pid
        assert pid is not None
        base = int(self._files.base.read_text(encoding="ascii")) if epoch == 0 else (self._lineage() or (0, 0))[0]
        self._remember(pid, base, epoch)

    async def _cannot_start(self, epoch: int, sentence: str) -> None:
        await self._end_child()
        if self._adopted is not None:
            await asyncio.to_thread(end, self._adopted)
            self._adopted = None
        if epoch == 0:
            require_free(self._address, self._port)
        raise GatewayError(sentence)

    def _remember(self, pid: int, base: int, epoch: int) -> None:
        """Write down who runs, for the gnomon that takes it over."""
        self._files.pid.write_text(f"{pid}\n", encoding="ascii")
        self._files.epoch.write_text(f"{base} {epoch}\n", encoding="ascii")

    def _forget(self) -> None:
        lineage = self._lineage()
        if lineage is not None:
            # Envoy leaves its shared memory behind, which has the base id in its name, in tens.
            Path(f"/dev/shm/envoy_shared_memory_{lineage[0] * 10}").unlink(missing_ok=True)  # noqa: S108 - a fixed place
        # And the sockets by which Envoys of one lineage speak to each other.
        between = self._files.hot.parent.glob(f"{self._files.hot.name}_*")
        for path in (self._files.pid, self._files.admin, self._files.epoch, self._files.base, *between):
            path.unlink(missing_ok=True)

    def _lineage(self) -> tuple[int, int] | None:
        """Base id and epoch of the Envoy that runs; None where that is not known."""
        with contextlib.suppress(OSError, ValueError):
            base, epoch = self._files.epoch.read_text(encoding="ascii").split()
            return int(base), int(epoch)
        return None

    async def _keep(self) -> None:
        """Start Envoy again whenever it ended, with longer and longer pauses while it does not last."""
        pause = _FIRST_PAUSE
        while True:
            began, running = time.monotonic(), self.pid
            await self._ended()
            if self.pid is not None:
                # Replaced, not dead.
                continue
            if running is not None and self._others(running):
                log.info("another gnomon took the gateway over")
                self.taken_over.set()
                return
            pause = _FIRST_PAUSE if time.monotonic() - began > _STEADY else pause
            log.error("Envoy ended: %s; starting it again in %g s", self.last_words(), pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.restarts += 1
            try:
                other = self.before_again() if self.before_again is not None else None
                if other is not None:
                    self._files.bootstrap.write_text(_text(other), encoding="utf-8")
                await self._spawn()
                await self._answering(0)
            except (OSError, GatewayError) as error:
                log.error("Envoy cannot be started: %s", error)  # noqa: TRY400 - the cause is all in the sentence

    async def _ended(self) -> None:
        """Wait until the process that runs now has ended, replaced or not."""
        child, adopted = self._child, self._adopted
        if adopted is None:
            if child is not None:
                await child.wait()
            return
        await gone_from(adopted)
        if self._adopted == adopted:
            self._adopted = None

    def _others(self, ours: int) -> bool:
        """Whether the Envoy that is written down is another one than ours, and runs."""
        left = self._left_running()
        return left is not None and left != ours

    async def _end_child(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()

    def _left_running(self) -> int | None:
        """The Envoy that a killed gnomon left with this state folder."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._files.pid.read_text(encoding="ascii"))
            if runs(pid, self._files.bootstrap) and admin.alive(self._files.admin):
                return pid
        return None

    def _written(self) -> str:
        with contextlib.suppress(OSError):
            return self._files.bootstrap.read_text(encoding="utf-8")
        return ""


def _text(bootstrap: dict[str, Any]) -> str:
    return json.dumps(bootstrap, indent=1, sort_keys=True)


async def _reap(child: asyncio.subprocess.Process) -> None:
    await child.wait()
