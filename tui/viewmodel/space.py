"""The map of the address space: what was scanned, what is stale, what never was, and hosts where nobody looked."""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from inventory import space as known
from inventory.model import Scan, ScanStatus, Scope
from inventory.space import Network, networks_of, red_flags
from tui.viewmodel.detail import heading
from tui.viewmodel.text import Line, Run, Tone, ago, capped, clean, fit, line, number, plural

Hosts = Mapping[tuple[str, Network], int]
"""How many endpoints are known in a network of a site. IPv4 by /24, IPv6 by /64."""

LABEL = 20
MOST = 2048
"""Blocks that one target is drawn as at most; a larger one is drawn in larger blocks."""
SHOWN = 12


class Look(Enum):
    """How a block was looked at: its glyph without and with known endpoints, its tone, and its words."""

    FRESH = ("▪", "■", Tone.GOOD, "scanned")
    STALE = ("▫", "□", Tone.WARN, "scanned long ago")
    PARTIAL = ("◌", "◍", Tone.INFO, "in part")
    NEVER = ("·", "◆", Tone.BAD, "never")


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a scope's address space."""

    network: Network
    look: Look
    hosts: int = 0

    def drawn(self) -> Run:
        """The block as one glyph. What was never looked at is faint while nothing is known to be there."""
        bare, housed, tone, _ = self.look.value
        quiet = self.look is Look.NEVER and not self.hosts
        return Run(housed if self.hosts else bare, Tone.FAINT if quiet else tone)


def page(
    scopes: Sequence[Scope], scans: Sequence[Scan], hosts: Hosts, width: int, now: datetime, stale_after: timedelta
) -> list[Line]:
    """A grid for each scope, and the known hosts that no complete scan covers."""
    lines = [legend(), ()]
    for scope in scopes:
        lines += [*_scope(scope, scans, hosts, width, now, stale_after), ()]
    if not scopes:
        lines += [line(Run("No scope is stored: gnomon scope add says what may be scanned.", Tone.MUTED)), ()]
    return capped([*lines, *_flags(scopes, scans, hosts, width)], width)


def legend() -> Line:
    """What the glyphs mean."""
    runs: list[Run] = []
    for look in Look:
        bare, housed, tone, words = look.value
        runs += [Run(f"{bare}{housed} ", tone), Run(f"{words}   ", Tone.MUTED)]
    return line(*runs, Run("the second of each has known endpoints", Tone.MUTED))


def blocks(
    scope: Scope, scans: Sequence[Scan], hosts: Hosts, now: datetime, stale_after: timedelta
) -> dict[Network, list[Block]]:
    """The blocks of each target of a scope that is a network; names of clusters and registries have no space."""
    those = [scan for scan in scans if scan.site == scope.site and scan.status is not ScanStatus.FAILED]
    ranges = [(_looked(scan, now, stale_after), tuple(networks_of(scan.targets))) for scan in those]
    houses = sorted((network for site, network in hosts if site == scope.site), key=lambda n: (n.version, n))
    found: dict[Network, list[Block]] = {}
    for target in networks_of(scope.targets):
        housed = _counted(target, houses, {network: hosts[scope.site, network] for network in houses})
        found[target] = [Block(piece, _best(piece, ranges), housed[piece]) for piece in _pieces(target)]
    return found


def _scope(
    scope: Scope, scans: Sequence[Scan], hosts: Hosts, width: int, now: datetime, stale_after: timedelta
) -> list[Line]:
    last = next((s for s in scans if s.scope == scope.name and s.status is ScanStatus.COMPLETE), None)
    told = f"complete {ago(last.ended_at or last.started_at, now)}" if last else "never scanned to the end"
    lines = [heading(f"{scope.name.upper()}", width, f"site {scope.site} · {told}")]
    drawn = blocks(scope, scans, hosts, now, stale_after)
    if not drawn:
        return [*lines, line(Run(clean(f"{', '.join(scope.targets)}: no address space", 200), Tone.MUTED))]
    for target, its in drawn.items():
        counts = Counter(block.look for block in its)
        said = ", ".join(f"{number(count)} {look.value[3]}" for look, count in counts.items())
        size = f"/{its[0].network.prefixlen}" if its else ""
        lines.append(
            line(Run(str(target), Tone.STRONG), Run(f"  {plural(len(its), 'block')} of {size}: {said}", Tone.MUTED))
        )
        lines += list(_grid(its, width))
    return lines


