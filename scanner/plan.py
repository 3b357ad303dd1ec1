"""What a scan of subnets will probe, worked out before anything is sent. Pure.

A plan is a set of disjoint blocks (addresses x ports) and a shuffled order over all of their pairs.
It holds no list of pairs: a /8 by every port is planned as quickly as one address. The pair at a
position depends only on the plan and its key, so a scan goes on from one integer, machines can
share a scan by taking positions apart, and a packet sender may ask for any range of positions.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Self

from scanner.order import Order
from scanner.spans import Spans
from scanner.targets import Addresses, Network

if TYPE_CHECKING:
    from inventory.model import Account

FREE = Spans.of(
    ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128")
)
"""What may be scanned without a word: private (RFC 1918, RFC 4193) and loopback.

Python's ``is_private`` is wider and would let documentation, benchmarking and link-local networks
through, the last of which holds the clouds' metadata servers.
"""

_NEVER = Spans.of(ip_network(text) for text in ("0.0.0.0/8", "224.0.0.0/3", "::/128", "ff00::/8"))
"""What no listener can have: this network, multicast, reserved and broadcast (RFC 6890)."""


class NotAuthorised(PermissionError):  # noqa: N818 - a refusal, not a fault
    """A target outside what may be scanned without an explicit authorisation. Its text is one sentence."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of a scope, when several machines share it: ``number`` counts from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """The shard that ``2/8`` names. ValueError with one sentence for a text that names none."""
    number, slash, of = text.partition("/")
    if not (slash and _is_count(number) and _is_count(of) and 1 <= int(number) <= int(of)):
        raise ValueError(f"{text!r} is no shard: write the part and how many there are, such as 2/8")
    return Shard(int(number), int(of))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of pairs: every address by every port."""

    addresses: Spans
    ports: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.addresses) * len(self.ports)


