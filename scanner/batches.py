"""The pairs of a plan by the thousand, as arrays, for senders that fill frames in batches. Pure.

Position for position the same as ``Plan.pair``; IPv4 only, as a frame of IPv6 is another frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.order import Order
from scanner.plan import Plan
from scanner.spans import Spans

Positions = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
"""IPv4 addresses as numbers in the order of the machine."""
Ports = NDArray[np.uint16]

SIZE = 8192
"""Positions that are worked out at once: more would not be quicker, and fewer would."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs at consecutive positions, as arrays of one length."""

    addresses: Numbers
    ports: Ports


def ordered(order: Order, start: int, stop: int) -> Positions:
    """What stands at the positions ``start`` to ``stop - 1`` of an order of less than 2^64."""
    values = np.arange(start, stop, dtype=np.uint64)
    _permute(values, order)
    size = np.uint64(order.size)
    while (outside := np.flatnonzero(values >= size)).size:
        again = values[outside]
        _permute(again, order)
        values[outside] = again
    return values


def _permute(values: Positions, order: Order) -> None:
    # Arithmetic of 64 bits wraps around, which is the same modulo any smaller power of two.
    mask, shift = np.uint64(order.mask), np.uint64(order.shift)
    for multiplier, addend in order.constants:
        values *= np.uint64(multiplier)
        values += np.uint64(addend)
        values &= mask
        values ^= values >> shift


class Members:
    """A set of IPv4 addresses that arrays are looked up in."""

    def __init__(self, spans: Spans) -> None:
        ours = [(first, last) for version, first, last in spans.spans if version == 4]
        self.first = np.array([first for first, _ in ours], dtype=np.uint64)
        self._last = np.array([last for _, last in ours], dtype=np.uint64)
        self._before = np.concatenate(([0], np.cumsum(self._last - self.first + np.uint64(1)))).astype(np.uint64)

    def contain(self, addresses: Numbers) -> NDArray[np.bool_]:
        """Which of the addresses belong to the set."""
        if not len(self.first):
            return np.zeros(len(addresses), dtype=np.bool_)
        where = np.searchsorted(self.first, addresses.astype(np.uint64), side="right")
        inside: NDArray[np.bool_] = (where > 0) & (addresses <= self._last[np.maximum(where, 1) - 1])
        return inside

    def at(self, indices: Positions) -> Numbers:
        """The addresses at indices of the sorted set."""
        where = np.searchsorted(self._before, indices, side="right") - 1
        return (self.first[where] + (indices - self._before[where])).astype(np.uint32)


def batches(plan: Plan, start: int = 0) -> Iterator[Batch]:
    """The pairs of a plan of IPv4 addresses, from a position on.

    ValueError for a plan that holds other addresses, or 2^64 pairs or more.
    """
    if len(plan) >= 1 << 64 or any(version != 4 for version, _, _ in plan.addresses.spans):
        raise ValueError("batches are of IPv4 and of less than 2^64 pairs")
    return _batches(plan, start)


def _batches(plan: Plan, begin_at: int) -> Iterator[Batch]:
    blocks = [(Members(block.addresses), np.array(block.ports, dtype=np.uint16)) for block in plan.blocks]
    ends = np.cumsum([len(block) for block in plan.blocks], dtype=np.uint64)
    for start in range(begin_at, len(plan), SIZE):
        indices = ordered(plan.order, start, min(len(plan), start + SIZE))
        addresses = np.zeros(len(indices), dtype=np.uint32)
        ports = np.zeros(len(indices), dtype=np.uint16)
        where = np.searchsorted(ends, indices, side="right")
        for number in np.unique(where):
            here = np.flatnonzero(where == number)
            members, numbers = blocks[number]
            begin = ends[number - 1] if number else np.uint64(0)
            address, port = np.divmod(indices[here] - begin, np.uint64(len(numbers)))
            addresses[here] = members.at(address)
            ports[here] = numbers[port]
        yield Batch(addresses, ports)
