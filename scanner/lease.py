"""The right to do something alone, among every process that shares the database."""

import logging
import os
import secrets
import socket
import time
from pathlib import Path

from inventory.store import Store, StoreError

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""A holder that dies without a word on another machine blocks the others no longer than this."""


class Lease:
    """A name that one holder at a time has. Its calls block: use them from a thread."""

    def __init__(self, store: Store, name: str, seconds: float = LEASE_SECONDS) -> None:
        self._store = store
        self._name = name
        self._seconds = seconds
        self._holder = f"{_this_machine()}:{os.getpid()}:{_began(os.getpid())}:{secrets.token_hex(4)}"
        self._held = False
        self._renew_at = 0.0
        self._lost_at = 0.0

    def take(self) -> bool:
        """Take or renew the name. False while another holder has it. Raises StoreError."""
        now = time.monotonic()
        self._held = self._store.leases.acquire(self._name, self._holder, self._seconds) or self._inherit()
        self._renew_at = now + self._seconds / (3 if self._held else 10)
        self._lost_at = now + self._seconds
        return self._held

    def _inherit(self) -> bool:
        """Take the name from a process of this machine that is no more, without waiting for its time to run out."""
        holder = self._store.leases.holder(self._name)
        if holder is None or not has_died(holder):
            return False
        self._store.leases.release(self._name, holder)
        return self._store.leases.acquire(self._name, self._holder, self._seconds)

    def keep(self) -> bool:
        """Take or renew the name where that is due. Whether it is held, as far as can be told.

        A store that fails for a while takes nobody's lease; only when its time is over is it lost.
        """
        now = time.monotonic()
        if now < self._renew_at:
            return self._held
        try:
            return self.take()
        except StoreError as error:
            log.warning("the lease %s could not be renewed: %s", self._name, error)
            return self._held and now < self._lost_at

    def give_back(self) -> None:
        """Let others have the name. A store that fails lets them wait until the lease runs out."""
        try:
            self._store.leases.release(self._name, self._holder)
        except StoreError as error:
            log.warning("the lease %s could not be given back: %s", self._name, error)


def has_died(holder: str) -> bool:
    """Whether a holder was a process of this machine that has ended. False where that cannot be told."""
    machine, _, rest = holder.rpartition(":")[0].partition(":")
    pid, _, began = rest.partition(":")
    if machine != _this_machine() or not pid.isdigit():
        return False
    return _began(int(pid)) != began


def _this_machine() -> str:
    """A name of this start of this machine, and of the space in which its process ids mean something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        # Where nothing tells whether another process lives, nobody is taken for dead.
        return f"{socket.gethostname()}/{secrets.token_hex(8)}"
    return f"{socket.gethostname()}/{boot}/{space.strip('pid:[]')}"


def _began(pid: int) -> str:
    """When a process began, in ticks since the machine did; empty where there is none. Ids are used again."""
    try:
        # The name of the program stands in brackets, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # A zombie has ended; only nobody has asked yet how.
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