@dataclass(frozen=True, slots=True)
class Coverage:
    """A rectangle in the terms of a Scan: whatever lies in it, and not in ``exclude``, is in the plan."""

    targets: tuple[str, ...]
    exclude: tuple[str, ...]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which (address, port) pairs are probed, in which order, and what became of the others.

    ``excluded`` and ``forbidden`` count pairs; the exclusions win over everything else.
    """

    blocks: tuple[Block, ...]
    coverage: Coverage
    excluded: int
    forbidden: int
    key: bytes
    order: Order = field(init=False, repr=False)
    _ends: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lay the blocks end to end, and the order over them."""
        ends = tuple(accumulate(len(block) for block in self.blocks))
        object.__setattr__(self, "_ends", ends)
        object.__setattr__(self, "order", Order(ends[-1] if ends else 0, self.key))

    def __len__(self) -> int:
        """How many pairs are to be probed."""
        return self.order.size

    @property
    def account(self) -> "Account":
        """The account of a scan that has sent nothing yet."""
        # Whoever only sends what is planned does without the model.
        from inventory.model import Account

        return Account(
            planned=self.order.size + self.excluded + self.forbidden,
            excluded=self.excluded,
            forbidden=self.forbidden,
        )

    @property
    def digest(self) -> str:
        """A name of this very plan and order: positions of one plan mean nothing in another."""
        parts = chain((self.key.hex(),), (f"{block.addresses.spans}{block.ports}" for block in self.blocks))
        return hashlib.blake2b("|".join(parts).encode(), digest_size=16).hexdigest()

    @property
    def addresses(self) -> Spans:
        """Every address that is probed on any port."""
        together = Spans()
        for block in self.blocks:
            together = together | block.addresses
        return together

    def within(self, addresses: Spans) -> Self:
        """The part of the plan that is about some addresses: a plan with an order of its own."""
        parts = (Block(block.addresses & addresses, block.ports) for block in self.blocks)
        return replace(self, blocks=tuple(part for part in parts if part.addresses))

    def pair(self, position: int) -> tuple[str, int]:
        """The address and port at a position of the order. IndexError beyond the end."""
        return self._at(self.order[position])

    def _at(self, index: int) -> tuple[str, int]:
        where = bisect_right(self._ends, index)
        block = self.blocks[where]
        address, port = divmod(index - (self._ends[where] - len(block)), len(block.ports))
        return block.addresses.address(address), block.ports[port]

    def pairs(self, start: int = 0) -> Iterator[tuple[str, int]]:
        """The pairs from a position on, in the plan's order."""
        indices = self.order.walk(start)
        if len(self.blocks) == 1:
            # The usual plan, without the search for the block.
            address, ports = self.blocks[0].addresses.address, self.blocks[0].ports
            width = len(ports)
            for index in indices:
                yield address(index // width), ports[index % width]
        else:
            yield from map(self._at, indices)


def make_plan(
    targets: Iterable[Addresses],
    ports: Sequence[int],
    exclude: Iterable[Network] = (),
    *,
    allow_public: bool = False,
    key: bytes = b"",
    shard: Shard | None = None,
) -> Plan:
    """Plan a scan of resolved targets. ``ports`` are those of targets that name none.

    Pairs that several targets name are planned once. Raises NotAuthorised where something that is
    neither private nor loopback remains after the exclusions and ``allow_public`` is not set. Of a
    ``shard`` the plan is that part of the addresses: the accounts of all parts add up to that of the whole.
    """
    targets, exclude = tuple(targets), tuple(exclude)
    excluded = Spans.of(exclude)
    if not allow_public:
        authorise(targets, excluded)
    wanted = _blocks(targets, tuple(sorted(set(ports))))
    if shard is not None:
        parts = (Block(block.addresses.part(shard.number, shard.of), block.ports) for block in wanted)
        wanted = [part for part in parts if part.addresses]
    allowed = [Block(block.addresses - excluded, block.ports) for block in wanted]
    blocks = tuple(block for one in allowed if (block := Block(one.addresses - _NEVER, one.ports)).addresses)
    total, after_exclusion, final = (sum(len(block) for block in some) for some in (wanted, allowed, blocks))
    return Plan(
        blocks=blocks,
        coverage=_coverage(wanted, exclude),
        excluded=total - after_exclusion,
        forbidden=after_exclusion - final,
        key=key,
    )


def authorise(targets: Iterable[Addresses], excluded: Spans) -> None:
    """Raises NotAuthorised where a target is neither private nor loopback outside of what is excluded."""
    for target in targets:
        if outside := Spans.of([target.network]) - excluded - FREE:
            whole, part = _shown(target.network), _shown(next(outside.networks()))
            what = "it is" if whole == part else f"it holds {part}, which is"
            raise NotAuthorised(
                f"{whole} is not scanned: {what} neither private nor loopback, "
                "and needs a scope that allows public addresses"
            )


def _shown(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _blocks(targets: Iterable[Addresses], ports: tuple[int, ...]) -> list[Block]:
    """Disjoint blocks: first what is asked on the scope's ports, then what targets name beyond it."""
    by_port: dict[int | None, list[Network]] = {}
    for target in targets:
        by_port.setdefault(target.port, []).append(target.network)
    whole = Spans.of(by_port.pop(None, []))
    single: dict[Spans, list[int]] = {}
    for port, networks in sorted((port, networks) for port, networks in by_port.items() if port is not None):
        rest = Spans.of(networks)
        if port in ports:
            rest = rest - whole
        if rest:
            single.setdefault(rest, []).append(port)
    blocks = [Block(whole, ports)] if whole and ports else []
    return blocks + [Block(addresses, tuple(numbers)) for addresses, numbers in single.items()]


def _coverage(blocks: Sequence[Block], exclude: Sequence[Network]) -> Coverage:
    """The largest rectangle in which every pair is planned.

    A Scan speaks of one set of targets and one of ports. Where targets name different ports, only a
    rectangle may be claimed: claiming more would make endpoints that nobody asked look gone.
    """
    best = max((_rectangle(block.addresses, blocks) for block in blocks), key=len, default=Block(Spans(), ()))
    targets = tuple(str(network) for network in best.addresses.networks())
    never = (best.addresses & _NEVER).networks()
    return Coverage(targets, tuple(str(network) for network in chain(exclude, never)), best.ports)


def _rectangle(addresses: Spans, blocks: Sequence[Block]) -> Block:
    ports = {port for block in blocks if addresses <= block.addresses for port in block.ports}
    return Block(addresses, tuple(sorted(ports)))
