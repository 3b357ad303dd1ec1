"""A shuffled order over 0 … size-1 that needs no memory and goes on from one integer. Pure.

The order is a keyed bijection of k bits (multiply by an odd number, add, xor with the own upper
half: each step can be undone, so the whole is one to one), walked until it falls below ``size``
(cycle walking: Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002). It
spreads probes over hosts; it is no cipher.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Order:
    """The permutation of ``range(size)`` that ``key`` chooses: the same key, the same order, on every machine."""

    size: int
    key: bytes
    mask: int = field(init=False)
    shift: int = field(init=False)
    constants: tuple[tuple[int, int], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the constants of the rounds from the key."""
        if self.size < 0:
            raise ValueError("an order has no negative size")
        bits = max(2, (self.size - 1).bit_length())
        object.__setattr__(self, "mask", (1 << bits) - 1)
        object.__setattr__(self, "shift", (bits + 1) // 2)
        object.__setattr__(self, "constants", tuple(self._round(number) for number in range(_ROUNDS)))

    def _round(self, number: int) -> tuple[int, int]:
        length = (self.mask.bit_length() + 7) // 8 + 1
        stream = hashlib.shake_128(self.key + number.to_bytes(1, "big")).digest(2 * length)
        multiplier = int.from_bytes(stream[:length], "big") | 1
        return multiplier & self.mask, int.from_bytes(stream[length:], "big") & self.mask

    def __getitem__(self, position: int) -> int:
        """What stands at ``position``. Raises IndexError beyond the size."""
        if not 0 <= position < self.size:
            raise IndexError(f"position {position} is not in an order of {self.size}")
        value = self._permuted(position)
        while value >= self.size:
            value = self._permuted(value)
        return value

    def walk(self, start: int = 0) -> Iterator[int]:
        """What stands at each position from ``start`` on."""
        size, permuted = self.size, self._permuted
        for position in range(start, size):
            value = permuted(position)
            while value >= size:
                value = permuted(value)
            yield value

    def _permuted(self, value: int) -> int:
        mask, shift = self.mask, self.shift
        for multiplier, addend in self.constants:
            value = (value * multiplier + addend) & mask
            value ^= value >> shift
        return value
