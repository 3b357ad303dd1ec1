"""The summary tells every number of the outcome, and a failure first of all."""

import making
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.coverage import coverage
from inventory.model import Account, InferenceRoute, Kind, ShadowEvidence
from tui.demo.outcome import Calls, Outcome, Share, agreement, aligned, places, summary, told


def evidence(**parts: object) -> ShadowEvidence:
    defaults = {"route": "payments", "primary": "origin", "shadow": "replacement", "updated_at": making.NOW}
    return ShadowEvidence.model_validate(defaults | parts)


@pytest.fixture
def outcome() -> Outcome:
    model = making.endpoint(id="aaa", risk=85, inference_routes=(InferenceRoute(method="POST", path="/predict"),))
    unknown = making.endpoint(id="bbb", url="http://127.0.0.8:22", kind=None, product=None, risk=5)
    notebook = making.endpoint(
        id="ccc", url="http://127.0.0.7:8888", kind=Kind.NOTEBOOK, product="jupyter-server", risk=95
    )
    endpoints = (model, unknown, notebook)
    return Outcome(
        subnet="127.0.0.0/24",
        servers=7,
        scan=Account(planned=100, answered=3, refused=90, lost=7),
        scan_requests=12,
        scan_seconds=1.25,
        endpoints=endpoints,
        coverage=coverage(endpoints, [making.scan()]),
        route_url="http://payments.localhost:8780/predict",
        first_look=evidence(pairs=20, agreed=1, lower_bound=0.001, paths={"$.took_ms": 19, "$.a": 2}),
        evidence=evidence(pairs=204, agreed=200, incomparable=3, lost=1, lower_bound=0.9812, paths={"$.b": 1}),
        shares=(Share(10, 200, 19, 0), Share(100, 201, 201, 2)),
        calls=Calls(1234, 2, {"status 503": 2}, 3.14, 21.9),
        seconds=20.0,
    )


def test_the_summary_tells_it_all(outcome):
    text = summary(outcome)
    for said in (
        "3 endpoints; 100 of 100 address-port pairs probed, 3 answered, 7 lost; 12 harmless requests; 1.2 s",
        "http://127.0.0.9:5000  model-endpoint  flask           open  risk 85  POST /predict",
        "http://127.0.0.8:22    unidentified    -               open  risk 5",
        "endpoints identified: 2 of 3 endpoints (67 %)",
        "1 of 20 paired answers agree (at least 0.1 % agree with 95 % confidence), 0 lost",
        "they differ at $.took_ms (19 times), $.a (2 times)",
        "200 of 201 paired answers agree (at least 98.1 % agree with 95 % confidence), 1 lost",
        "weight 10 %: the replacement served 19 of 200 requests (10 %), 0 failed",
        "weight 100 %: the replacement served 201 of 201 requests (100 %), 2 failed",
        "failed requests: 2 of 1234, as counted by the callers; median 3.1 ms, p99 21.9 ms",
        "2 x status 503",
        "STILL UNGOVERNED: 2 of 2 ML endpoints",
    ):
        assert said in text
    assert text.index("http://127.0.0.7:8888") < text.index("http://127.0.0.9:5000"), "the riskiest first"


def test_every_gap_is_told_with_its_reason(outcome):
    text = summary(outcome)
    assert outcome.coverage.gaps
    for gap in outcome.coverage.gaps:
        assert gap.title in text
        assert gap.why in text


def test_what_is_not_known_is_said_to_be_unknown():
    assert "too few to say" in agreement(evidence())
    assert places(evidence()) == "no place"
    assert "(0 %)" in told(Share(10, 0, 0, 0))


@given(
    rows=st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(st.text("abc -", max_size=9), min_size=n, max_size=n)))
)
def test_columns_line_up(rows):
    lines = list(aligned(rows))
    assert len(lines) == len(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line, row in zip(lines, rows, strict=True):
        padded = line.ljust(2 + sum(widths) + 2 * len(widths))
        at = 2
        for cell, width in zip(row, widths, strict=True):
            assert padded[at : at + width].rstrip() == cell.rstrip()
            at += width + 2
