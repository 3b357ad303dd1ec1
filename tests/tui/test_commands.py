"""The command line's contract: what goes to stdout, and how commands end."""

import csv
import io
import json
from collections.abc import Callable

import networkx as nx
import pytest
from making import identified, observation

from inventory.model import Endpoint, Exposed, GatewayStatus, Postured, Scheme, utc_now
from inventory.store import open_store

FIELDS = {
    "id", "site", "scope", "address", "port", "scheme", "url", "base_path", "kind", "product", "version", "server",
    "is_model_endpoint", "confidence", "posture", "posture_evidence", "inference_routes", "exposures", "presence",
    "governance", "routing", "risk", "owner", "first_seen", "last_seen", "evidence",
}  # fmt: skip


@pytest.fixture
def known(database_url: str) -> Endpoint:
    """One endpoint in the inventory."""
    with open_store(database_url) as store:
        now = utc_now()
        seen = [
            observation(Exposed(scheme=Scheme.HTTP), at=now),
            observation(identified(title="Iris \x1b[2J"), at=now),
            observation(Postured(posture="open", decided_by="GET /"), at=now),
        ]
        store.observations.append(seen)
        return store.endpoints.refold([seen[0].listener], now)[0]


@pytest.fixture
def adopted(gnomon, known: Endpoint) -> Endpoint:
    """An endpoint with a route that no gateway has yet."""
    ran = gnomon("adopt", known.id, "--name", "iris", "--to", "http://127.0.0.8:8000", "--wait", "0")
    assert ran.code == 3
    return known


def test_endpoints_in_every_format(gnomon, known: Endpoint):
    ran = gnomon("endpoints", "--format", "json")
    (row,) = json.loads(ran.out)
    assert (ran.code, ran.err, set(row) >= FIELDS) == (0, "", True)
    assert row["inference_routes"] == []
    table = gnomon("endpoints", "kind:model-endpoint", "model:yes")
    assert known.id[:8] in table.out
    assert "\x1b" not in table.out
    assert table.err == "1 endpoint\n"
    rows = list(csv.DictReader(io.StringIO(gnomon("endpoints", "-f", "csv").out)))
    assert rows[0]["id"] == known.id
    assert gnomon("endpoints", "--format", "json", "--", "-model:yes").out.strip() == "[]"


def test_one_endpoint_in_words_and_as_data(gnomon, known: Endpoint):
    words = gnomon("endpoint", known.id[:6])
    assert "nobody is known to own it" in words.out
    assert "decided by GET /" in words.out
    assert json.loads(gnomon("endpoint", known.id, "-f", "json").out)["changes"] == []


def test_triage_is_on_record(gnomon, known: Endpoint):
    assert gnomon("triage", known.id, "--owner", "team-iris", "--why", "theirs").code == 0
    until = gnomon("triage", known.id, "--exempt-until", "2999-01-31", "--why", "moving")
    assert "exempt, owner team-iris" in until.err
    row = json.loads(gnomon("endpoint", known.id, "-f", "json").out)
    assert [(c["who"], c["why"]) for c in row["changes"]] == [("ana", "moving"), ("ana", "theirs")]


def test_coverage_has_denominators(gnomon, known: Endpoint):
    report = json.loads(gnomon("coverage", "--format", "json").out)
    by_name = {metric["name"]: metric for metric in report["metrics"]}
    assert (by_name["governed"]["part"], by_name["governed"]["whole"]) == (0, 1)
    assert by_name["probed"]["percent"] is None
    assert report["gaps"][0]["subject"] == known.id
    assert "unknown" in gnomon("coverage").out


def test_the_graph_is_exported(gnomon, known: Endpoint):
    graph = nx.parse_graphml(gnomon("graph", "--format", "graphml").out)
    assert f"endpoint:{known.id}" in graph
    assert gnomon("graph", "--of", known.id).out.startswith("flowchart LR")


