from dataclasses import replace
from datetime import timedelta

import pytest

from inventory.coverage import Metric, Standing, Trend, coverage
from inventory.model import Account, ScanStatus
from inventory.space import RedFlag
from inventory.store import Store
from tui.session import empty
from tui.snapshot import read
from tui.viewmodel import alerts, pulse, scans
from tui.viewmodel.text import plain, width_of


def text(lines) -> str:
    return "\n".join(plain(each) for each in lines)


@pytest.mark.parametrize("width", [20, 40, 78, 117, 118, 200])
def test_every_line_fits_any_width(width: int, store: Store, now) -> None:
    for each in pulse.page(read(store, now), width, now):
        assert width_of(each) <= width, plain(each)


def test_each_metric_has_its_denominator(store: Store, now) -> None:
    snapshot = read(store, now)
    said = text(pulse.metrics(snapshot.metrics, 140, now))
    for metric in snapshot.metrics:
        assert f"{metric.part:,} of {metric.whole:,} {metric.unit}" in said


def test_an_empty_inventory_says_what_to_do_and_claims_nothing(now) -> None:
    said = text(pulse.page(empty(now), 100, now))
    assert "gnomon scan" in said
    assert "%" not in said


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0, 0, "—"), (0, 9, "0 %"), (9, 9, "100 %"), (1, 1000, "<1 %"), (999, 1000, ">99 %"), (1, 2, "50 %")],
)
def test_only_all_is_called_a_hundred_percent(part: int, whole: int, shown: str) -> None:
    assert pulse.shown_percent(Metric("m", "m", part, whole, "things", "why")) == shown


def test_the_gaps_are_counted_and_the_rest_is_named(store: Store, now) -> None:
    snapshot = read(store, now)
    assert snapshot.gaps == len(coverage(store.endpoints.list(), snapshot.scans).gaps)
    assert snapshot.gaps > 2
    said = text(pulse.gaps(snapshot, 80, limit=2))
    assert f"and {snapshot.gaps - 2} more" in said


def test_a_part_of_a_scope_that_nobody_knows_is_a_gap_too(store: Store, now) -> None:
    said = text(pulse.gaps(read(store, now), 100, limit=20))
    assert "scope lab" in said
    assert "2 of 512 probes were lost" in said


def test_counts_from_the_store_are_those_of_its_endpoints(store: Store, now) -> None:
    snapshot = read(store, now)
    assert snapshot.metrics == coverage(store.endpoints.list(), snapshot.scans).metrics
    assert snapshot.known == len(store.endpoints.list())


def test_a_running_scan_tells_its_rate_and_the_time_it_has_left(store: Store, now) -> None:
    scan = read(store, now).scans[0]
    running = scan.model_copy(
        update={
            "status": ScanStatus.RUNNING,
            "ended_at": None,
            "account": Account(planned=1200, answered=20, silent=580),
        }
    )
    assert scans.pace(running, now) == "1/s, 10m left"
    assert scans.progress(running.model_copy(update={"account": Account(planned=9)}), now) == (0.0, None)
    said = text(pulse.scans(replace(read(store, now), scans=(running,)), 80, now))
    assert "1/s, 10m left" in said


def test_what_a_running_scan_has_not_reached_is_not_called_unknown(store: Store, now) -> None:
    scan = read(store, now).scans[0]
    running = scan.model_copy(update={"status": ScanStatus.RUNNING, "ended_at": None})
    unknown = next(i for i, column in enumerate(scans.COLUMNS) if column.id == "unknown")
    assert plain(scans.cells(scan, now)[unknown]) == "14"
    assert plain(scans.cells(running, now)[unknown]) == "…"


def test_a_snapshot_is_of_one_version(store: Store, now) -> None:
    first = read(store, now)
    store.triage.apply([first.worst[0].id], owner="ana", who="mara", why="asked around")
    second = read(store, now)
    assert second.version > first.version
    assert {e.owner for e in second.worst if e.id == first.worst[0].id} == {"ana"}
    assert second.route("nobody") is None
    assert second.route_of(None) is None


def trend(now, *governed: tuple[int, int]) -> tuple[Trend, ...]:
    return tuple(
        Trend(f"s{n}", "lab", now - timedelta(days=len(governed) - n),
              (Standing(name="governed", part=part, whole=whole), Standing(name="owned", part=0, whole=0)))
        for n, (part, whole) in enumerate(governed)
    )  # fmt: skip


def test_coverage_over_time_is_drawn_to_the_whole_and_says_how_far_it_moved(store: Store, now) -> None:
    snapshot = replace(read(store, now), trend=trend(now, (0, 8), (4, 8), (6, 8)))
    said = text(pulse.coverage_trend(snapshot, 80, now))
    assert "the last 3 scans, since 3d ago" in said
    assert "▁▅▆   75 %  +75 points" in said
    assert "owned" not in said
    assert pulse.coverage_trend(replace(snapshot, trend=snapshot.trend[:1]), 80, now) == []


def test_the_latest_scans_are_the_ones_that_are_drawn(store: Store, now) -> None:
    snapshot = replace(read(store, now), trend=trend(now, *[(n, 50) for n in range(50)]))
    assert "the last 8 scans" in text(pulse.coverage_trend(snapshot, 40, now))


@pytest.mark.parametrize(("count", "said"), [
    (0, None),
    (1, "10.0.0.0/24 holds endpoints and was not scanned whole (3 known)"),
    (2, "10.0.0.0/24, 10.0.1.0/24 hold endpoints and were not all scanned (6 known)"),
    (4, "10.0.0.0/24, 10.0.1.0/24 and 2 more blocks hold endpoints and were not all scanned (12 known)"),
])  # fmt: skip
def test_blocks_where_nobody_looked_are_an_alert(store: Store, now, count: int, said: str | None) -> None:
    flags = tuple(RedFlag("default", f"10.0.{n}.0/24", 3, "never scanned") for n in range(count))
    found = [one.text for one in alerts.alerts(replace(read(store, now), red_flags=flags), now)]
    told = [one for one in found if "scanned" in one and "endpoints" in one]
    assert told == ([f"{said}: 3 and M show where"] if said else [])


def test_red_flags_and_trends_come_from_the_store(store: Store, now) -> None:
    snapshot = read(store, now)
    assert snapshot.red_flags == store.coverage.report().red_flags
    assert snapshot.trend == store.coverage.trend()
