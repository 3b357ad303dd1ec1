"""Probes by frames in a process of its own, so that a second core sends them while this one asks and records.

The process is ``scanner.io.probing``. It takes half a second to begin, most of it numpy and scapy, and may be begun
before it is needed (``spare``). It lives no longer than the process that began it. Both speak in pickles over pipes
that nobody else has: what is here is trusted as far as this process is.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from scanner.caps import Caps
from scanner.io.record import Place, Record
from scanner.io.ways import Way, Ways
from scanner.loss import BackOff, LossMeter
from scanner.manners import Manners
from scanner.pacing import Pacer
from scanner.plan import Plan
from scanner.spans import Spans
from scanner.tally import Tally

_GRACE = 1.0
"""Seconds that the process may take to end when it is told to."""


@dataclass(frozen=True, slots=True)
class Look:
    """Find the ways to these addresses. Answered by ``Ways``."""

    addresses: Spans


@dataclass(frozen=True, slots=True)
class Job:
    """Probe a plan from the base of its record on. Answered by ``Told`` again and again, then ``Ended``."""

    plan: Plan
    ways: tuple[Way, ...]
    manners: Manners
    patience: float
    record: Place


@dataclass(frozen=True, slots=True)
class Hold:
    """Send nothing, or go on."""

    held: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """End soon."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of some probes, and what is known by then of what gets lost."""

    tally: Tally
    meter: LossMeter
    back_off: BackOff


@dataclass(frozen=True, slots=True)
class Ended:
    """The job ended: where its record and its manners stand. ``error`` is why it could not go on."""

    taken: int
    meter: LossMeter
    back_off: BackOff
    pacer: Pacer
    caps: Caps
    error: OSError | None = None


class Prober:
    """The other process. It does one job, or none. Close it.

    Begin it in a thread that lives as long: the kernel kills the process when that thread ends.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-m", "scanner.io.probing", str(os.getpid())]
        # A session of its own: Ctrl-C is for this process, which tells the other one.
        self._process = subprocess.Popen(  # noqa: S603 (its own interpreter and module)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._lock = threading.Lock()
        self._held = False

    def find_ways(self, addresses: Spans) -> Ways:
        """The ways of frames to IPv4 addresses. Blocks. Raises OSError where they cannot be found."""
        self._tell(Look(addresses))
        ways = self.next()
        assert isinstance(ways, Ways)
        return ways

    def begin(self, job: Job) -> None:
        """Have a job done, whose words come by ``next``."""
        self._tell(job)

    def hold(self, held: bool) -> None:
        """Have nothing sent until told otherwise."""
        if held is not self._held:
            self._held = held
            self._tell(Hold(held))

    def stop(self) -> None:
        """Have the job end early: its last words still come."""
        self._tell(Stop())

    def next(self) -> Ways | Told | Ended:
        """The next words. Blocks. Raises OSError where there are none or they tell of an error."""
        assert self._process.stdout is not None
        try:
            words: Any = pickle.load(self._process.stdout)  # noqa: S301 (from a process of our own)
        except (EOFError, pickle.UnpicklingError) as error:
            raise OSError("the process that sends the frames has ended: scan again with --resume") from error
        if isinstance(words, OSError):
            raise words
        assert isinstance(words, Ways | Told | Ended)
        return words

    def close(self) -> None:
        """End the process, and wait until it has. What it has not told is not told any more."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)
        # Its words are closed last: while it lives, somebody may wait for them, and closing would wait as well.
        self.kill()

    def kill(self) -> None:
        """The same at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _tell(self, words: Look | Job | Hold | Stop) -> None:
        assert self._process.stdin is not None
        # A process that ended says so, or its silence does, to whoever reads.
        with self._lock, suppress(BrokenPipeError):
            pickle.dump(words, self._process.stdin)
            self._process.stdin.flush()


class SynProbing:
    """A job in the other process, in the shape of the scans of ``scanner.io.discovery``: ``run`` blocks.

    The manners and the record are kept where those of the other process stand.
    """

    def __init__(
        self,
        prober: Prober,
        plan: Plan,
        ways: tuple[Way, ...],
        manners: Manners,
        deliver: Callable[[Tally], None],
        *,
        patience: float,
        record: Record,
    ) -> None:
        self._prober = prober
        self._job = Job(plan, ways, manners, patience, record.place)
        self._manners, self._record = manners, record
        self._deliver = deliver

    def run(self) -> None:
        """Have the probes sent. Raises OSError where an interface fails."""
        self._prober.begin(self._job)
        while isinstance(words := self._prober.next(), Told):
            self._manners.meter, self._manners.back_off = words.meter, words.back_off
            self._record.follow(words.tally.settled)
            self._deliver(words.tally)
        assert isinstance(words, Ended)
        held, self._manners.pacer, self._manners.caps = self._manners.pacer.held, words.pacer, words.caps
        self._manners.pacer.held = held
        self._manners.meter, self._manners.back_off = words.meter, words.back_off
        self._record.taken = words.taken
        if words.error is not None:
            raise words.error

    def stop(self) -> None:
        """End soon, from any thread."""
        self._prober.stop()


_spares: list[Prober] = []


@contextmanager
def spare() -> Iterator[None]:
    """Begin a process already, for whoever needs one within. Where nobody does, it ends."""
    one = Prober()
    _spares.append(one)
    try:
        yield
    finally:
        if one in _spares:
            _spares.remove(one)
            one.kill()


def obtain() -> Prober:
    """The process that was begun already, or a new one."""
    return _spares.pop() if _spares else Prober()