def test_a_route_is_on_record_before_a_gateway_has_it(gnomon, adopted: Endpoint):
    (row,) = json.loads(gnomon("routes", "--format", "json").out)
    assert (row["name"], row["host"], row["live"]) == ("iris", "iris.localhost", "origin 100 % / replacement 0 %")
    shifted = gnomon("shift", "iris", "origin=90", "replacement=10", "--wait", "0")
    assert shifted.code == 3
    assert "gnomon serve" in shifted.err
    assert gnomon("shadow", "iris", "--to", "replacement", "--percent", "50", "--wait", "0").code == 3
    assert gnomon("rollback", "iris", "--to", "1", "--wait", "0").code == 3
    words = gnomon("route", "iris").out
    assert "backend    origin  100 %" in words
    assert words.count("revision   ") == 4
    assert json.loads(gnomon("endpoint", adopted.id, "-f", "json").out)["governance"] == "managed"


def test_a_dry_run_changes_nothing(gnomon, adopted: Endpoint, known: Endpoint):
    before = gnomon("routes", "--format", "json").out
    for arguments in (
        ("shift", "iris", "origin=0", "replacement=100"),
        ("shadow", "iris", "--to", "replacement", "--percent", "5"),
        ("rollback", "iris", "--to", "1"),
        ("adopt", known.id, "--name", "other"),
    ):
        ran = gnomon(*arguments, "--dry-run")
        assert (ran.code, "route " in ran.out) == (0, True)
    assert gnomon("routes", "--format", "json").out == before


def test_commands_end_as_gateways_say(gnomon, adopted: Endpoint, database_url: str):
    def report(**parts) -> None:
        status = {"id": "local", "address": "a:1", "healthy": True, "heartbeat_at": utc_now()}
        with open_store(database_url) as store:
            store.gateways.report(GatewayStatus.model_validate(status | parts))

    report(revisions={"iris": 2})
    done = gnomon("shift", "iris", "origin=50", "replacement=50")
    assert (done.code, "in force on gateway local" in done.err) == (0, True)
    assert gnomon("plan").out == ""
    report(revisions={"iris": 2}, refused={"iris": {"error": "cluster refused: name"}})
    refused = gnomon("shift", "iris", "origin=0", "replacement=100")
    assert (refused.code, "cluster refused: name" in refused.err) == (1, True)
    assert "is on record, but a gateway refused" in refused.err
    plan = json.loads(gnomon("plan", "--format", "json").out)
    assert [row["route"] for row in plan] == ["iris"]


