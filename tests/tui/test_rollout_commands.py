"""Rollouts and shadows at the command line: what is put on record, what is said, and how commands end."""

import json
from pathlib import Path
from typing import Any

import pytest
from describing import PREDICT, WATCH, described
from making import NOW, route

from inventory.model import Disagreement, InferenceRoute, ShadowEvidence, Status, utc_now
from inventory.store import open_store
from router.shadow.descriptor import unpack
from tui.disagreements import lines_of, rows_of

STEPS = """
gate: {agreement: 0.95}
steps: [{shadow: 20}, {split: 50, approval: true, after: 10m}, {split: 100}]
windows: [{cron: "0 22 * * *", minutes: 60}]
"""


@pytest.fixture
def routed(database_url: str) -> str:
    with open_store(database_url) as store:
        store.routes.put(route("iris", endpoint=None), who="ana", why="adopted")
    return database_url


@pytest.fixture
def steps(tmp_path: Path) -> str:
    file = tmp_path / "steps.yaml"
    file.write_text(STEPS)
    return str(file)


def rollout(url: str) -> Any:
    with open_store(url) as store:
        return store.rollouts.get("iris")


def spec(url: str) -> Any:
    with open_store(url) as store:
        return store.routes.get("iris").spec


def evidence(**parts: Any) -> ShadowEvidence:
    example = Disagreement(
        at=NOW, request_id="r", path="$.label", primary='"virginica"', shadow='"versicolor"', why="the values differ",
        group="$.label", operation="POST /predict",
    )  # fmt: skip
    fields = {
        "route": "iris", "primary": "origin", "shadow": "replacement", "pairs": 200, "agreed": 180, "updated_at": NOW,
        "paths": {"$.label": 20}, "swaps": {"$.label": {'"virginica" -> "versicolor"': 19, '"a" -> "b"': 1}},
        "distances": {"$.label": None}, "disagreements": (example,),
    }  # fmt: skip
    return ShadowEvidence.model_validate(fields | parts)


