"""Who is on the link: an ARP request to each address, again to the silent ones, and who answered (RFC 826)."""

import math
import threading
import time

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Numbers
from scanner.io.wire import BATCH, Receiver, Sender, arp_replies
from scanner.loss import ACCEPTED
from scanner.pacing import Pacer

ATTEMPTS = 5
"""Silence is asked twice, and once more after each repetition that found somebody: then something gets lost."""

REPEAT_AFTER, PATIENCE = 0.25, 0.5
"""Seconds from the first request to an address to the second, and that answers to a repetition are waited for.

On a link those are ages. Late answers count as well.
"""

LEAST_PATIENCE = 0.05
"""Seconds in the place of either where the link is known to be quicker."""

_MARGIN = 4.0
_LOOK_EVERY = 0.1
_ENOUGH = math.ceil(1 / ACCEPTED)
"""Answers that tell how quick the link is: of so many more, one is slower than all that were seen."""

_LENGTH = 42


class Neighbours:
    """Hardware addresses by IPv4 address. ``addresses`` ascend; ``hardware`` has a row of six bytes for each."""

    def __init__(self, addresses: Numbers, hardware: NDArray[np.uint8]) -> None:
        order = np.argsort(addresses)
        self.addresses, self.hardware = addresses[order], hardware[order]

    def find(self, addresses: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Which of the addresses are known, and the rows of those that are."""
        if not len(self.addresses):
            return np.zeros(len(addresses), dtype=np.bool_), np.zeros(0, dtype=np.intp)
        rows = np.minimum(np.searchsorted(self.addresses, addresses), len(self.addresses) - 1)
        known = self.addresses[rows] == addresses
        return known, rows[known]


def sweep(
    interface: str, hardware: str, source: str, addresses: Numbers, pacer: Pacer, stop: threading.Event
) -> Neighbours:
    """Ask for the hardware address of each of ``addresses``, which ascend. Raises OSError.

    One that two stations claim is whose answer came first.
    """
    sender, receiver = Sender(interface, _LENGTH), Receiver(interface, arp_replies())
    asking = _Asking(sender, receiver, addresses, pacer, stop)
    try:
        sender.frames[:, :_LENGTH] = np.frombuffer(_template(hardware, source), dtype=np.uint8)
        asking.ask()
        for _ in range(1, ATTEMPTS):
            asked = asking.ask(again=True)
            asking.wait()
            if asking.silent().size == asked or stop.is_set():
                break
    finally:
        sender.close()
        receiver.close()
    return Neighbours(addresses[asking.known], asking.found[asking.known])


def patience(most: float, answers: int, slowest: float) -> float:
    """Seconds, ``most`` at most, that answers are worth waiting for. Pure.

    Of ``answers`` the ``slowest`` took so many seconds. Where there were many, hardly any station is slower.
    """
    return most if answers < _ENOUGH else min(most, max(LEAST_PATIENCE, _MARGIN * slowest))


class _Asking:
    """Requests for rows of ``addresses``, and what is ``known`` of each row: the hardware address ``found``."""

    def __init__(
        self, sender: Sender, receiver: Receiver, addresses: Numbers, pacer: Pacer, stop: threading.Event
    ) -> None:
        self._sender, self._receiver, self._pacer, self._stop = sender, receiver, pacer, stop
        self._addresses = addresses
        self.found = np.zeros((len(addresses), 6), dtype=np.uint8)
        self.known = np.zeros(len(addresses), dtype=np.bool_)
        self._asked_at = np.zeros(len(addresses))
        self._answers, self._slowest = 0, 0.0

    def silent(self) -> NDArray[np.intp]:
        """The rows of whom nothing is known."""
        return np.flatnonzero(~self.known)

    def ask(self, *, again: bool = False) -> int:
        """Ask whoever is silent, the second time not before ``REPEAT_AFTER``. How many were asked."""
        rows, done, sent = self.silent(), 0, 0
        while done < len(rows) and not self._stop.is_set():
            part, now = rows[done : done + BATCH], time.monotonic()
            early = self._asked_at[part[-1]] + self._patient(REPEAT_AFTER) - now if again else 0.0
            if early > 0:
                self._take(min(early, _LOOK_EVERY))
                continue
            permitted = self._pacer.permits(now, len(part))
            done += permitted
            part = part[:permitted]
            # Some have answered since the rows were counted.
            part = part[~self.known[part]]
            if len(part):
                self._send(part, again=again)
            if permitted:
                self._pacer.went(len(part), time.monotonic(), unsent=permitted - len(part))
                sent += len(part)
            self._take(self._pacer.delay(time.monotonic()))
        return sent

    def wait(self) -> None:
        """Wait for answers to what was asked last."""
        began = time.monotonic()
        while (left := began + self._patient(PATIENCE) - time.monotonic()) > 0:
            if self.known.all() or self._stop.is_set():
                break
            self._take(min(left, _LOOK_EVERY))

    def _patient(self, most: float) -> float:
        return patience(most, self._answers, self._slowest)

    def _send(self, rows: NDArray[np.intp], *, again: bool) -> None:
        octets = self._addresses[rows].astype(">u4").view(np.uint8).reshape(-1, 4)
        self._sender.frames[: len(rows), 38:42] = octets
        if not again:
            self._asked_at[rows] = time.monotonic()
        self._sender.send(len(rows))

    def _take(self, patience: float) -> None:
        frames, lengths = self._receiver.receive(patience)
        frames = frames[lengths >= _LENGTH]
        if not len(frames):
            return
        senders = np.ascontiguousarray(frames[:, 28:32]).view(">u4").reshape(-1).astype(np.uint32)
        rows = np.minimum(np.searchsorted(self._addresses, senders), len(self._addresses) - 1)
        asked = (self._addresses[rows] == senders) & ~self.known[rows]
        rows = rows[asked]
        # Of several answers in one batch the first is written last, and stays.
        self.found[rows[::-1]] = frames[asked, 22:28][::-1]
        self.known[rows] = True
        if len(rows):
            # Since the first request: where that got lost, the link counts as slower than it is.
            self._slowest = max(self._slowest, time.monotonic() - float(self._asked_at[rows].min()))
            self._answers += len(rows)


def _template(hardware: str, source: str) -> bytes:
    from scapy.layers.l2 import ARP, Ether

    request = ARP(op="who-has", hwsrc=hardware, psrc=source, pdst="0.0.0.0", hwdst="00:00:00:00:00:00")  # noqa: S104
    return bytes(Ether(src=hardware, dst="ff:ff:ff:ff:ff:ff") / request)
