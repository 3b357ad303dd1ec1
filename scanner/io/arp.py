"""Who is on the link: an ARP request to each address, again to the silent ones, and who answered (RFC 826)."""

import threading
import time

import numpy as np
from numpy.typing import NDArray

from scanner.batches import Numbers
from scanner.io.wire import BATCH, Receiver, Sender, arp_replies
from scanner.pacing import Pacer

PATIENCE = (0.25, 0.5, 0.5, 0.5, 0.5)
"""Seconds that answers to each attempt are waited for, which on a link is ages. Late ones count as well.

Silence is asked twice, and once more after each repetition that found somebody: then something gets lost.
"""

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
    found = np.zeros((len(addresses), 6), dtype=np.uint8)
    known = np.zeros(len(addresses), dtype=np.bool_)
    try:
        sender.frames[:, :_LENGTH] = np.frombuffer(_template(hardware, source), dtype=np.uint8)
        for attempt, patience in enumerate(PATIENCE):
            missing = addresses[~known]
            done = 0
            while done < len(missing) and not stop.is_set():
                permitted = pacer.permits(time.monotonic(), min(BATCH, len(missing) - done))
                part = missing[done : done + permitted]
                sender.frames[: len(part), 38:42] = part.astype(">u4").view(np.uint8).reshape(-1, 4)
                if permitted:
                    sender.send(permitted)
                    pacer.went(permitted, time.monotonic())
                done += len(part)
                _take(receiver, pacer.delay(time.monotonic()), addresses, known, found)
            until = time.monotonic() + patience
            while (left := until - time.monotonic()) > 0 and not known.all() and not stop.is_set():
                _take(receiver, min(left, 0.1), addresses, known, found)
            if attempt and len(missing) == len(addresses) - int(known.sum()):
                break
    finally:
        sender.close()
        receiver.close()
    return Neighbours(addresses[known], found[known])


def _take(
    receiver: Receiver, patience: float, addresses: Numbers, known: NDArray[np.bool_], found: NDArray[np.uint8]
) -> None:
    frames, lengths = receiver.receive(patience)
    frames = frames[lengths >= _LENGTH]
    if not len(frames):
        return
    senders = np.ascontiguousarray(frames[:, 28:32]).view(">u4").reshape(-1).astype(np.uint32)
    rows = np.minimum(np.searchsorted(addresses, senders), len(addresses) - 1)
    asked = (addresses[rows] == senders) & ~known[rows]
    # Of several answers in one batch the first is written last, and stays.
    found[rows[asked][::-1]] = frames[asked, 22:28][::-1]
    known[rows[asked]] = True


def _template(hardware: str, source: str) -> bytes:
    from scapy.layers.l2 import ARP, Ether

    request = ARP(op="who-has", hwsrc=hardware, psrc=source, pdst="0.0.0.0", hwdst="00:00:00:00:00:00")  # noqa: S104
    return bytes(Ether(src=hardware, dst="ff:ff:ff:ff:ff:ff") / request)