def test_a_rollout_from_its_start_to_its_end(gnomon, routed: str, steps: str):
    planned = gnomon("rollout", "iris", "start", "--steps", steps, "--dry-run")
    assert (planned.code, "split 50%" in planned.out, rollout(routed)) == (0, True, None)
    assert "agreement 95.00%, after 600 s, approval" in planned.out
    begun = gnomon("rollout", "iris", "start", "--steps", steps, "--why", "retrained")
    assert (begun.code, "no gateway runs" in begun.err) == (3, True)
    assert "60 minutes from 0 22 * * * (UTC)" in gnomon("rollout", "iris").out
    again = gnomon("rollout", "iris", "start")
    assert (again.code, "is running at front" in again.err) == (2, True)
    assert gnomon("rollout", "iris", "pause").code == 0
    assert rollout(routed).status is Status.PAUSED
    assert gnomon("rollout", "iris", "resume").code == 0
    aborted = gnomon("rollout", "iris", "abort", "--why", "not today")
    assert (aborted.code, "aborted at front" in aborted.err) == (0, True)
    said = json.loads(gnomon("rollout", "iris", "--format", "json").out)
    assert (said["status"], said["transitions"][0]["why"]) == ("aborted", "abort by ana: not today")
    assert [one["status"] for one in said["transitions"]] == ["aborted", "running", "paused", "running"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("rollout", "nobody"), "there is no rollout of 'nobody'"),
        (("rollout", "iris"), "there is no rollout of 'iris'"),
        (("rollout", "iris", "pause"), "there is no rollout of 'iris'"),
        (("rollout", "iris", "start", "--candidate", "nobody"), "has no backend 'nobody'"),
        (("rollout", "iris", "start", "--steps", "/nowhere.yaml"), "cannot be read"),
        (("promote", "iris", "--to", "nobody"), "has no backend 'nobody'"),
        (("shadow", "iris"), "say how many of the live requests"),
        (("shadow", "iris", "--percent", "5"), "say where the copies go with --to"),
        (("shadow", "iris", "--to", "replacement", "--percent", "5", "--path", "no"), "shadow.paths"),
        (("shadow", "iris", "--rules", "/nowhere.yaml"), "cannot be read"),
        (("shadow", "iris", "--keep", "5", "--redact", "name"), "'name' is not a path"),
        (("shadow", "replay", "iris", "--to", "http://127.0.0.1:1"), "no request of iris is kept on this machine"),
        (("shadow", "nobody", "--off"), "there is no route 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(gnomon, routed: str, words: tuple[str, ...], sentence: str):
    ran = gnomon(*words)
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert len(ran.err.splitlines()) == 1


def test_promoting_ends_a_rollout_and_moves_everything(gnomon, routed: str):
    gnomon("rollout", "iris", "start")
    other = gnomon("promote", "iris", "--to", "origin")
    assert (other.code, "a rollout of iris to replacement is under way" in other.err) == (2, True)
    assert gnomon("promote", "iris", "--why", "agreed", "--wait", "0").code == 3
    assert rollout(routed).status is Status.DONE
    assert [backend.weight for backend in spec(routed).backends] == [0, 100]
    assert gnomon("promote", "iris", "--to", "origin", "--wait", "0").code == 3
    assert [backend.weight for backend in spec(routed).backends] == [100, 0]


def test_a_shadow_is_declared_bounded_and_off(gnomon, routed: str):
    words = "--to replacement --percent 10 --path /predict --method post --max-rate 50 --max-in-flight 3 --wait 0"
    assert gnomon("shadow", "iris", *words.split()).code == 3
    shadow = spec(routed).shadow
    assert (shadow.percent, shadow.paths, shadow.methods) == (10, ("/predict",), ("POST",))
    assert (shadow.budget.requests_per_second, shadow.budget.in_flight) == (50, 3)
    gnomon("shadow", "iris", "--percent", "20", "--max-bytes", "1e6", "--wait", "0")
    shadow = spec(routed).shadow
    assert (shadow.percent, shadow.paths, shadow.budget.in_flight) == (20, ("/predict",), 3)
    assert shadow.budget.bytes_per_second == 1e6
    assert gnomon("shadow", "iris", "--off", "--wait", "0").code == 3
    assert spec(routed).shadow is None


def test_a_descriptor_is_checked_kept_shown_and_taken_away(gnomon, routed: str, tmp_path: Path):
    file = tmp_path / "iris.pb"
    file.write_bytes(described())
    assert gnomon("shadow", "iris", "--descriptor", str(file), "--wait", "0").code == 3
    kept = spec(routed).descriptor
    assert set(unpack(kept).methods) == {PREDICT, WATCH}
    assert f"answers of {PREDICT}, {WATCH} are compared by their messages" in gnomon("route", "iris").out
    written = tmp_path / "routes.yaml"
    written.write_text(gnomon("export").out)
    assert gnomon("shadow", "iris", "--no-descriptor", "--wait", "0").code == 3
    assert spec(routed).descriptor == ""
    planned = gnomon("plan", "-f", str(written)).out
    assert ("descriptor: nothing → sha256" in " ".join(planned.split()), kept in planned) == (True, False), planned
    gnomon("apply", "-f", str(written), "--wait", "0")
    assert spec(routed).descriptor == kept
    written.write_text(written.read_text().replace(kept, "AAAA"))
    refused = gnomon("apply", "-f", str(written), "--wait", "0")
    assert (refused.code, "route iris: the descriptor is not in the form that a route keeps" in refused.err) == (
        2,
        True,
    )
    assert spec(routed).descriptor == kept


def test_a_descriptor_of_another_service_is_refused_and_of_some_paths_said(gnomon, routed: str, tmp_path: Path):
    file = tmp_path / "iris.pb"
    file.write_bytes(described())
    words = ("shadow", "iris", "--to", "replacement", "--percent", "5", "--wait", "0", "--descriptor", str(file))
    other = gnomon(*words, "--path", "/other.Model/Predict")
    assert (other.code, len(other.err.splitlines()), spec(routed).shadow) == (2, 1, None)
    assert "describes no method that is copied, /other.Model/Predict say, but /iris.Model/Predict" in other.err
    some = gnomon(*words, "--path", "/iris.Model/*", "--path", "/iris.Model/Train")
    assert some.code == 3
    assert "answers of /iris.Model/Train are compared by status and size" in some.err


@pytest.mark.parametrize("raw", [b"", b"syntax = 'proto3';", bytes(5_000_000)])
def test_a_file_that_is_no_descriptor_is_one_sentence(gnomon, routed: str, tmp_path: Path, raw: bytes):
    file = tmp_path / "iris.pb"
    file.write_bytes(raw)
    for given in (file, tmp_path / "none.pb"):
        ran = gnomon("shadow", "iris", "--descriptor", str(given))
        assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
        assert "descriptor set" in ran.err
    assert spec(routed).descriptor == ""


def test_rules_go_out_and_come_in_again(gnomon, routed: str, tmp_path: Path):
    file = tmp_path / "rules.yaml"
    file.write_text(gnomon("shadow", "iris", "--show-rules").out + "rules: [{path: $.scores, top: 3}]\n")
    file.write_text(file.read_text().replace("rules: []\n", ""))
    assert gnomon("shadow", "iris", "--rules", str(file), "--wait", "0").code == 3
    (rule,) = spec(routed).comparison.rules
    assert (rule.path, rule.top) == ("$.scores", 3)
    assert "top: 3" in gnomon("shadow", "iris", "--show-rules").out


def test_samples_are_kept_only_where_somebody_says_so(gnomon, routed: str):
    assert spec(routed).samples is None
    gnomon("shadow", "iris", "--keep", "50", "--keep-days", "2", "--redact", "$.name", "--wait", "0")
    samples = spec(routed).samples
    assert (samples.count, samples.days, samples.redact) == (50, 2, ("$.name",))
    gnomon("shadow", "iris", "--keep", "0", "--wait", "0")
    assert spec(routed).samples is None


def test_what_the_inventory_knows_of_the_model_is_what_is_copied(gnomon, database_url: str):
    from making import identified, observation

    from inventory.model import Exposed, Scheme

    routes = (
        InferenceRoute(method="POST", path="/predict"),
        InferenceRoute(method="POST", path="/models/{name}/infer"),
    )
    with open_store(database_url) as store:
        seen = [observation(Exposed(scheme=Scheme.HTTP)), observation(identified(inference_routes=routes))]
        store.observations.append(seen)
        known = store.endpoints.refold([seen[0].listener], utc_now())[0]
    adopt = ("adopt", known.id, "--name", "iris", "--to", "http://127.0.0.8:8000", "--wait", "0")
    gnomon(*adopt)
    ran = gnomon("shadow", "iris", "--to", "replacement", "--percent", "5", "--wait", "0")
    assert "only requests for /models/*/infer, /predict are copied" in ran.err
    assert spec(database_url).shadow.paths == ("/models/*/infer", "/predict")


def test_disagreements_are_shown_by_place_with_what_became_which(gnomon, routed: str):
    with open_store(routed) as store:
        store.shadow.save(evidence())
        store.shadow.save(evidence(shadow="origin"))
    ran = gnomon("route", "iris", "--disagreements")
    assert "20 of 200 compared pairs differ, at 1 place" in ran.out
    assert '19 x "virginica" -> "versicolor"' in ran.out
    assert ran.out.count("POST /predict") == 1
    (row,) = json.loads(gnomon("route", "iris", "--disagreements", "-f", "json").out)
    assert (row["group"], row["primary_said"], row["shadow_said"]) == ("$.label", '"virginica"', '"versicolor"')
    assert "20 pairs" in gnomon("route", "iris").out


def test_long_values_stay_side_by_side():
    example = evidence().disagreements[0]
    long = evidence(disagreements=(example.model_copy(update={"primary": "x" * 80, "shadow": "y" * 100}),))
    lines = [line for line in lines_of(long) if "x" * 8 in line or "y" * 20 in line]
    assert len(lines) == 3
    assert "x" * 8 + " " in lines[-1]
    assert len(rows_of(evidence(disagreements=()))) == 1
