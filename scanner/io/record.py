"""What became of each probe, in a file that is mapped into memory: it outlives the process that wrote it.

A kill takes no page of a mapped file with it. So a scan that goes on knows what had gone until the last moment, and
what was answered, though the database was told a second ago: the checkpoint there says up to where everything has
ended, and the record what became of the probes after that. A machine that restarts may have written some pages and
not others: then the record counts for nothing, and the checkpoint stands alone.
"""

import hashlib
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scanner.tally import OPEN, PENDING, Settled, settled_of

SIZE = 1 << 21
"""Probes that a record holds at most: those that wait, and as many that the database was not told of yet."""

IN_FLIGHT = SIZE // 2
"""Probes that may have begun and not ended."""

MOST_AT_ONCE = 1 << 14
"""Positions that may be taken at once: so many of the oldest ones may be written over when a process is killed."""

_VERSION = b"gnomon1\0"
_HEADER = struct.Struct("=8s32s")
_TAKEN, _TIMES, _STATES = 40, 48, mmap.PAGESIZE
_BYTES_EACH = 6
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_LONGEST = 3600.0
_QUICKEST, _ENOUGH = 0.02, 100
_CLOCK = 1 << 32


class Record:
    """A ring of probes by their position in the plan. Whoever uses it also writes its ``states`` and ``attempts``.

    ``states`` say what became of each (``scanner.tally``), ``attempts`` how often it was asked, ``moments`` when last,
    in milliseconds of the steady clock. Everything before ``base`` has ended; ``settle`` moves it. What is at
    ``taken`` or after it has not begun. Marks are written after what they are about: a kill in between repeats it.
    """

    def __init__(self, memory: mmap.mmap, place: "Place", *, begins: bool = False) -> None:
        self.place = place
        base = place.base
        self.size = (len(memory) - _STATES) // _BYTES_EACH
        self.mask = self.size - 1
        self.base = self.begun_at = base
        self._memory = memory
        self._settled = Settled()
        view = memoryview(memory)
        self._taken = view[_TAKEN:_TIMES].cast("Q")
        self._times = view[_TIMES : _TIMES + 16].cast("d")
        self.states = view[_STATES : _STATES + self.size]
        self.attempts = view[_STATES + self.size : _STATES + 2 * self.size]
        self.moments = view[_STATES + 2 * self.size :].cast("I")
        self._answers, self._slowest, self._varies = 0, 0.0, 0.0
        if begins:
            self.taken = base
            self.heard(time.monotonic())
            self.expect(_LONGEST)

    @classmethod
    def in_memory(cls, planned: int = SIZE, base: int = 0) -> Self:
        """A record that ends with the process."""
        return cls(mmap.mmap(-1, _length(planned)), Place(None, "", planned, base), begins=True)

    @classmethod
    def create(cls, path: Path, plan: str, planned: int, base: int) -> Self:
        """A new record in the place of whatever is there, of a plan of that name and size. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".draft")
        length = _length(planned)
        file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # A page for which the disk has no room would end the process when it is written.
            os.posix_fallocate(file, 0, length)
            memory = mmap.mmap(file, length)
        finally:
            os.close(file)
        memory[: _HEADER.size] = _HEADER.pack(_VERSION, _identity(plan))
        # Whoever has the former one mapped keeps it.
        draft.replace(path)
        return cls(memory, Place(path, plan, planned, base), begins=True)

    @classmethod
    def take_up(cls, path: Path, plan: str, planned: int, base: int) -> Self | None:
        """The record of a plan that was begun, from a position on. None where there is none that reaches back to it."""
        length = _length(planned)
        try:
            with path.open("r+b") as file:
                if os.fstat(file.fileno()).st_size != length:
                    return None
                memory = mmap.mmap(file.fileno(), length)
        except OSError:
            return None
        record = cls(memory, Place(path, plan, planned, base))
        whole = memory[: _HEADER.size] == _HEADER.pack(_VERSION, _identity(plan))
        written_over = min(planned, record.taken + MOST_AT_ONCE) - record.size
        return record if whole and written_over <= base <= record.taken <= planned else None

    @property
    def taken(self) -> int:
        """The position after the last one that has begun."""
        return self._taken[0]

    @taken.setter
    def taken(self, position: int) -> None:
        self._taken[0] = position

    def take(self) -> int:
        """The slot of the next position, which begins with this."""
        position = self._taken[0]
        slot = position & self.mask
        self.states[slot] = PENDING
        self.attempts[slot] = 0
        self._taken[0] = position + 1
        return slot

    @property
    def room(self) -> int:
        """How many more probes may begin."""
        return min(self.size, IN_FLIGHT) - (self.taken - self.base)

    def settle(self) -> Settled:
        """What became of the probes since the record was taken up, up to the first one that has not ended."""
        while self.base < self.taken:
            begin = self.base & self.mask
            end = min(self.size, begin + self.taken - self.base)
            found = self._memory.find(bytes([PENDING]), _STATES + begin, _STATES + end)
            ended = end if found < 0 else found - _STATES
            self._settled += settled_of(self._memory[_STATES + begin : _STATES + ended])
            self.base += ended - begin
            if found >= 0:
                break
        return self._settled

    def follow(self, settled: Settled) -> None:
        """Take over how far another process has settled it."""
        self._settled, self.base = settled, self.begun_at + settled.probes

    def fates(self, start: int) -> Settled:
        """What became of the probes from a position on: those that have not ended are among ``probes`` alone."""
        return sum((settled_of(bytes(part)) for _, part in self._parts(start)), Settled())

    def live(self, start: int) -> Iterator[int]:
        """The positions, from one on, that are open or have not ended."""
        for position, part in self._parts(start):
            yield from (position + number for number, state in enumerate(part) if state in {OPEN, PENDING})

    def _parts(self, start: int) -> Iterator[tuple[int, memoryview]]:
        while start < self.taken:
            begin = start & self.mask
            end = min(self.size, begin + self.taken - start)
            yield start, self.states[begin:end]
            start += end - begin

    def heard(self, now: float) -> None:
        """Note that every answer that had come by now was taken in."""
        self._times[0] = now

    def answers(self, number: int, slowest: float) -> None:
        """Note how long the slowest of some answers that came together took, in seconds."""
        if not number:
            return
        if not self._answers:
            self._slowest, self._varies = slowest, slowest / 2
        # Smoothed as TCP does for its retransmissions (RFC 6298, 2): one straggler is forgotten again.
        self._varies += (abs(self._slowest - slowest) - self._varies) / 4
        self._slowest += (slowest - self._slowest) / 8
        self._answers += number

    def expect(self, patience: float) -> None:
        """Note how many seconds an answer may take: at most as many, and less where many answers came sooner."""
        learnt = max(_QUICKEST, self._slowest + 4 * self._varies)
        self._times[1] = min(patience, learnt) if self._answers >= _ENOUGH else patience

    def spent(self) -> "Spent":
        """How long the probes had waited when the process ended: of a record that was just taken up."""
        return Spent(clock(self._times[0]), max(_QUICKEST, self._times[1]))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record is, for a process that has it not open: ``path`` None is memory, which each has for itself."""

    path: Path | None
    plan: str
    planned: int
    base: int

    def open(self) -> Record:
        """The record, taken up as whoever told of the place did. Raises OSError where it is there no more."""
        if self.path is None:
            return Record.in_memory(self.planned, self.base)
        record = Record.take_up(self.path, self.plan, self.planned, self.base)
        if record is None:
            raise FileNotFoundError(f"the record of the scan is not in {self.path} any more")
        return record


