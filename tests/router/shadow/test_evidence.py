"""Records in, evidence out: live, replayed, resumed; and which examples are kept."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.model import Comparison, Disagreement, RouteSpec, ShadowEvidence
from router.shadow.evidence import EvidenceFold, replay
from router.shadow.pair import Window
from router.shadow.records import Record, parse
from router.shadow.tally import EXAMPLES_A_GROUP, MAX_EXAMPLES, MAX_GROUPS, OTHER_GROUPS

NOW = datetime(2026, 5, 4, tzinfo=UTC)
Line = Callable[..., bytes]


def records(*lines: bytes) -> list[Record]:
    return [parse(line) for line in lines]


def only(rows: list[ShadowEvidence]) -> ShadowEvidence:
    (row,) = rows
    return row


def test_a_replay_counts_everything_and_loses_what_stays_alone(line: Line, spec: RouteSpec) -> None:
    said = records(
        line("a", "p", {"y": 1, "took_ms": 3}), line("a", "s", {"y": 1, "took_ms": 9}),
        line("b", "s", {"y": 2}), line("b", "p", {"y": 1}),
        line("c", "p", {"y": 1}), line("c", "s", {"y": 1}, code=503),
        line("d", "p", {"y": 1}, tx=9999), line("d", "s", {"y": 1}),
        line("e", "p", {"y": 1}), line("f", "s", {"y": 1}), line("f", "s", {"y": 1}),
        line("g", "p", {"y": 1}), line("g", "s", {"y": 1}, code=503, flags="UO", us=10),
    )  # fmt: skip
    row = only(replay(said, lambda route, revision: spec, NOW))
    assert (row.pairs, row.agreed, row.incomparable, row.compared) == (5, 1, 2, 3)
    assert row.agreement == pytest.approx(1 / 3)
    assert (row.lost, row.lost_reasons) == (3, {"duplicate": 1, "late": 2})
    assert row.incomparable_reasons == {"truncated": 1, "over the shadow's budget": 1}
    assert (row.status_mismatches, row.new_errors, row.primary_errors, row.shadow_errors) == (1, 1, 0, 1)
    assert row.paths == {"$.y": 1, "status": 1}
    assert sum(row.primary_latency.values()) == sum(row.shadow_latency.values()) == 4
    assert row.pairs * 2 + row.lost == len(said)
    assert row.revision == 1


def test_missing_backends_are_the_routes_own(line: Line, spec: RouteSpec) -> None:
    said = records(line("a", "p", 1, backend=None), line("a", "s", 1, backend=None))
    row = only(replay(said, lambda route, revision: spec, NOW))
    assert (row.primary, row.shadow) == ("origin", "replacement")


def test_a_backend_mirrored_to_itself_is_a_row_of_its_own(line: Line, spec: RouteSpec) -> None:
    said = records(*(line("a", role, 1, backend="replacement") for role in "ps"), *(line("b", r, 1) for r in "ps"))
    rows = replay(said, lambda route, revision: spec, NOW)
    assert {(row.primary, row.shadow, row.pairs) for row in rows} == {
        ("replacement", "replacement", 1),
        ("origin", "replacement", 1),
    }


def test_each_pair_is_judged_by_its_own_revision_and_by_the_latest_rules(line: Line, spec: RouteSpec) -> None:
    lax = spec.model_copy(update={"comparison": Comparison(ignore=("$.y",))})
    specs = {1: spec, 2: spec}
    fold = EvidenceFold(lambda route, revision: specs[revision or 0])

    def counted(*revisions: int) -> tuple[int, int]:
        for number in revisions:
            for role in "ps":
                fold.add(
                    parse(line(f"{number}-{len(revisions)}-{fold.records // 2}", role, {"y": role}, rev=number)), 0, NOW
                )
        row = only(fold.changed(NOW))
        return row.pairs, row.agreed

    assert counted(1, 1, 2) == (3, 0)
    specs[2] = lax
    assert counted(2) == (4, 0)
    fold.specs_may_have_changed()
    # Counts that were come to by other rules are not added to.
    assert counted(2, 2) == (2, 2)
    assert counted(1) == (1, 0)
    assert counted(1, 1) == (3, 0)


def test_every_group_of_differences_has_examples_within_the_bounds(line: Line, spec: RouteSpec) -> None:
    said = []
    for at in range(1500):
        name = f"k{at % 100}" if at >= 1000 else "common"
        said += records(line(str(at), "p", {name: 1}), line(str(at), "s", {name: 2}))
    row = only(replay(said, lambda route, revision: spec, NOW))
    groups = Counter(example.group for example in row.disagreements)
    assert len(row.disagreements) <= MAX_EXAMPLES
    assert max(groups.values()) <= EXAMPLES_A_GROUP
    assert len(groups) >= MAX_EXAMPLES // 2
    assert "$.common" in groups
    assert len(row.paths) <= MAX_GROUPS + 1
    assert sum(row.paths.values()) == 1500
    assert row.paths[OTHER_GROUPS] > 0


def test_the_examples_of_a_group_are_a_fair_sample(line: Line, spec: RouteSpec) -> None:
    said = []
    for at in range(400):
        said += records(line(str(at), "p", at), line(str(at), "s", -at - 1))
    row = only(replay(said, lambda route, revision: spec, NOW))
    kept = [int(example.request_id) for example in row.disagreements]
    assert len(kept) == EXAMPLES_A_GROUP
    assert max(kept) > 100


def test_an_example_names_the_operation_and_holds_nothing_that_acts_on_a_terminal(line: Line, spec: RouteSpec) -> None:
    hostile = {"path": "/p\x07?secret=1", "method": "PO\u202eST"}
    said = records(line("a\x1b[2J", "p", 1, **hostile), line("a\x1b[2J", "s", 2, **hostile))
    (example,) = only(replay(said, lambda route, revision: spec, NOW)).disagreements
    assert isinstance(example, Disagreement)
    assert (example.operation, example.path) == ("PO\\u202eST /p\\u0007", "$")
    assert example.request_id.isprintable()


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefghijklmnopqrst"), st.sampled_from("ps"), st.integers(0, 2)),
        max_size=40,
        unique_by=lambda arrival: arrival[:2],
    ),
    st.integers(0, 40),
)
def test_stopping_and_going_on_comes_to_the_same(arrivals: list[tuple[str, str, int]], cut: int) -> None:
    """A kill after a save: the next run reads again what still waited, and counts as one run would have.

    Each answer is logged once, under an id that the gateway makes anew for each request.
    """
    spec = SPEC
    lines = [(parse(raw(rid, role, value)), at * 10, at * 10 + 10) for at, (rid, role, value) in enumerate(arrivals)]

    def fold(saved: list[ShadowEvidence]) -> EvidenceFold:
        return EvidenceFold(lambda route, revision: spec, resume_from=lambda route: saved, capture="one")

    whole = fold([])
    for record, start, end in lines:
        whole.add(record, 0, NOW, start, end)
    first = fold([])
    for record, start, end in lines[:cut]:
        first.add(record, 0, NOW, start, end)
    saved = first.changed(NOW)
    oldest = first.pairer.oldest_start
    again = fold(saved)
    for record, start, end in lines:
        if start >= (min(cut, len(lines)) * 10 if oldest is None else oldest):
            again.add(record, 0, NOW, start, end)
    keep = {"route", "pairs", "agreed", "lost", "paths", "incomparable", "primary", "shadow"}
    ended = {row.model_dump_json(include=keep) for row in whole.changed(NOW)}
    resumed = {(row.primary, row.shadow): row for row in [*saved, *again.changed(NOW)]}
    assert {row.model_dump_json(include=keep) for row in resumed.values()} == ended


def test_a_crowded_window_loses_with_that_reason(line: Line, spec: RouteSpec) -> None:
    said = records(*(line(str(at), "p", 1) for at in range(5)))
    row = only(replay(said, lambda route, revision: spec, NOW, window=Window(records=2)))
    assert row.lost_reasons == {"crowded": 3, "late": 2}


SPEC = RouteSpec.model_validate(
    {
        "name": "churn",
        "hosts": ["churn.localhost"],
        "backends": [
            {"name": "origin", "url": "http://127.0.0.1:1", "weight": 100},
            {"name": "replacement", "url": "http://127.0.0.1:2"},
        ],
        "shadow": {"backend": "replacement", "percent": 100},
    }
)


def raw(rid: str, role: str, value: int) -> bytes:
    body = {0: "MA==", 1: "MQ==", 2: "Mg=="}[value]
    return f'{{"rid":"{rid}","role":"{role}","entry":"churn","code":200,"sb":"{body}","tx":1}}'.encode()
