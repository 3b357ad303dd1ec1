"""The demonstration's servers as processes: started together, awaited, and stopped whatever happens.

The work is done by the warden, a process of its own (``tui.demo.warden``); this is the end of the line
that the demonstration holds. It belongs to no event loop, so that the servers can go on under another.
"""

import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tui.demo import warden
from tui.demo.client import CallError, Connection

_TAIL_BYTES = 4000
_TAIL_LINES = 6
_BETWEEN_TRIES = 0.05


class DemoError(Exception):
    """The demonstration cannot go on. Its text is a sentence for a person, and perhaps a log's tail."""


@dataclass(frozen=True)
class Program:
    """A server to start: what to run, where it listens, and what says that it is ready."""

    name: str
    argv: tuple[str, ...]
    address: str
    port: int
    ready_path: str = "/"
    ready_status: int = 200
    environment: Mapping[str, str] = field(default_factory=dict)


class Servers:
    """The running servers. Make it with a folder for logs; leave it to stop them all.

    ``temporary`` is a folder that is deleted at the end, even when this process is killed.
    """

    def __init__(self, folder: Path, *, temporary: Path | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._pids: dict[str, int] = {}
        self._ended: dict[str, str] = {}
        self._warden = subprocess.Popen(  # noqa: S603 (its own interpreter and module)
            [sys.executable, "-I", "-S", warden.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demonstration, which then stops the servers in order
        )
        self._listener = threading.Thread(target=self._listen, name="warden", daemon=True)
        self._listener.start()
        if temporary is not None:
            self._order(delete=str(temporary))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the servers that run, by name, and of the warden."""
        with self._lock:
            return {**self._pids, "warden": self._warden.pid}

    def start(self, program: Program) -> None:
        """Have the warden start it; ``ready`` tells what became of it."""
        self._order(
            start=program.name,
            argv=program.argv,
            env={**os.environ, **program.environment},
            cwd=str(self._folder),
            log=str(self._log(program.name)),
        )

    async def ready(self, programs: Sequence[Program], seconds: float) -> None:
        """Wait until each answers. Raises DemoError, with its log's tail, for the first that does not."""
        deadline = time.monotonic() + seconds
        try:
            async with asyncio.TaskGroup() as group:
                for program in programs:
                    group.create_task(self._await_one(program, deadline))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def keep(self) -> None:
        """Do not delete the temporary folder after all."""
        self._order(keep=True)

    def close(self) -> None:
        """Stop every server and wait until they and the warden are gone: a few seconds at most."""
        assert self._warden.stdin is not None
        assert self._warden.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._warden.stdin.close()
        try:
            self._warden.wait(timeout=3 * warden.GRACE_SECONDS + 2)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()
        self._listener.join()
        self._warden.stdout.close()

    async def _await_one(self, program: Program, deadline: float) -> None:
        while True:
            with self._lock:
                end = self._ended.get(program.name)
            if end is not None:
                raise self._failure(program, end)
            try:
                async with Connection(program.address, program.port) as connection:
                    answer = await connection.request("GET", program.ready_path, seconds=2.0)
                    if answer.status == program.ready_status:
                        return
            except CallError:
                pass  # it does not listen yet, or is still starting
            if time.monotonic() > deadline:
                raise self._failure(program, "did not answer in time")
            await asyncio.sleep(_BETWEEN_TRIES)

    def _failure(self, program: Program, end: str) -> DemoError:
        text = f"the server {program.name} ({program.address}:{program.port}) {end}"
        with contextlib.suppress(OSError):
            tail = self._log(program.name).read_bytes()[-_TAIL_BYTES:].decode(errors="replace").splitlines()
            words = "\n".join(line for line in tail if line.strip()).splitlines()[-_TAIL_LINES:]
            text += "; its last words:\n" + "\n".join(words) if words else "; it said nothing"
        return DemoError(text)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _order(self, **order: Any) -> None:
        assert self._warden.stdin is not None
        try:
            self._warden.stdin.write(json.dumps(order).encode() + b"\n")
            self._warden.stdin.flush()
        except BrokenPipeError as error:
            raise DemoError("the process that looks after the demonstration's servers has ended") from error

    def _listen(self) -> None:
        assert self._warden.stdout is not None
        for line in self._warden.stdout:
            event = json.loads(line)
            with self._lock:
                if "started" in event:
                    self._pids[event["started"]] = event["pid"]
                elif "failed" in event:
                    self._ended[event["failed"]] = f"cannot be started: {event['error']}"
                else:
                    self._pids.pop(event["exited"], None)
                    self._ended[event["exited"]] = f"ended with status {event['status']} instead of serving"


def port_problem(address: str, port: int) -> str | None:
    """Why nothing can listen there now, as a sentence; None where it can."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"port {port} of {address} is in use by another program: stop it and try again"
            if error.errno == errno.EADDRNOTAVAIL:
                return f"{address} is not an address of this machine; the whole of 127.0.0.0/8 is needed"
            return f"nothing can listen on {address}:{port}: {error.strerror}"
    return None


def free_port(address: str, preferred: int) -> int:
    """The preferred port where it is free, or else one that is."""
    if preferred and port_problem(address, preferred) is None:
        return preferred
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as trial:
        trial.bind((address, 0))
        port: int = trial.getsockname()[1]
        return port