class Spent:
    """How long probes had waited when the scan was interrupted. Seconds.

    Of an answer that took longer than ``patience`` it is known that it did not come; of any other it is not known.
    """

    def __init__(self, heard: int, patience: float) -> None:
        self._heard = heard
        self.patience = patience

    def on(self, moment: int) -> float:
        """How long a probe of a moment had waited."""
        waited = (self._heard - moment) % _CLOCK
        return 0.0 if waited >= _CLOCK // 2 else waited / 1000


def clock(now: float) -> int:
    """A moment of the steady clock as records have it."""
    return int(now * 1000) % _CLOCK


def record_path(folder: Path, scope: str, shard: str | None) -> Path:
    """Where the record of a scan of a scope, or of a shard of it such as ``2/8``, is kept in a state folder."""
    part = f".{shard.replace('/', '-of-')}" if shard else ""
    return folder / "records" / f"{scope}{part}.probes"


def forget(folder: Path, scope: str, shard: str | None) -> None:
    """Remove the record of a scan that needs it no more."""
    with suppress(OSError):
        record_path(folder, scope, shard).unlink(missing_ok=True)


def _length(planned: int) -> int:
    size = min(SIZE, 1 << max(8, (planned - 1).bit_length()))
    return _STATES + _BYTES_EACH * size


def _identity(plan: str) -> bytes:
    """The plan, and this run of the machine."""
    try:
        boot = _BOOT.read_text()
    except OSError:
        boot = ""
    return hashlib.blake2b(f"{plan}|{boot}".encode(), digest_size=32).digest()
