"""Our signing keys on disk: a file of mode 0600 each, in a folder of mode 0700.

Each step leaves files that the next start can go on from. A key is used only once it is on disk whole, and a file is
removed only after its last token has expired: killed at any instant, or with a full disk, the key that signed before
goes on signing.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from router.identity.signing import SigningKey, fresh_key, next_turn

log = logging.getLogger(__name__)

_SUFFIX: Final = ".json"
_UNFINISHED: Final = ".new-"
_MOST_BYTES: Final = 8192


class Keyring:
    """The keys of one folder. Several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written before ``turn``."""
        self.folder = folder
        self._complained: set[str] = set()

    def turn(self, now: datetime) -> tuple[SigningKey, ...]:
        """Do what is due at a moment, and give all keys that are published then.

        A key that is due and cannot be written is said, and tried again at the next call. Raises OSError only where
        there is no key at all and none can be made.
        """
        try:
            with self._lock():
                return self._turn(now)
        except OSError as error:
            keys = self._read()
            if not keys:
                raise
            self._complain("folder", "signing keys cannot be renewed in %s: %s", self.folder, error.strerror)
            return keys

    def _turn(self, now: datetime) -> tuple[SigningKey, ...]:
        for left in self.folder.glob(f"{_UNFINISHED}*"):
            left.unlink(missing_ok=True)
        keys = self._read()
        due = next_turn(keys, now)
        if due.make is not None:
            made = fresh_key(now, due.make)
            self._write(made)
            log.info("a signing key was made: %s signs from %s", made.kid, made.signs_from.isoformat())
            keys = (*keys, made)
        for kid in due.forget:
            self._path(kid).unlink(missing_ok=True)
        self._complained.clear()
        return tuple(key for key in keys if key.kid not in due.forget)

    def _read(self) -> tuple[SigningKey, ...]:
        paths = sorted(self.folder.glob(f"*{_SUFFIX}"))
        found = [self._read_one(path) for path in paths if not path.name.startswith(".")]
        return tuple(key for key in found if key is not None)

    def _read_one(self, path: Path) -> SigningKey | None:
        """The key of a file; None, and said, for one that is damaged or that others could have read."""
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    self._complain(path.name, "the signing key %s is not used: others may read it", path)
                    return None
                key = SigningKey.model_validate_json(file.read(_MOST_BYTES))
        except (OSError, ValidationError) as error:
            self._complain(
                path.name, "the signing key %s cannot be read, and is not used: %s", path, type(error).__name__
            )
            return None
        return key if path.name == self._path(key.kid).name and key.format == 1 else None

    def _write(self, key: SigningKey) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=_UNFINISHED)  # of mode 0600 from the beginning
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(key.model_dump_json().encode())
                out.flush()
                os.fsync(out.fileno())
            Path(name).replace(self._path(key.kid))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, kid: str) -> Path:
        return self.folder / f"{kid}{_SUFFIX}"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One process at a time; the kernel lets go of it when a process dies."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _complain(self, about: str, words: str, *values: object) -> None:
        """Say it once, not at every look."""
        if about not in self._complained:
            self._complained.add(about)
            log.warning(words, *values)
