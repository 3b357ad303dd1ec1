"""The Envoys of one state folder that run, as their command lines tell. Nothing that is written down can be as true.

Each that replaced another by a hot restart has the number of the next epoch, and the same base id.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from router.errors import GatewayError
from router.gateways.envoy import launch
from router.gateways.envoy.files import Files
from router.gateways.envoy.pids import lives

_LAUNCHED_SECONDS = 15.0


class Running(NamedTuple):
    """One Envoy: its process, how many it has replaced, what it was started with, and which program it is.

    ``base`` and ``program`` are None where that cannot be known.
    """

    pid: int
    epoch: int
    base: int | None
    configuration: Path
    program: Path | None


async def running(files: Files) -> list[Running]:
    """Those that run, the newest first. Blocks no longer than a launcher needs to become one; GatewayError then."""
    deadline = time.monotonic() + _LAUNCHED_SECONDS
    while True:
        found = await asyncio.to_thread(lambda: list(_found(files)))
        if not any(launching for launching, _ in found):
            return sorted((one for _, one in found), key=lambda one: -one.epoch)
        if time.monotonic() > deadline:
            raise GatewayError(f"an Envoy of {files.folder} is being started and does not come up; see {files.log}")
        await asyncio.sleep(0.01)


def _found(files: Files) -> Iterator[tuple[bool, Running]]:
    """Each process with a configuration of this folder, and whether it is still to become Envoy."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (process / "cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
            options = dict(pairwise(words))
            configuration = Path(options.get("--config-path", ""))
            if files.made(configuration) and lives(int(process.name)) and _own(process):
                epoch = int(options.get("--restart-epoch", "0"))
                base = int(options["--base-id"]) if "--base-id" in options else _first_base(files)
                one = Running(int(process.name), epoch, base, configuration, _program(process))
                yield str(launch.__file__) in words, one


def _own(process: Path) -> bool:
    """Whether it is a process of this user: anybody may start one with any words. Source: proc(5), Uid of status."""
    lines = (process / "status").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:")) == os.getuid()


def _program(process: Path) -> Path | None:
    """Where a process was started from: another than any path there is where that file was replaced since."""
    with contextlib.suppress(OSError):
        return (process / "exe").readlink()
    return None


def _first_base(files: Files) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(files.base.read_text(encoding="ascii"))
    return None
