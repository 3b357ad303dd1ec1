"""Address space: what is authorised, what was scanned, what was lost, and where hosts are that no scan covered. Pure.

The unit is a block: a /24 of IPv4, a /64 of IPv6. The question that counts is not how much of 10.0.0.0/8 is
empty, but which block is known to hold endpoints and is covered by no complete scan.
"""

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inventory.model import Scan, ScanStatus, Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Range = tuple[int, int, int]
"""IP version, first and last address as numbers."""

_SOURCE = re.compile(r"[a-z][a-z0-9-]*:(?!//|[0-9]{1,5}$).*")
_ABOVE = 2**128
"""More than any address is."""


@dataclass(frozen=True, slots=True)
class Block:
    """A /24 or /64 of a site, with how many endpoints are known in it.

    It is kept as the span of its addresses: a million endpoints lie in tens of thousands of blocks, and a network
    as an object costs more than all that is asked of it.
    """

    site: str
    span: Range
    endpoints: int

    @classmethod
    def of(cls, site: str, network: Network, endpoints: int) -> "Block":
        """The block that is that network."""
        return cls(site, _range(network), endpoints)

    @property
    def network(self) -> Network:
        """The network that its addresses are."""
        version, first, last = self.span
        bits = (32 if version == 4 else 128) - (last - first).bit_length()
        return ipaddress.IPv4Network((first, bits)) if version == 4 else ipaddress.IPv6Network((first, bits))


@dataclass(frozen=True, slots=True)
class Space:
    """The address space of one scope. Counts of addresses, of the scope's last finished scan where it has one.

    ``scanned`` are the addresses that the last complete scan covered; ``partly`` those of a later or only scan
    that did not end; ``never`` the rest of ``authorised``. ``lost`` are address-port pairs. ``as_of`` is when
    the complete scan ended.
    """

    scope: str
    site: str
    authorised: int
    scanned: int
    partly: int
    never: int
    ports: int
    lost: int
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class RedFlag:
    """A block that is known to hold endpoints, and that no complete scan covered, or not all of it."""

    site: str
    network: str
    endpoints: int
    why: str


