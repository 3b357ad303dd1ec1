"""Pure: Envoy's counters become traffic by route and backend."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from inventory.model import Traffic
from router.gateways import Copied

PATTERN = r"^cluster\.[^.]+\|[^.]+\.upstream_rq_(completed|5xx|total|active|time)$|^http\.edge\.no_route$"
"""What is asked for: of clusters whose name has a bar, not their internal and zone variants; and unknown hosts."""

UNKNOWN_HOSTS = "http.edge.no_route"
_ACTIVE = ".upstream_rq_active"

_LINE = re.compile(r"envoy_(\w+)\{(.*)\} ([0-9]+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_OWNERS = {"envoy_cluster_name": "cluster", "envoy_http_conn_manager_prefix": "http"}
"""Labels that say whose a value is, and what the value's own name begins with."""


def parse(lines: Iterable[str]) -> dict[str, int]:
    """Values in the form for Prometheus, by the names that Envoy has for them; one of nobody keeps its underscores.

    A histogram gives one counter for each bucket that holds anything: its name, ``#``, and the bucket's upper bound.
    What is above the last bound is left out.
    """
    found: dict[str, int] = {}
    below: dict[str, int] = {}
    stem, name = "\n", ""
    for line in lines:
        if line.startswith(stem):
            # Nearly all lines are further buckets of the same histogram.
            bound, _, value = line[len(stem) :].partition('"} ')
        elif match := _LINE.fullmatch(line):
            labels, value = dict(_LABEL.findall(match[2])), match[3]
            name, bound = _name(match[1], labels), labels.get("le", "")
            if not bound:
                found[name] = int(value)
                continue
            name, end = name.removesuffix("_bucket"), f'{bound}"}} {value}'
            stem = line.removesuffix(end) if line.endswith(f'"{end}') else "\n"
        else:
            continue
        if bound.isdecimal() and value.isdecimal():
            within, below[name] = int(value) - below.get(name, 0), int(value)
            if within:
                found[f"{name}#{bound}"] = within
    return found


def _name(name: str, labels: Mapping[str, str]) -> str:
    if "envoy_response_code_class" in labels:
        name = f"{name.removesuffix('xx')}{labels['envoy_response_code_class']}xx"
    for label, kind in _OWNERS.items():
        if label in labels:
            return f"{kind}.{labels[label]}.{name.removeprefix(f'{kind}_')}"
    return name


def delta(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """How far each counter moved. One that went back was begun anew: all of it is new."""
    moved = {name: value - before.get(name, 0) for name, value in now.items()}
    return {name: now[name] if by < 0 else by for name, by in moved.items() if by}


def together(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """The counters of two Envoys as if they were one."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def traffic(moved: Mapping[str, int], now: Mapping[str, int]) -> list[Traffic]:
    """What passed, by route and backend: how far counters moved, and how many requests are under way now.

    A failure is an answer of 5xx that callers got, the gateway's own included. Copies are counted at the
    shadow's cluster, which takes no live request.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, by in moved.items():
        stem, _, counter = name.removeprefix("cluster.").rpartition(".")
        route, bar, rest = stem.partition("|")
        backend, *role = rest.split("|")
        counter, bucket, bound = counter.partition("#")
        key = _KINDS.get((*role, counter)) if bar else None
        if key is not None:
            counts = found.setdefault((route, backend), {})
            if bucket:
                counts.setdefault(key, {})[int(bound)] = by
            else:
                counts[key] = counts.get(key, 0) + by
    for (route, backend), counts in found.items():
        counts["in_flight"] = now.get(f"cluster.{route}|{backend}{_ACTIVE}", 0)
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
    ("upstream_rq_time",): "latency",
    ("shadow", "upstream_rq_total"): "shadowed",
}
