"""The map as rows: what nobody looked at and is known to be there comes first."""

from datetime import timedelta

import pytest

from inventory.model import Account, Scan, ScanStatus, Scope
from inventory.space import RedFlag
from tui.viewmodel import spots
from tui.viewmodel.space import Look
from tui.viewmodel.text import plain, width_of

STALE = timedelta(days=7)
DONE, CUT = ScanStatus.COMPLETE, ScanStatus.INCOMPLETE


def scope(now, name: str, *targets: str) -> Scope:
    return Scope(name=name, targets=targets, created_at=now)


def scan(now, name: str, *targets: str, days: float = 0.1, status=DONE, source="subnet", **more) -> Scan:
    at = now - timedelta(days=days)
    return Scan(
        id=f"{name}-{days}", scope=name, site="default", source=source, targets=targets, started_at=at, ended_at=at,
        status=status, **more,
    )  # fmt: skip


def found(now, scopes=(), scans=(), flags=(), namespaces=None) -> dict[str, spots.Spot]:
    those = spots.spots(scopes, scans, flags, namespaces or {}, now, STALE)
    return {spot.key: spot for spot in those}


@pytest.mark.parametrize(
    ("scanned", "days", "status", "look"),
    [("10.0.0.0/24", 0.1, DONE, Look.FRESH), ("10.0.0.0/24", 30, DONE, Look.STALE),
     ("10.0.0.0/25", 0.1, DONE, Look.PARTIAL), ("10.0.0.0/24", 0.1, CUT, Look.PARTIAL),
     ("10.9.0.0/24", 0.1, DONE, Look.NEVER)],
)  # fmt: skip
def test_a_scope_of_addresses_is_as_much_of_it_as_was_scanned(now, scanned, days, status, look) -> None:
    its = found(now, [scope(now, "lab", "10.0.0.0/24")], [scan(now, "lab", scanned, days=days, status=status)])
    assert its["scope:lab"].look is look
    assert its["scope:lab"].size == "256 addresses"


def test_what_a_scan_left_open_is_said(now) -> None:
    cut = scan(now, "lab", "10.0.0.0/24", status=CUT, reason="it was stopped", account=Account(planned=9, lost=3))
    why = found(now, [scope(now, "lab", "10.0.0.0/24")], [cut])["scope:lab"].why
    assert why == "256 in part; 3 lost probes; it was stopped"


def test_a_cluster_or_a_registry_is_read_whole_or_not(now) -> None:
    scopes = [scope(now, name, f"k8s:{name}") for name in ("a", "b", "c", "d")]
    scans = [
        scan(now, "a", source="kubernetes"), scan(now, "b", source="kubernetes", days=30),
        scan(now, "c", source="kubernetes", status=CUT, reason="pods: forbidden"), scan(now, "c", days=2),
    ]  # fmt: skip
    its = found(now, scopes, scans)
    looks = [its[f"scope:{name}"].look for name in ("a", "b", "c", "d")]
    assert looks == [Look.FRESH, Look.STALE, Look.PARTIAL, Look.NEVER]
    assert its["scope:c"].why == "pods: forbidden"
    assert its["scope:a"].filter == "scope:a"


def test_namespaces_are_those_that_were_listed_and_those_with_known_endpoints(now) -> None:
    scans = [
        scan(now, "prod", "uid/ml", "uid/web", source="kubernetes"),
        scan(now, "prod", "uid/gone-quiet", source="kubernetes", days=40),
        scan(now, "prod", "uid/secret", source="kubernetes", status=CUT, reason="pods in secret: forbidden"),
    ]
    known = {("uid", "ml"): 4, ("uid", "secret"): 2, ("other", "ml"): 1}
    its = found(now, scans=scans, namespaces=known)
    assert list(its) == [
        "namespace:uid/secret", "namespace:other/ml", "namespace:uid/ml", "namespace:uid/gone-quiet",
        "namespace:uid/web",
    ]  # fmt: skip
    assert [spot.look for spot in its.values()] == [Look.PARTIAL, Look.NEVER, Look.FRESH, Look.STALE, Look.FRESH]
    assert [spot.known for spot in its.values()] == [2, 1, 4, 0, 0]
    assert [spot.sought for spot in its.values()] == [True, True, False, False, False]
    assert its["namespace:uid/secret"].why == "pods in secret: forbidden"
    assert its["namespace:uid/ml"].filter == "cluster:uid namespace:ml"


def test_known_hosts_in_unscanned_space_come_first_and_lead_to_their_endpoints(now) -> None:
    flags = [RedFlag("default", "10.0.3.0/24", 7, "no scope has it"), RedFlag("default", "fd00::/64", 2, "no scope")]
    its = list(found(now, [scope(now, "lab", "10.0.0.0/24")], flags=flags).values())
    assert [spot.what for spot in its] == ["10.0.3.0/24", "fd00::/64", "scope lab"]
    assert its[0].filter == "address:10.0.3.* site:default"
    assert its[1].filter == ""
    assert spots.counted(its) == "3 never"


def test_of_many_blocks_the_fullest_are_rows_and_the_rest_is_one(now) -> None:
    flags = [RedFlag("default", f"10.0.{n}.0/24", 50 - n, "no scope has it") for n in range(30)]
    its = list(found(now, flags=flags).values())
    assert [spot.known for spot in its] == [*range(50, 30, -1), sum(range(21, 31))]
    assert its[-1].what == "10 more blocks"


@pytest.mark.parametrize("width", [30, 60, 120])
def test_the_pane_fits_and_a_hostile_reason_is_tame(now, evil, width) -> None:
    cut = scan(now, "lab", "10.0.0.0/24", status=CUT, reason=evil)
    for spot in found(now, [scope(now, "lab", "10.0.0.0/24")], [cut]).values():
        lines = spots.pane(spot, width, now)
        assert all(width_of(each) <= width for each in lines)
        assert "\x1b" not in "".join(plain(each) for each in lines)
