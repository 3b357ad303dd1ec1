"""The right to do something alone, among every process that shares the database."""

import logging
import os
import secrets
import socket
import time

from inventory.store import Store, StoreError

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""A holder that dies without a word blocks the others no longer than this."""


class Lease:
    """A name that one holder at a time has. Its calls block: use them from a thread."""

    def __init__(self, store: Store, name: str, seconds: float = LEASE_SECONDS) -> None:
        self._store = store
        self._name = name
        self._seconds = seconds
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._held = False
        self._renew_at = 0.0
        self._lost_at = 0.0

    def take(self) -> bool:
        """Take or renew the name. False while another holder has it. Raises StoreError."""
        now = time.monotonic()
        self._held = self._store.leases.acquire(self._name, self._holder, self._seconds)
        self._renew_at = now + self._seconds / (3 if self._held else 10)
        self._lost_at = now + self._seconds
        return self._held

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
