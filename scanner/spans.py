"""Sets of addresses as spans, so that a /8 costs as much memory as one address. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from itertools import accumulate
from typing import Self, TypeAlias

from scanner.targets import Network

Span: TypeAlias = tuple[int, int, int]
"""IP version, first address, last address, as numbers; both ends belong to it."""


@dataclass(frozen=True, slots=True)
class Spans:
    """A set of addresses: sorted spans that neither overlap nor touch."""

    spans: tuple[Span, ...] = ()
    _ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count once how many addresses come before the end of each span."""
        ends = tuple(accumulate(last - first + 1 for _, first, last in self.spans))
        object.__setattr__(self, "_ends", ends)

    @classmethod
    def of(cls, networks: Iterable[Network]) -> Self:
        """The addresses of some networks."""
        spans = [(n.version, int(n.network_address), int(n.broadcast_address)) for n in networks]
        return cls(tuple(_joined(sorted(spans))))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __bool__(self) -> bool:
        return bool(self.spans)

    def __or__(self, other: Self) -> Self:
        return type(self)(tuple(_joined(sorted(self.spans + other.spans))))

    def __sub__(self, other: Self) -> Self:
        return type(self)(tuple(_without(self.spans, other.spans)))

    def __and__(self, other: Self) -> Self:
        return self - (self - other)

    def __le__(self, other: Self) -> bool:
        return not self - other

    def address(self, index: int) -> str:
        """The address at an index of the sorted set, as text."""
        where = bisect_right(self._ends, index)
        version, _, last = self.spans[where]
        number = last - (self._ends[where] - 1 - index)
        if version == 4:
            return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        return str(IPv6Address(number))

    def part(self, number: int, of: int) -> Self:
        """The part ``number`` (from 1) of the set in ``of`` parts of the same size, give or take one address."""
        start, stop = (len(self) * step // of for step in (number - 1, number))
        found, before = [], 0
        for version, first, last in self.spans:
            begin = first + max(0, start - before)
            end = min(last, first + stop - before - 1)
            if begin <= end:
                found.append((version, begin, end))
            before += last - first + 1
        return type(self)(tuple(found))

    def networks(self) -> Iterator[Network]:
        """The fewest networks that hold exactly these addresses."""
        for version, first, last in self.spans:
            if version == 4:
                yield from summarize_address_range(IPv4Address(first), IPv4Address(last))
            else:
                yield from summarize_address_range(IPv6Address(first), IPv6Address(last))


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for span in spans:
        if current is None:
            current = span
        elif span[0] == current[0] and span[1] <= current[2] + 1:
            current = (current[0], current[1], max(current[2], span[2]))
        else:
            yield current
            current = span
    if current is not None:
        yield current


def _without(spans: Iterable[Span], holes: tuple[Span, ...]) -> Iterator[Span]:
    begins = [(version, first) for version, first, _ in holes]
    for version, first, last in spans:
        nearest = max(0, bisect_right(begins, (version, first)) - 1)
        for hole_version, hole_first, hole_last in holes[nearest:]:
            if (hole_version, hole_first) > (version, last):
                break
            if hole_version != version or hole_last < first:
                continue
            if hole_first > first:
                yield (version, first, hole_first - 1)
            first = hole_last + 1  # noqa: PLW2901 - the rest of the span is what is cut next
        if first <= last:
            yield (version, first, last)
