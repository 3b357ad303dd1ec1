"""Pure: Envoy's counters become traffic by route and backend."""

import re
from collections.abc import Mapping

from inventory.model import Traffic
from router.gateways import Copied

PATTERN = r"^cluster\.[^.]+\|[^.]+\.upstream_rq_(completed|5xx|total)$"
"""The counters that are asked for: those of clusters whose name has a bar, not their internal and zone variants."""


def delta(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """How far each counter moved. One that went back was begun anew: all of it is new."""
    moved = {name: value - before.get(name, 0) for name, value in now.items()}
    return {name: now[name] if by < 0 else by for name, by in moved.items() if by}


def traffic(moved: Mapping[str, int]) -> list[Traffic]:
    """What passed, by route and backend.

    A failure is an answer of 5xx that callers got, the gateway's own included. Copies are counted at the
    shadow's cluster, which takes no live request.
    """
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, by in moved.items():
        stem, _, counter = name.removeprefix("cluster.").rpartition(".")
        route, backend, *role = stem.split("|")
        key = _KINDS.get((*role, counter))
        if key is not None:
            counts = found.setdefault((route, backend), {})
            counts[key] = counts.get(key, 0) + by
    return [Traffic(route=route, backend=backend, **counts) for (route, backend), counts in sorted(found.items())]


def copied(counters: Mapping[str, int]) -> dict[str, Copied]:
    """How much was copied to shadows, by route. Requests that the budget of copies under way kept out count too."""
    found: dict[str, dict[str, int]] = {}
    for name, value in counters.items():
        stem, _, counter = name.removeprefix("cluster.").rpartition(".")
        key = _COPIES.get(counter)
        if key is not None:
            counts = found.setdefault(stem.split("|")[0], {})
            counts[key] = counts.get(key, 0) + value
    return {route: Copied(**counts) for route, counts in found.items()}


def pattern_of(route: str) -> str:
    """The counters that are asked for of one route's live answers."""
    return rf"^cluster\.{re.escape(route)}\|[^.|]+\.upstream_rq_(completed|5xx)$"


COPIES = r"^cluster\.[^.]+\|shadow\.(upstream_rq_total|upstream_rq_active|upstream_cx_tx_bytes_total)$"
"""The counters that are asked for of all copies."""

_COPIES = {
    "upstream_rq_total": "requests",
    "upstream_rq_active": "in_flight",
    "upstream_cx_tx_bytes_total": "size",
}

_KINDS = {
    ("upstream_rq_completed",): "requests",
    ("upstream_rq_5xx",): "failures",
    ("shadow", "upstream_rq_total"): "shadowed",
}
