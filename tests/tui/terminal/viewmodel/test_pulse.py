from dataclasses import replace

import pytest

from inventory.coverage import Metric, coverage
from inventory.model import Account, ScanStatus
from inventory.store import Store
from tui.session import empty
from tui.snapshot import read
from tui.viewmodel import pulse, scans
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
