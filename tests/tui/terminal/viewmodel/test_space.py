import ipaddress
from datetime import timedelta

import pytest

from inventory.model import Scan, ScanStatus, Scope
from tui.viewmodel import space
from tui.viewmodel.space import Look
from tui.viewmodel.text import plain, width_of

STALE = timedelta(days=7)


def scope(now, *targets: str, name: str = "lab", site: str = "default") -> Scope:
    return Scope(name=name, site=site, targets=targets, created_at=now)


def scan(
    now, *targets: str, days: float = 0.1, status: ScanStatus = ScanStatus.COMPLETE, site: str = "default"
) -> Scan:
    at = now - timedelta(days=days)
    return Scan(
        id=f"s{days}", scope="lab", site=site, source="subnet", targets=targets, started_at=at,
        ended_at=None if status is ScanStatus.RUNNING else at, status=status,
    )  # fmt: skip


def looks(now, targets, scans, hosts=None) -> list[Look]:
    drawn = space.blocks(scope(now, *targets), scans, hosts or {}, now, STALE)
    return [block.look for its in drawn.values() for block in its]


def test_what_was_scanned_is_told_from_what_is_stale_or_never_was(now) -> None:
    scans = [scan(now, "10.0.0.0/25"), scan(now, "10.0.1.0/24"), scan(now, "10.0.2.0/24", days=30)]
    assert looks(now, ["10.0.0.0/22"], scans) == [Look.PARTIAL, Look.FRESH, Look.STALE, Look.NEVER]


@pytest.mark.parametrize("status", [ScanStatus.RUNNING, ScanStatus.INCOMPLETE])
def test_a_scan_that_did_not_end_covers_in_part_only(status, now) -> None:
    assert looks(now, ["10.0.0.0/24"], [scan(now, "10.0.0.0/24", status=status)]) == [Look.PARTIAL]


def test_a_failed_scan_and_one_of_another_site_cover_nothing(now) -> None:
    failed = scan(now, "10.0.0.0/24", status=ScanStatus.FAILED)
    elsewhere = scan(now, "10.0.0.0/24", site="berlin")
    assert looks(now, ["10.0.0.0/24"], [failed, elsewhere]) == [Look.NEVER]


def test_known_endpoints_are_counted_in_their_block(now) -> None:
    hosts = {("default", ipaddress.ip_network("10.0.1.0/24")): 3, ("berlin", ipaddress.ip_network("10.0.0.0/24")): 9}
    (its,) = space.blocks(scope(now, "10.0.0.0/23"), [], hosts, now, STALE).values()
    assert [block.hosts for block in its] == [0, 3]
    assert [block.drawn().text for block in its] == ["·", "◆"]


def test_large_targets_are_drawn_in_larger_blocks_and_small_ones_whole(now) -> None:
    hosts = {("default", ipaddress.ip_network("10.200.7.0/24")): 2}
    wide, one, six = space.blocks(scope(now, "10.0.0.0/8", "192.168.1.7", "fd00::/120"), [], hosts, now, STALE).values()
    assert len(wide) <= space.MOST
    assert sum(block.hosts for block in wide) == 2
    assert next(block for block in wide if block.hosts).network.supernet_of(ipaddress.ip_network("10.200.7.0/24"))
    assert [len(one), len(six)] == [1, 1]


def test_hosts_that_no_scan_covers_are_named_with_the_reason(now) -> None:
    hosts = {("default", ipaddress.ip_network("172.16.4.0/24")): 5, ("default", ipaddress.ip_network("10.0.0.0/24")): 1}
    said = "\n".join(plain(each) for each in space.page([scope(now, "10.0.0.0/8")], [], hosts, 100, now, STALE))
    assert "172.16.4.0/24" in said
    assert "no scope has it" in said
    assert "authorised, and never scanned to the end" in said


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_every_line_fits_and_clusters_have_no_space(width, now) -> None:
    scopes = [scope(now, "10.0.0.0/18", "fd00::/48"), scope(now, "k8s:prod", name="prod")]
    lines = space.page(scopes, [scan(now, "10.0.0.0/19")], {}, width, now, STALE)
    assert all(width_of(each) <= width for each in lines)
    if width >= 80:
        assert any("no address space" in plain(each) for each in lines)