class Ranges:
    """A set of addresses, as ranges that neither touch nor overlap."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._ranges = _merged(_range(one) for one in networks)

    def __len__(self) -> int:
        return sum(last - first + 1 for _, first, last in self._ranges)

    def __sub__(self, other: "Ranges") -> "Ranges":
        """The addresses of this set that the other has not."""
        left: list[Range] = []
        for span in self._ranges:
            version, first, last = span
            rest = first
            for _, start, end in other._near(span):
                if start > rest:
                    left.append((version, rest, start - 1))
                rest = max(rest, end + 1)
            if rest <= last:
                left.append((version, rest, last))
        found = Ranges()
        found._ranges = left
        return found

    def __or__(self, other: "Ranges") -> "Ranges":
        """The addresses of both sets."""
        found = Ranges()
        found._ranges = _merged([*self._ranges, *other._ranges])
        return found

    def __and__(self, other: "Ranges") -> "Ranges":
        """The addresses that both sets have."""
        return self - (self - other)

    def holds(self, span: Range) -> bool:
        """Whether every address of a span is in the set."""
        index = bisect_right(self._ranges, (span[0], span[1], _ABOVE)) - 1
        if index < 0:
            return False
        version, first, last = self._ranges[index]
        return version == span[0] and first <= span[1] and span[2] <= last

    def within(self, span: Range) -> "Ranges":
        """The addresses of the set that lie in a span."""
        found = Ranges()
        version, first, last = span
        found._ranges = [(version, max(first, start), min(last, end)) for _, start, end in self._near(span)]
        return found

    def _near(self, span: Range) -> list[Range]:
        """The ranges that a span touches."""
        version, first, last = span
        start = max(0, bisect_right(self._ranges, (version, first, _ABOVE)) - 1)
        return [
            one for one in self._ranges[start : bisect_right(self._ranges, (version, last, _ABOVE))]
            if one[0] == version and one[2] >= first
        ]  # fmt: skip


def _range(network: Network) -> Range:
    return network.version, int(network.network_address), int(network.broadcast_address)


def _merged(ranges: Iterable[Range]) -> list[Range]:
    found: list[Range] = []
    for version, first, last in sorted(ranges):
        if found and found[-1][0] == version and first <= found[-1][2] + 1:
            found[-1] = (version, found[-1][1], max(last, found[-1][2]))
        else:
            found.append((version, first, last))
    return found


def is_declared(target: str) -> bool:
    """Whether a target names what is read (``k8s:prod``, ``mlflow:http://…``) and no place that has ports."""
    return _SOURCE.fullmatch(target) is not None and _network(target) is None


def networks_of(targets: Iterable[str]) -> list[Network]:
    """The networks among targets: a CIDR, an address, or an address with a port or in a URL.

    Names and targets of other sources (``k8s:prod``) are no address space and are left out.
    """
    found: list[Network] = []
    for target in targets:
        text = target.partition("://")[2].partition("/")[0] if "://" in target else target
        if text.startswith("["):
            text = text[1:].partition("]")[0]
        elif text.count(":") == 1:
            text = text.partition(":")[0]
        if not is_declared(target) and (network := _network(text)) is not None:
            found.append(network)
    return found


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def ranges_of(targets: Iterable[str], exclude: Iterable[str] = ()) -> Ranges:
    """The addresses of targets, less exclusions."""
    return Ranges(networks_of(targets)) - Ranges(networks_of(exclude))


def spaces(scopes: Sequence[Scope], scans: Sequence[Scan]) -> tuple[Space, ...]:
    """The address space of every scope that has one, by name. ``scans`` in any order."""
    found = []
    for scope in sorted(scopes, key=lambda scope: scope.name):
        authorised = ranges_of(scope.targets, scope.exclude)
        if not len(authorised):
            continue
        its = sorted((s for s in scans if s.scope == scope.name and s.ended_at), key=lambda s: (s.started_at, s.id))
        complete = _latest_whole(its)
        scanned = authorised & _covered(complete)
        cut = [s for s in its if s.status is not ScanStatus.COMPLETE]
        partly = (authorised & ranges_of(t for s in cut for t in s.targets)) - scanned
        last = its[-1] if its else None
        found.append(
            Space(
                scope=scope.name,
                site=scope.site,
                authorised=len(authorised),
                scanned=len(scanned),
                partly=len(partly),
                never=len(authorised - scanned - partly),
                ports=len(last.ports) if last else 0,
                lost=sum(s.account.lost for s in complete) if complete else (last.account.lost if last else 0),
                as_of=min((s.ended_at for s in complete if s.ended_at), default=None),
            )
        )
    return tuple(found)


def red_flags(blocks: Iterable[Block], scopes: Sequence[Scope], scans: Sequence[Scan]) -> tuple[RedFlag, ...]:
    """The blocks that hold endpoints and are not covered by complete scans, those that hold most first.

    Of a block, what scopes and scans name is looked at: a /28 that was scanned whole is no flag for its /24,
    though an endpoint in the rest of it may be known by other means. A site that only clusters were scanned
    in has no address space to cover: its pods were listed, not looked for.
    """
    sources: dict[str, set[str]] = {}
    for scan in scans:
        sources.setdefault(scan.site, set()).add(scan.source)
    done: dict[str, Ranges] = {}
    authorised: dict[str, Ranges] = {}
    for scan in scans:
        if scan.source == "kubernetes":
            continue
        # A target on the command line is an authorisation for its scan.
        named = ranges_of(scan.targets, scan.exclude)
        authorised[scan.site] = authorised.get(scan.site, Ranges()) | named
        if scan.status is ScanStatus.COMPLETE:
            done[scan.site] = done.get(scan.site, Ranges()) | _covered([scan])
    for scope in scopes:
        authorised[scope.site] = authorised.get(scope.site, Ranges()) | ranges_of(scope.targets, scope.exclude)
        # What is excluded shall not be scanned: there is nothing to flag.
        done[scope.site] = done.get(scope.site, Ranges()) | Ranges(networks_of(scope.exclude))
    nothing = Ranges()
    found = []
    for block in blocks:
        named = authorised.get(block.site, nothing)
        if sources.get(block.site) == {"kubernetes"} and not len(named):
            continue
        if why := _flag(block, named, done.get(block.site, nothing)):
            found.append(RedFlag(block.site, str(block.network), block.endpoints, why))
    return tuple(sorted(found, key=lambda flag: (-flag.endpoints, flag.site, flag.network)))


def _flag(block: Block, authorised: Ranges, done: Ranges) -> str | None:
    """Why a block is not covered, where ``authorised`` may be scanned and ``done`` was; None where it is."""
    if done.holds(block.span):
        return None
    named = authorised.within(block.span)
    if not len(named):
        return "no scope has it: nobody may look there, and endpoints are known"
    left = len(named - done)
    if not left:
        return None
    return (
        "only a part of it was scanned to the end" if left < len(named) else "authorised, and never scanned to the end"
    )


def _latest_whole(scans: Sequence[Scan]) -> list[Scan]:
    """The last complete scan, or the last complete one of each shard, of one scope's scans in their order."""
    last: dict[str | None, Scan] = {}
    for scan in scans:
        if scan.status is ScanStatus.COMPLETE:
            last[scan.shard] = scan
    if None in last:
        whole = last[None]
        return [whole, *(s for shard, s in last.items() if shard and s.started_at > whole.started_at)]
    return list(last.values())


def _covered(scans: Iterable[Scan]) -> Ranges:
    found = Ranges()
    for scan in scans:
        # A shard asked a part of the addresses that its targets name, spread over all of them.
        if scan.shard is None:
            found |= ranges_of(scan.targets, scan.exclude)
    return found
