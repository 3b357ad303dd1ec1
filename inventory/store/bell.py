"""Bells: how a process hears at once that another one wrote to the database, without asking again and again.

A bell is a hint. Whoever listens still asks the database what is new, and still asks now and then without a bell:
a write on another machine's file, or by a program that rings none, is found then.
"""

import contextlib
import ctypes
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import URL

CHANNEL = "gnomon"
_ATTRIBUTES_CHANGED = 0x4
_SUFFIX = "-bell"


class Bell(Protocol):
    """Something to wait on. ``fileno`` becomes readable when something was written."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def heard(self) -> None:
        """Take in what rang, so that the descriptor waits again. OSError where the bell is broken."""

    def close(self) -> None:
        """Stop listening."""


class FileBell:
    """The bell of a SQLite file: writers touch a file beside it, and the kernel tells.

    Source: inotify(7), event IN_ATTRIB.
    """

    def __init__(self, database: Path) -> None:
        """Listen. OSError where this system has no inotify, or the file cannot be made."""
        path = bell_file(database)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        library = ctypes.CDLL(None, use_errno=True)
        if not hasattr(library, "inotify_init1"):
            raise OSError("this system has no inotify")
        self._descriptor = _checked(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            _checked(library.inotify_add_watch(self._descriptor, os.fsencode(path), _ATTRIBUTES_CHANGED))
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._descriptor

    def heard(self) -> None:
        """Take in what rang."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._descriptor, 4096):
                pass

    def close(self) -> None:
        """Stop listening."""
        os.close(self._descriptor)


class PostgresBell:
    """The bell of a PostgreSQL database: LISTEN, on a connection of its own."""

    def __init__(self, url: URL) -> None:
        """Listen. OSError where the database cannot be reached."""
        # Imported here: most databases are files, and every command would pay for it.
        import psycopg

        self._failure = psycopg.Error
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            self._connection = psycopg.connect(plain, autocommit=True, connect_timeout=10)
            self._connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error as error:
            raise OSError(str(error)) from error

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._connection.fileno()

    def heard(self) -> None:
        """Take in what rang. OSError where the connection is lost."""
        try:
            for _ in self._connection.notifies(timeout=0):
                pass
        except self._failure as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Stop listening."""
        self._connection.close()


def bell_file(database: Path) -> Path:
    """The file that is touched after each write to a SQLite file."""
    return database.with_name(database.name + _SUFFIX)


def ring(database: Path) -> None:
    """Tell who listens that something was written. Where nobody ever listened, there is no file, and no cost."""
    with contextlib.suppress(OSError):
        os.utime(bell_file(database))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
