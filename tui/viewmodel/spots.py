"""The map as rows: scopes, namespaces, and space with known hosts, each with how it was looked at. Pure.

What nobody looked at and is known to hold endpoints comes first; what was scanned whole and lately comes last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from inventory.model import Scan, ScanStatus, Scope
from inventory.space import RedFlag, Space, spaces
from tui.viewmodel.columns import Column
from tui.viewmodel.detail import field, heading, paragraph
from tui.viewmodel.space import Look
from tui.viewmodel.table import Cell, Table, of_rows
from tui.viewmodel.text import Line, Run, Tone, age, ago, capped, clean, line, number, plural

COLUMNS = (
    Column("look", "Looked at", 18, 18),
    Column("what", "Where", 14, 30, grow=True),
    Column("size", "Space", 10, 18, drop=4),
    Column("known", "Known", 5, 8, drop=2, align="right"),
    Column("at", "Scanned", 7, 7, drop=3, align="right"),
    Column("why", "What is not known", 20, 60, drop=1, grow=True),
)
MOST_BLOCKS = 20
"""Blocks with known hosts that are rows of their own; the rest is one row, and all are on the map."""
REST = "block:rest"
Namespaces = Mapping[tuple[str, str], int]
"""How many endpoints that are not gone are known in a namespace, by the cluster and its name."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A part of the world that may be looked at. ``known`` is None where its endpoints are not counted by it.

    ``filter`` shows those in the list of endpoints, "" where no filter says so; ``sought`` says that something
    is known to be there and nobody looked at all of it.
    """

    key: str
    look: Look
    what: str
    site: str
    size: str
    known: int | None
    at: datetime | None
    why: str
    filter: str = ""
    sought: bool = False


def spots(
    scopes: Sequence[Scope],
    scans: Sequence[Scan],
    flags: Sequence[RedFlag],
    namespaces: Namespaces,
    now: datetime,
    stale_after: timedelta,
) -> tuple[Spot, ...]:
    """All of them, what asks for attention first."""
    found = [_flag(one) for one in flags[:MOST_BLOCKS]]
    if rest := flags[MOST_BLOCKS:]:
        found.append(_rest(rest))
    space = {one.scope: one for one in spaces(scopes, scans)}
    for scope in scopes:
        its = [one for one in scans if one.scope == scope.name and one.status is not ScanStatus.RUNNING]
        if scope.name in space:
            found.append(_addresses(scope, space[scope.name], its, now, stale_after))
        else:
            found.append(_source(scope, its, now, stale_after))
    found += _namespaces(scans, namespaces, now, stale_after)
    return tuple(sorted(found, key=_rank))


def _rank(spot: Spot) -> tuple[bool, bool, int, int, str]:
    return not spot.sought, spot.key == REST, -(spot.known or 0), -_ORDER.index(spot.look), spot.key


_ORDER = (Look.FRESH, Look.STALE, Look.PARTIAL, Look.NEVER)


def counted(found: Sequence[Spot]) -> str:
    """How many there are of each, in words."""
    counts = [(look.value[3], sum(spot.look is look for spot in found)) for look in reversed(_ORDER)]
    return ", ".join(f"{number(count)} {words}" for words, count in counts if count)


def table(found: Sequence[Spot], now: datetime, *, loaded: bool) -> Table[Spot]:
    """The table of them."""
    nothing = ("No scope is stored, and nothing was scanned.", "gnomon scope add says what may be scanned.")
    empty = nothing if loaded else ("Reading the map …",)
    return of_rows(COLUMNS, found, lambda spot: spot.key, lambda spot: _cells(spot, now), empty=empty)


def pane(spot: Spot, width: int, now: datetime) -> list[Line]:
    """What the pane says of one."""
    known = "not counted" if spot.known is None else plural(spot.known, "endpoint")
    lines = [
        heading(clean(spot.what).upper(), width),
        (),
        field("looked at", line(_glyph(spot), Run(f" {spot.look.value[3]}", Tone.PLAIN)), width),
        field("scanned", line(ago(spot.at, now) if spot.at else "never to the end"), width),
        field("site", line(clean(spot.site)), width),
        field("space", line(clean(spot.size)), width),
        field("known", line(known), width),
        *paragraph("not known", clean(spot.why, 600) or "nothing that is known of", width, Tone.MUTED),
        (),
        line(Run("enter ", Tone.ACCENT), Run("lists its endpoints" if spot.filter else "draws its map", Tone.MUTED)),
    ]
    return capped(lines, width)


def _cells(spot: Spot, now: datetime) -> tuple[Cell, ...]:
    tone, words = spot.look.value[2:]
    return (
        line(_glyph(spot), Run(f" {words}", Tone.PLAIN if spot.look is Look.FRESH else tone)),
        line(Run(clean(spot.what), Tone.STRONG)),
        line(Run(clean(spot.size), Tone.MUTED)),
        line("" if spot.known is None else number(spot.known)),
        line(Run(age(spot.at, now) if spot.at else "never", Tone.MUTED)),
        line(Run(clean(spot.why, 300), Tone.BAD if spot.sought else Tone.MUTED)),
    )


def _glyph(spot: Spot) -> Run:
    bare, housed, tone, _ = spot.look.value
    return Run(housed if spot.known else bare, tone)


def _flag(flag: RedFlag) -> Spot:
    look = Look.PARTIAL if flag.why.startswith("only a part") else Look.NEVER
    host, _, prefix = flag.network.partition("/")
    within = f"address:{host.rpartition('.')[0]}.* site:{flag.site}" if prefix == "24" and "." in host else ""
    return Spot(
        key=f"block:{flag.site}/{flag.network}", look=look, what=flag.network, site=flag.site, size=f"/{prefix}",
        known=flag.endpoints, at=None, why=flag.why, filter=within, sought=True,
    )  # fmt: skip


def _rest(flags: Sequence[RedFlag]) -> Spot:
    count = sum(flag.endpoints for flag in flags)
    return Spot(
        key=REST, look=Look.NEVER, what=plural(len(flags), "more block"), site="", size="", known=count, at=None,
        why="endpoints are known there, and no complete scan covers it", sought=True,
    )  # fmt: skip


def _addresses(scope: Scope, space: Space, its: Sequence[Scan], now: datetime, stale_after: timedelta) -> Spot:
    """A scope of addresses: how much of it was scanned to the end, and what the last scan left open."""
    if not space.scanned:
        look = Look.PARTIAL if space.partly else Look.NEVER
    elif space.partly or space.never:
        look = Look.PARTIAL
    else:
        look = _aged(space.as_of, now, stale_after)
    parts = (("in part", space.partly), ("never", space.never), ("lost probes", space.lost))
    open_ = [f"{number(count)} {words}" for words, count in parts if count]
    return Spot(
        key=f"scope:{scope.name}", look=look, what=f"scope {scope.name}", site=scope.site,
        size=plural(space.authorised, "address", "addresses"), known=None, at=space.as_of,
        why="; ".join((*open_, *_reason(its))), filter="",
    )  # fmt: skip


def _source(scope: Scope, its: Sequence[Scan], now: datetime, stale_after: timedelta) -> Spot:
    """A scope without addresses: a cluster or a registry, read whole or not."""
    whole = next((one for one in its if one.status is ScanStatus.COMPLETE), None)
    at = (whole.ended_at or whole.started_at) if whole else None
    look = _aged(at, now, stale_after) if whole and its[0] is whole else Look.PARTIAL if its else Look.NEVER
    return Spot(
        key=f"scope:{scope.name}", look=look, what=f"scope {scope.name}", site=scope.site,
        size=", ".join(scope.targets), known=None, at=at, why="; ".join(_reason(its)), filter=f"scope:{scope.name}",
    )  # fmt: skip


def _namespaces(scans: Sequence[Scan], known: Namespaces, now: datetime, stale_after: timedelta) -> Iterable[Spot]:
    """The namespaces that scans listed, and those that endpoints are known in. ``scans`` newest first."""
    listed: dict[tuple[str, str], list[Scan]] = {}
    for scan in scans:
        if scan.source != "kubernetes" or scan.status in {ScanStatus.RUNNING, ScanStatus.FAILED}:
            continue
        for target in scan.targets:
            cluster, _, name = target.partition("/")
            listed.setdefault((cluster, name), []).append(scan)
    for cluster, name in sorted(listed.keys() | known.keys()):
        its, count = listed.get((cluster, name), []), known.get((cluster, name), 0)
        whole = next((one for one in its if one.status is ScanStatus.COMPLETE), None)
        at = (whole.ended_at or whole.started_at) if whole else None
        look = _aged(at, now, stale_after) if whole else Look.PARTIAL if its else Look.NEVER
        why = "" if whole else "; ".join(_reason(its)) or "no scan listed it, and endpoints are known"
        where = its[0].scope if its else cluster
        yield Spot(
            key=f"namespace:{cluster}/{name}", look=look, what=f"namespace {where}/{name}",
            site=its[0].site if its else "", size="namespace", known=count, at=at, why=why,
            filter=f"cluster:{cluster} namespace:{name}", sought=bool(count) and not whole,
        )  # fmt: skip


def _aged(at: datetime | None, now: datetime, stale_after: timedelta) -> Look:
    return Look.FRESH if at is not None and now - at <= stale_after else Look.STALE


def _reason(its: Sequence[Scan]) -> tuple[str, ...]:
    """Why the last scan did not end, where it did not."""
    if not its or its[0].status is ScanStatus.COMPLETE:
        return ()
    return (its[0].reason or "its last scan did not finish",)
