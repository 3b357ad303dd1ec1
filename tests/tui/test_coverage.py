"""``gnomon coverage`` by the real command line: by what, since when, and as a gate."""

import json
from collections.abc import Iterator

import pytest
from making import identified, observation, scan

from inventory.model import Account, Exposed, Governance, Listener, ScanStatus, Scheme, Scope, utc_now
from inventory.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """Two endpoints, of which one is owned, found by a complete scan; and an open port."""
    with open_store(database_url) as opened:
        now = utc_now()
        opened.scopes.save(Scope(name="lab", targets=("127.0.0.0/24", "127.0.1.0/24"), created_at=now))
        run = scan(started_at=now, ended_at=now, account=Account(planned=256, answered=3, refused=250, lost=3))
        opened.scans.save(run)
        for port, fact in ((1, identified()), (2, identified(product="mlflow")), (3, Exposed(scheme=Scheme.TCP))):
            listener = Listener(site="default", address="127.0.0.9", port=port)
            opened.observations.append([observation(fact, at=now, listener=listener)])
            opened.endpoints.refold([listener], now)
        opened.endpoints.settle(run, now)
        one = opened.endpoints.list("product:flask")[0]
        opened.triage.apply([one.id], owner="ana", governance=Governance.MANAGED, who="bo", why="x")
        yield opened


def test_everything_is_told_with_its_denominator(gnomon, store: Store):
    report = json.loads(gnomon("coverage", "-f", "json").out)
    named = {metric["name"]: (metric["part"], metric["whole"]) for metric in report["metrics"]}
    assert (named["owned"], named["managed"], named["identified"], named["sealed"]) == ((1, 2), (1, 2), (2, 3), (0, 2))
    (space,) = report["spaces"]
    assert (space["authorised"], space["scanned"], space["never"], space["lost"]) == (512, 256, 256, 3)
    assert report["red_flags"] == []
    assert {one["name"]: one["count"] for one in report["timings"]} == {"detect": 0, "govern": 1}
    unknown = {one["what"]: one["count"] for one in report["unknowns"]}
    assert unknown["probes that were lost"] == 3
    assert unknown["open ports that nothing identified"] == 1
    table = gnomon("coverage").out
    assert all(word in table for word in ("NEVER", "KNOWN UNKNOWN", "time to govern", "callers reach it directly"))


def test_hosts_in_space_that_no_scan_covered_are_a_red_flag(gnomon, store: Store):
    elsewhere = Listener(site="default", address="127.0.1.9", port=1)
    store.observations.append([observation(identified(), at=utc_now(), listener=elsewhere)])
    store.endpoints.refold([elsewhere], utc_now())
    report = json.loads(gnomon("coverage", "-f", "json").out)
    assert [(one["network"], one["endpoints"]) for one in report["red_flags"]] == [("127.0.1.0/24", 1)]
    assert "127.0.1.0/24" in {gap["subject"] for gap in report["gaps"]}


@pytest.mark.parametrize(
    ("field", "groups"),
    [
        ("owner", ["ana", None]),
        ("site", ["default"]),
        ("product", ["flask", "mlflow", None]),
        ("namespace", [None]),
    ],
)
def test_coverage_by(gnomon, store: Store, field: str, groups: list):
    rows = json.loads(gnomon("coverage", "--by", field, "-f", "json").out)
    assert [row[field] for row in rows] == groups
    assert sum(row["endpoints"] for row in rows) == 3
    assert gnomon("coverage", "--by", field).code == 0


def test_a_trend_has_a_row_for_each_scan(gnomon, store: Store):
    store.endpoints.settle(scan(id="s2", started_at=utc_now(), status=ScanStatus.INCOMPLETE), utc_now())
    rows = json.loads(gnomon("coverage", "--trend", "-f", "json").out)
    assert [row["owned"] for row in rows] == [{"part": 1, "whole": 2}, {"part": 0, "whole": 2}]
    assert gnomon("coverage", "--trend").err == "2 scans\n"


@pytest.mark.parametrize(
    ("bars", "code", "words"),
    [
        (["owned=50"], 0, ""),
        (["owned=51"], 1, "owned is 50.0 %, and should be 51 % or more"),
        (["owned=50,sealed=1"], 1, "sealed is 0.0 %"),
        (["owned=10", "governed=90%"], 1, "governed is 0.0 %"),
        (["colour=10"], 2, "with a name of probed"),
        (["owned"], 2, "write a number"),
        (["owned=101"], 2, "from 0 to 100"),
    ],
)
def test_a_gate_ends_with_1_where_a_metric_is_too_low(gnomon, store: Store, bars, code: int, words: str):
    ran = gnomon("coverage", *(part for bar in bars for part in ("--fail-under", bar)), "-f", "json")
    assert ran.code == code
    assert words in ran.err


def test_what_is_not_known_passes_no_gate(gnomon):
    ran = gnomon("coverage", "--fail-under", "owned=0", "-f", "json")
    assert (ran.code, "nothing to count" in ran.err) == (1, True)
    assert gnomon("coverage", "--by", "colour").code == 2