def _grid(its: Sequence[Block], width: int) -> Iterator[Line]:
    across = max(_power_of_two(width - LABEL), 8)
    for start in range(0, len(its), across):
        row = its[start : start + across]
        label = fit(line(Run(str(row[0].network.network_address), Tone.MUTED)), LABEL)
        yield (*label, *(block.drawn() for block in row))


def _power_of_two(room: int) -> int:
    return 1 << max(room.bit_length() - 1, 0) if room > 0 else 0


def _flags(scopes: Sequence[Scope], scans: Sequence[Scan], hosts: Hosts, width: int) -> list[Line]:
    """Where endpoints are known and no complete scan looked at all of it, with the reason."""
    flags = red_flags([known.Block.of(site, net, count) for (site, net), count in hosts.items()], scopes, scans)
    lines = [heading("KNOWN HOSTS IN UNSCANNED SPACE", width, plural(len(flags), "block"))]
    if not flags:
        return [*lines, line(Run("● every known host is in space that was scanned to the end", Tone.GOOD))]
    lines += [line(Run("◆ ", Tone.BAD), *fit(line(flag.network), 22), *fit(line(clean(flag.site)), 14),
                   *fit(line(plural(flag.endpoints, "endpoint")), 16), Run(flag.why, Tone.MUTED))
              for flag in flags[:SHOWN]]  # fmt: skip
    if len(flags) > SHOWN:
        lines.append(line(Run(f"  and {plural(len(flags) - SHOWN, 'more', 'more')}", Tone.FAINT)))
    return lines


def _looked(scan: Scan, now: datetime, stale_after: timedelta) -> Look:
    if scan.status is not ScanStatus.COMPLETE:
        return Look.PARTIAL
    return Look.FRESH if now - (scan.ended_at or scan.started_at) <= stale_after else Look.STALE


def _best(piece: Network, ranges: Sequence[tuple[Look, tuple[Network, ...]]]) -> Look:
    order = (Look.FRESH, Look.STALE, Look.PARTIAL)
    looks = {look for look, targets in ranges if any(_within(piece, target) for target in targets)}
    part = any(_overlaps(piece, target) for _, targets in ranges for target in targets)
    return next((look for look in order if look in looks), Look.PARTIAL if part else Look.NEVER)


def _within(piece: Network, target: Network) -> bool:
    if isinstance(piece, ipaddress.IPv4Network) and isinstance(target, ipaddress.IPv4Network):
        return piece.subnet_of(target)
    if isinstance(piece, ipaddress.IPv6Network) and isinstance(target, ipaddress.IPv6Network):
        return piece.subnet_of(target)
    return False


def _overlaps(piece: Network, target: Network) -> bool:
    return piece.version == target.version and piece.overlaps(target)


def _pieces(target: Network) -> list[Network]:
    natural = 24 if target.version == 4 else 64
    prefix = max(target.prefixlen, min(natural, target.prefixlen + MOST.bit_length() - 1))
    return list(target.subnets(new_prefix=prefix))


def _counted(target: Network, known: Sequence[Network], counts: Mapping[Network, int]) -> Counter[Network]:
    """Known endpoints by the piece of a target. A target smaller than what is counted by has all of it."""
    pieces = _pieces(target)
    found: Counter[Network] = Counter()
    for network in known:
        if not _overlaps(network, target):
            continue
        if network.prefixlen < pieces[0].prefixlen:
            found[pieces[0]] += counts[network]
        else:
            step = 1 << (network.max_prefixlen - pieces[0].prefixlen)
            found[pieces[(int(network.network_address) - int(target.network_address)) // step]] += counts[network]
    return found
