"""Pure: Envoy's counters become traffic by route and backend."""

from collections.abc import Mapping

from inventory.model import Traffic

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


_KINDS = {
    ("upstream_rq_completed",): "requests",
    ("upstream_rq_5xx",): "failures",
    ("shadow", "upstream_rq_total"): "shadowed",
}
