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
from router.gateways.envoy.lineage import Running, running
from router.gateways.envoy.pids import STOP_SECONDS, end, gone_from, lives
from router.gateways.envoy.ports import CAN_TELL, listeners, require_free

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_STEADY = 30.0
"""Seconds. Pauses between starts double from the first to the longest; so long a life begins anew."""

_LOG_BYTES = 10_000_000
START_SECONDS = 15.0
READY_SECONDS = 180.0
"""How long one that replaces another may take to have all routes. Ten thousand take 20 s on a busy machine."""
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
        self.configuration: Path | None = None
        """The file with what the Envoy that runs was started with, or the next will be."""
        self._base = self._epoch = 0
        self._due: dict[str, Any] | None = None
        self.restarts = 0
        self.before_again: Callable[[], dict[str, Any] | None] | None = None
        """Asked before one that ended is started again: the configuration to start with, None for the same."""

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        if self._child is not None and self._child.returncode is None:
            return self._child.pid
        return self._adopted

    @property
    def outdated(self) -> bool:
        """Whether the one that runs has another configuration than it should, until ``renew``."""
        return self._due is not None

    async def start(self, bootstrap: dict[str, Any], *, later: bool = False) -> None:
        """Start it, or take over the one that was left running, and keep it running.

        One that runs with another configuration is replaced at once, or ``later``, by ``renew``. Returns once it
        answers on its administration socket; GatewayError where the port is another program's, or where Envoy ends
        at once, with its last words.
        """
        left = await running(self._files)
        if left and left[0].base is not None and await self._answers(left[0].pid):
            await self._adopt(left, bootstrap, later=later)
        else:
            for one in left:
                await asyncio.to_thread(end, one.pid)
            require_free(self._address, self._port)
            self.configuration = self._write(bootstrap)
            await self._spawn()
            await self._answering()
        self._keeper = asyncio.create_task(self._keep())

    async def _adopt(self, left: list[Running], bootstrap: dict[str, Any], *, later: bool) -> None:
        """Take over the newest of those that run; the others hand their callers over to it, and end by themselves."""
        newest, *older = left
        assert newest.base is not None
        self._adopted, self._draining = newest.pid, [one.pid for one in older]
        self._base, self._epoch, self.configuration = newest.base, newest.epoch, newest.configuration
        self._remember()
        log.info("took over the running Envoy, pid %d", newest.pid)
        same = newest.program in {None, self._binary.resolve()}
        if same and newest.configuration == self._files.configuration(_text(bootstrap)):
            return
        if CAN_TELL and newest.pid not in await asyncio.to_thread(listeners, self._port):
            require_free(self._address, self._port)
        if later:
            self._due = bootstrap
        else:
            await self._take_over(bootstrap)

    async def renew(self) -> None:
        """Replace one that is ``outdated``, once it serves. Where that fails, it goes on with what it has."""
        due = self._due
        if due is None:
            return
        try:
            # It may itself still be taking in what its predecessor serves, which would be ended.
            await self._serving()
            if self._due is due:
                await self.replace(due)
        except (GatewayError, OSError) as error:
            log.error("the running Envoy keeps its old settings, since the new ones cannot be had: %s", error)  # noqa: TRY400
        finally:
            self._due = None

    async def replace(self, bootstrap: dict[str, Any]) -> None:
        """Hot restart: start another with this configuration, which takes the port over; return once it serves.

        One that was replaced before has its time first: Envoy would end it at once for a third. GatewayError where
        the new one cannot start; the one that runs goes on then, with the configuration it has.
        """
        for pid in await self._still_draining():
            await gone_from(pid)
        self._draining.clear()
        await self._take_over(bootstrap)
        await self._serving()

    async def _still_draining(self) -> list[int]:
        """Those that were replaced and run: others may have got the numbers of those that ended."""
        return [one.pid for one in await running(self._files) if one.pid in self._draining]

    async def _serving(self) -> None:
        """Wait until it has all that it is to begin with."""
        deadline = time.monotonic() + READY_SECONDS
        while not await asyncio.to_thread(admin.ready, self._files.admin):
            if time.monotonic() > deadline:
                raise GatewayError(f"Envoy is not ready after {READY_SECONDS:g} s; see {self._files.log}")
            await asyncio.sleep(0.02)

    async def _take_over(self, bootstrap: dict[str, Any]) -> None:
        before = (self._child, self._adopted, self._epoch, self.configuration)
        old_child, old_pid = self._child, self.pid
        self.configuration, self._epoch = self._write(bootstrap), self._epoch + 1
        try:
            await self._spawn()
            await self._answering()
        except BaseException:
            if self.pid not in {None, old_pid}:
                await self._end_new()
            self._child, self._adopted, self._epoch, self.configuration = before
            self._remember()
            raise
        if old_pid is not None:
            self._draining.append(old_pid)
        if old_child is not None:
            self._reaping.add(task := asyncio.create_task(_reap(old_child)))
            task.add_done_callback(self._reaping.discard)
        log.info("Envoy, pid %s, is to replace the one of pid %s without a pause", self.pid, old_pid)

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
        for pid in await self._still_draining():
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

    async def _spawn(self) -> None:
        """Start a first Envoy, or one that is to take over from that of the epoch before."""
        files = self._files
        with contextlib.suppress(OSError):
            if files.log.stat().st_size > _LOG_BYTES:
                files.log.replace(files.log.with_suffix(".log.1"))
        if self._epoch == 0:
            files.admin.unlink(missing_ok=True)
            files.base.unlink(missing_ok=True)
            lineage = ["--use-dynamic-base-id", "--base-id-path", str(files.base)]
        else:
            lineage = ["--base-id", str(self._base), "--restart-epoch", str(self._epoch)]
        arguments = [
            "--config-path", str(self.configuration), "--log-path", str(files.log), "--log-level", "warning",
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

    async def _answering(self) -> None:
        """Wait until the Envoy of this epoch answers, which takes the administration socket from the one before."""
        epoch = self._epoch
        deadline = time.monotonic() + START_SECONDS
        while await asyncio.to_thread(admin.epoch, self._files.admin) != epoch:
            # Not whether it looks like Envoy: before its exec, and in the middle of it, it does not.
            if self.pid is None or not lives(self.pid):
                await self._cannot_start(f"Envoy ended at once: {self.last_words()}; see {self._files.log}")
            if time.monotonic() > deadline:
                await self._cannot_start(f"Envoy did not answer in {START_SECONDS:g} s; see {self._files.log}")
            await asyncio.sleep(0.02)
        if epoch == 0:
            self._base = int(self._files.base.read_text(encoding="ascii"))
        self._remember()
        for path in self._files.folder.glob("*"):
            if self._files.made(path) and path != self.configuration:
                path.unlink(missing_ok=True)

    async def _answers(self, pid: int) -> bool:
        """Whether one that was left answers: while its successor starts, it may be neither for a moment."""
        deadline = time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(admin.alive, self._files.admin):
            if not lives(pid) or time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def _cannot_start(self, sentence: str) -> None:
        await self._end_new()
        if self._epoch == 0:
            require_free(self._address, self._port)
        raise GatewayError(sentence)

    async def _end_new(self) -> None:
        await self._end_child()
        if self._adopted is not None:
            await asyncio.to_thread(end, self._adopted)
            self._adopted = None

    def _write(self, bootstrap: dict[str, Any]) -> Path:
        """Make the file with what an Envoy is to start with."""
        text = _text(bootstrap)
        path = self._files.configuration(text)
        path.write_text(text, encoding="utf-8")
        return path

    def _remember(self) -> None:
        """Write down who runs, for people. One that is being started writes it by itself."""
        if self.pid is not None:
            self._files.pid.write_text(f"{self.pid}\n", encoding="ascii")

    def _forget(self) -> None:
        # Envoy leaves its shared memory behind, which has the base id in its name, in tens.
        Path(f"/dev/shm/envoy_shared_memory_{self._base * 10}").unlink(missing_ok=True)  # noqa: S108 - a fixed place
        # And the sockets by which Envoys of one lineage speak to each other.
        between = self._files.hot.parent.glob(f"{self._files.hot.name}_*")
        for path in (self._files.pid, self._files.admin, self._files.base, *between):
            path.unlink(missing_ok=True)

    async def _keep(self) -> None:
        """Start Envoy again whenever it ended, with longer and longer pauses while it does not last."""
        pause = _FIRST_PAUSE
        while True:
            began, ours = time.monotonic(), self.pid
            await self._ended()
            if self.pid is not None:
                # Replaced, not dead.
                continue
            if ours is not None and await self._replaced_by_another(ours):
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
                other, self._due = other or self._due, None
                if other is not None:
                    self.configuration = self._write(other)
                self._epoch = 0
                await self._spawn()
                await self._answering()
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

    async def _replaced_by_another(self, ours: int) -> bool:
        """Whether an Envoy runs that is neither ours nor one that ours replaced."""
        left = await running(self._files)
        return any(one.pid not in {ours, *self._draining} for one in left) and await self._answers(left[0].pid)

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


def _text(bootstrap: dict[str, Any]) -> str:
    return json.dumps(bootstrap, indent=1, sort_keys=True)


async def _reap(child: asyncio.subprocess.Process) -> None:
    await child.wait()
