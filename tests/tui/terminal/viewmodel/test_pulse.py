from dataclasses import replace

import pytest

from inventory.coverage import Metric
from inventory.model import ScanStatus
from inventory.store import Store
from tui.session import empty
from tui.snapshot import read
from tui.viewmodel import gaps, pulse, scans
from tui.viewmodel.text import plain, width_of


def text(lines) -> str:
    return "\n".join(plain(each) for each in lines)


@pytest.mark.parametrize("width", [20, 40, 78, 117, 118, 200])
def test_every_line_fits_any_width(width: int, store: Store, now) -> None:
    for each in pulse.page(read(store, now), width, now):
        assert width_of(each) <= width, plain(each)


def test_each_metric_has_its_denominator(store: Store, now) -> None:
    snapshot = read(store, now)
    said = text(pulse.metrics(snapshot.coverage.metrics, 140, now))
    for metric in snapshot.coverage.metrics:
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
    total = len(snapshot.coverage.gaps)
    assert total > 2
    said = text(pulse.gaps(snapshot.coverage.gaps, 80, limit=2))
    assert f"and {total - 2} more" in said


def test_gaps_are_found_by_any_of_their_words(store: Store, now) -> None:
    snapshot = read(store, now)
    found = gaps.select(snapshot.coverage.gaps, snapshot.by_id, "NOTEBOOK directly")
    assert [snapshot.by_id[gap.subject].product for gap in found] == ["jupyter-server"]
    assert gaps.select(snapshot.coverage.gaps, snapshot.by_id, "") == list(snapshot.coverage.gaps)


def test_a_gap_of_a_scope_is_a_row_too(store: Store, now) -> None:
    snapshot = read(store, now)
    table = gaps.table(snapshot.coverage.gaps, snapshot.by_id)
    scope = next(i for i, gap in enumerate(table.rows) if gap.subject == "lab")
    assert "scope lab" in "".join(plain(cell) for cell in table.cells(scope))
    assert len({table.key(i) for i in range(len(table))}) == len(table)


def test_what_a_running_scan_has_not_reached_is_not_called_unknown(store: Store, now) -> None:
    scan = read(store, now).scans[0]
    running = scan.model_copy(update={"status": ScanStatus.RUNNING, "ended_at": None})
    unknown = next(i for i, column in enumerate(scans.COLUMNS) if column.id == "unknown")
    assert plain(scans.cells(scan, now)[unknown]) == "14"
    assert plain(scans.cells(running, now)[unknown]) == "…"


def test_a_snapshot_is_of_one_version(store: Store, now) -> None:
    first = read(store, now)
    store.triage.apply([first.endpoints[0].id], owner="ana", who="mara", why="asked around")
    second = read(store, now)
    assert second.version > first.version
    assert second.by_id[first.endpoints[0].id].owner == "ana"
    assert replace(second).route("nobody") is None
