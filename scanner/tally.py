"""What became of probes: the counts that every way of probing reports. Pure."""

import errno
from collections import Counter
from dataclasses import astuple, dataclass, field

Pair = tuple[str, int]
"""An address and a port."""

PENDING, OPEN, REFUSED, SILENT, LOST, FORBIDDEN = range(6)
"""What became of a probe: nothing yet, or one of the ends that an account knows."""

BEFORE = 0
"""Stands for the errno of what was lost in a run before this one."""

_REFUSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE})
_SILENT = frozenset({errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EHOSTDOWN})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the first ``probes`` probes of a scan went, all of which have ended: what it may go on from."""

    probes: int = 0
    answered: int = 0
    refused: int = 0
    silent: int = 0
    lost: int = 0
    forbidden: int = 0

    def __add__(self, other: "Settled") -> "Settled":
        return Settled(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def settled_of(states: bytes) -> Settled:
    """The counts of some probes by their states."""
    return Settled(len(states), *(states.count(state) for state in (OPEN, REFUSED, SILENT, LOST, FORBIDDEN)))


def fate(code: int) -> int:
    """What became of a probe that ended with an errno."""
    if code in _REFUSED:
        return REFUSED
    if code in _SILENT:
        return SILENT
    if code in _FORBIDDEN:
        return FORBIDDEN
    return LOST if code else OPEN


@dataclass(slots=True)
class Tally:
    """What became of some probes. ``lost`` counts by errno, ``answered`` holds the pairs themselves.

    Refused: the host said no. Silent: nothing came within the time, or the neighbourhood says that
    nobody is there. Lost: the probe could not be sent or its fate is unknown. Forbidden: this
    machine's own rules do not let it out. ``settled`` is about the scan so far, not about this tally.
    ``stations`` are the hardware addresses of those that answered on the link, by their addresses.
    ``recalled`` is how many of the probes went in a run before this one.
    """

    answered: list[Pair] = field(default_factory=list)
    refused: int = 0
    silent: int = 0
    forbidden: int = 0
    lost: Counter[int] = field(default_factory=Counter)
    settled: Settled = Settled()
    recalled: int = 0
    stations: dict[str, str] = field(default_factory=dict)

    @property
    def probes(self) -> int:
        """How many probes are counted here."""
        return len(self.answered) + self.refused + self.silent + self.forbidden + self.lost.total()

    def count(self, code: int) -> int:
        """Count one probe that ended with an errno other than 0. What became of it."""
        end = fate(code)
        if end == REFUSED:
            self.refused += 1
        elif end == SILENT:
            self.silent += 1
        elif end == FORBIDDEN:
            self.forbidden += 1
        else:
            self.lost[code] += 1
        return end

    def recall(self, before: Settled) -> None:
        """Count probes that had ended in a run before this one, but for the open ports, which are told one by one."""
        self.refused += before.refused
        self.silent += before.silent
        self.forbidden += before.forbidden
        self.recalled += before.answered + before.refused + before.silent + before.lost
        if before.lost:
            self.lost[BEFORE] += before.lost