def test_a_route_is_released_by_typing_its_name(gnomon, adopted: Endpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    refused = gnomon("release", "iris")
    assert (refused.code, "nothing was changed" in refused.err) == (4, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("iris\n"))
    assert gnomon("release", "iris", "--wait", "0").code == 3
    assert json.loads(gnomon("routes", "--format", "json").out) == []
    again = gnomon("adopt", adopted.id, "--name", "iris", "--wait", "0")
    assert "revision 3 is on record" in again.err


def test_scopes_and_schedules(gnomon):
    assert gnomon("scope", "add", "lab", "127.0.5.0/24", "--exclude", "127.0.5.7").code == 0
    (scope,) = json.loads(gnomon("scope", "list", "--format", "json").out)
    assert (scope["name"], scope["exclude"]) == ("lab", ["127.0.5.7"])
    assert gnomon("schedule", "add", "nightly", "--scope", "lab", "--cron", "0 3 * * *").code == 0
    assert gnomon("schedule", "pause", "nightly").code == 0
    (schedule,) = json.loads(gnomon("schedule", "list", "--format", "json").out)
    assert (schedule["paused"], schedule["next_run_at"] is not None) == (True, True)
    assert gnomon("schedule", "add", "often", "--scope", "lab", "--every", "30m").code == 0
    assert "every 1800 s" in gnomon("schedule", "list").out
    assert gnomon("schedule", "remove", "often").code == 0
    shown = json.loads(gnomon("scope", "show", "lab").out)
    assert [(one["who"], one["action"]) for one in shown["changes"]] == [("ana", "authorise")]
    assert gnomon("scope", "remove", "lab").code == 0
    assert json.loads(gnomon("schedule", "list", "--format", "json").out) == []


MISTAKES: list[tuple[tuple[str, ...], int, str]] = [
    (("endpoints", "colour:red"), 2, "no field 'colour'"),
    (("endpoint", "zzz"), 2, "no endpoint 'zzz'"),
    (("triage", "zzz", "--owner", "a", "--why", "b"), 2, "no endpoint 'zzz'"),
    (("triage", "zzz", "--why", "b"), 2, "say what to decide"),
    (("adopt", "zzz"), 2, "no endpoint 'zzz'"),
    (("shift", "none", "a=100"), 2, "no route 'none'"),
    (("route", "none"), 2, "no route 'none'"),
    (("rollback", "none"), 2, "no route 'none'"),
    (("release", "none"), 2, "no route 'none'"),
    (("graph", "--format", "dot"), 2, "mermaid, graphml, json"),
    (("scope", "add", "lab", "10.0.0.0/99"), 2, "10.0.0.0/99"),
    (("scope", "add", "lab", "8.8.8.8"), 4, "allows public addresses"),
    (("scope", "add", "Lab", "127.0.0.1"), 2, "name"),
    (("scope", "show", "none"), 2, "no scope 'none'"),
    (("scope", "remove", "none"), 2, "no scope 'none'"),
    (("schedule", "add", "a", "--scope", "none", "--every", "1h"), 2, "no scope 'none'"),
    (("schedule", "add", "a", "--scope", "none"), 2, "--cron or --every"),
    (("schedule", "remove", "none"), 2, "no schedule 'none'"),
    (("scan", "300.0.0.0/8"), 2, "300.0.0.0"),
    (("scan", "8.8.8.0/24"), 4, "allows public addresses"),
    (("scan", "--scope", "none"), 2, "no scope 'none'"),
    (("scan",), 2, "target"),
    (("scan", "127.0.0.1", "--ports", "x"), 2, "'x'"),
    (("scan", "127.0.0.1", "--shard", "9/8"), 2, "'9/8' is no shard"),
    (("tui",), 2, "needs a terminal"),
    (("nonsense",), 2, "No such command"),
    (("endpoints", "--format", "xml"), 2, "xml"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_a_mistake_is_one_clear_sentence(gnomon: Callable, arguments, code: int, words: str):
    ran = gnomon(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) <= 4


def test_a_scan_of_one_shard_and_one_that_has_nothing_to_go_on_from(gnomon):
    options = ("--ports", "1", "--shard", "2/2", "--format", "json")
    first, second = gnomon("scan", "127.87.0.0/30", *options), gnomon("scan", "127.87.0.0/30", *options, "--resume")
    assert (first.code, second.code) == (0, 0)
    scans = [json.loads(ran.out)["scan"] for ran in (first, second)]
    assert [(one["shard"], one["targets"], one["account"]["planned"]) for one in scans] == [
        ("2/2", ["127.87.0.2/31"], 2)
    ] * 2
    assert scans[0]["id"] != scans[1]["id"]


def test_a_mistake_about_an_existing_route_names_what_there_is(gnomon, adopted: Endpoint):
    for arguments, words in (
        (("shift", "iris", "origin=50"), "add up to 100"),
        (("shift", "iris", "nobody=100"), "origin, replacement"),
        (("shift", "iris", "origin"), "origin=90"),
        (("shadow", "iris", "--percent", "5"), "--to"),
        (("rollback", "iris", "--to", "9"), "no revision 9"),
        (("adopt", adopted.id, "--name", "iris"), "a route 'iris' already"),
        (("adopt", adopted.id, "--name", "A b"), "name"),
    ):
        ran = gnomon(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert words in ran.err


def test_a_database_that_cannot_be_opened(gnomon, monkeypatch):
    monkeypatch.setattr("sys.argv", [])
    ran = gnomon("endpoints", "--format", "json", "--limit", "0")
    assert ran.code == 2
    missing = gnomon("--database", "sqlite:////proc/none/a.db", "endpoints")
    assert missing.code != 0
