"""``gnomon drift`` and ``gnomon declared``, as typed."""

import csv
import io
import json
from pathlib import Path

import pytest
from making import identified, observation
from registries import Registry
from weights import Weights

from inventory.model import Endpoint, Exposed, Scheme, utc_now
from inventory.store import open_store


@pytest.fixture
def known(database_url: str) -> Endpoint:
    with open_store(database_url) as store:
        now = utc_now()
        seen = [observation(Exposed(scheme=Scheme.HTTP), at=now), observation(identified(title="churn-model"), at=now)]
        store.observations.append(seen)
        return store.endpoints.refold([seen[0].listener], now)[0]


@pytest.fixture
def approved(tmp_path: Path) -> str:
    rows = "name,url,owner,state,model\niris,http://127.0.0.9:6000,ana,active,\nchurn,,bo,active,churn-model\n"
    (tmp_path / "approved.csv").write_text(rows)
    return f"catalogue:{tmp_path / 'approved.csv'}"


def test_nothing_declared_is_said(gnomon, known: Endpoint) -> None:
    ran = gnomon("drift")
    assert ran.code == 0
    assert f"shadow  {known.url}" in ran.out
    assert "1 shadow, 0 zombie, 1 orphan, 0 ghost, 0 bypass, 0 unseen; by 0 sources" in ran.err
    assert "nothing declares anything yet: scan a source" in ran.err


def test_from_a_file_to_a_confirmed_match(gnomon, known: Endpoint, approved: str) -> None:
    assert gnomon("scan", approved).code == 0
    ran = gnomon("drift", "shadow", "unseen", "--format", "json")
    said = json.loads(ran.out)
    assert {(item["list"], item["title"].split()[0]) for item in said["items"]} == {
        ("shadow", known.url), ("unseen", "iris"), ("unseen", "churn"),
    }  # fmt: skip
    assert [(one["key"], one["endpoint"]) for one in said["proposals"]] == [("churn", known.id)]
    assert "gnomon declared confirm" in ran.err
    assert gnomon("declared", "confirm", approved, "churn", known.id[:6]).code == 2
    ran = gnomon("declared", "confirm", approved, "churn", known.id[:6], "--why", "asked the team")
    assert (ran.code, ran.err) == (0, f"confirmed: churn of {approved} is {known.url}\n")
    assert json.loads(gnomon("drift", "shadow", "orphan", "-f", "json").out)["items"] == []
    rows = list(csv.DictReader(io.StringIO(gnomon("declared", "list", "-f", "csv").out)))
    assert {row["key"]: row["endpoint"] for row in rows} == {"iris": "", "churn": known.id[:8]}
    ran = gnomon("declared", "reject", approved, "churn", known.id, "--why", "another one")
    assert ran.err.startswith(f"rejected: churn of {approved} is not ")
    assert [item["list"] for item in json.loads(gnomon("drift", "shadow", "-f", "json").out)["items"]] == ["shadow"]


def test_a_source_that_was_not_read_makes_the_exit_code_three(gnomon, known: Endpoint, tmp_path: Path) -> None:
    assert gnomon("scan", f"catalogue:{tmp_path / 'missing.csv'}").code == 3
    ran = gnomon("drift", "shadow")
    assert ran.code == 3
    assert "not read to the end: " in ran.err
    assert "no" in ran.out.splitlines()[1].split()


def test_what_weights_and_biases_retired_and_still_answers_is_a_zombie(gnomon, known: Endpoint, monkeypatch) -> None:
    server, weights = Registry(), Weights(key="k3y-of-a-reader")
    server.post = weights.post
    monkeypatch.setenv("WANDB_API_KEY", weights.key)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    weights.add("acme", "churn", 3, metadata={"serving_url": known.url, "owner": "ana"}, aliases=("archived",))
    weights.add("acme", "iris", 0)
    source = f"wandb:{server.url}/acme"
    try:
        scanned = gnomon("scan", source)
        assert (scanned.code, "2 declared, read from 1 of 1 sources" in scanned.err) == (0, True)
        listed = gnomon("declared", "list", "-f", "csv")
        rows = {row["key"]: row for row in csv.DictReader(io.StringIO(listed.out))}
        churn, iris = rows["model/churn/v3"], rows["model/iris/v0"]
        assert (churn["state"], churn["owner"], churn["endpoint"]) == ("retired", "ana", known.id[:8])
        assert (iris["kind"], iris["state"], iris["endpoint"]) == ("model", "active", "")
        drift = gnomon("drift", "zombie", "-f", "json")
        assert (drift.code, [item["list"] for item in json.loads(drift.out)["items"]]) == (0, ["zombie"])
        monkeypatch.setenv("WANDB_API_KEY", "expired-k3y")
        refused, after = gnomon("scan", source), gnomon("drift", "zombie")
    finally:
        server.close()
    assert (refused.code, after.code) == (3, 3)
    assert f"{source} does not let us read (it answered 401 to POST /graphql" in refused.err
    for ran in (scanned, listed, drift, refused, after):
        assert not [secret for secret in (weights.key, "expired-k3y") if secret in ran.out + ran.err]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drift", "ghosts"), "there is no list 'ghosts': the lists are bypass, ghost, orphan, shadow, unseen, zombie"),
        (("declared", "confirm", "a:b", "c", "zzzz", "--why", "x"), "zzzz"),
        (("scan", "catalogue:"), "'catalogue:' names nothing to read"),
        (("scan", "catalogue:x", "--shard", "1/2"), "leave out --shard"),
    ],
)
def test_bad_input_is_one_sentence(gnomon, arguments: tuple[str, ...], said: str) -> None:
    ran = gnomon(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_what_is_new_and_gone_since_the_last_time(gnomon, known: Endpoint, approved: str, tmp_path: Path) -> None:
    last = tmp_path / "drift.json"
    last.write_text(gnomon("drift", "-f", "json").out)
    assert gnomon("scan", approved).code == 0
    assert gnomon("declared", "confirm", approved, "churn", known.id[:6], "--why", "asked the team").code == 0
    ran = gnomon("drift", "shadow", "unseen", "--against", str(last), "-f", "csv")
    rows = {(row["change"], row["list"]) for row in csv.DictReader(io.StringIO(ran.out))}
    assert rows == {("gone", "shadow"), ("new", "unseen")}
    assert ran.err.startswith("1 new, 1 gone\n")
    log = json.loads(gnomon("drift", "shadow", "unseen", "--against", str(last), "-f", "sarif").out)
    states = {(one["ruleId"], one["baselineState"], one["level"]) for one in log["runs"][0]["results"]}
    assert states == {("shadow", "absent", "error"), ("unseen", "new", "note")}
    rules = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert {one["ruleId"] for one in log["runs"][0]["results"]} <= rules
    plain = json.loads(gnomon("drift", "-f", "sarif").out)["runs"][0]["results"]
    assert plain
    assert not any("baselineState" in one for one in plain)
    # What was gone the last time is not compared with.
    last.write_text(gnomon("drift", "--against", str(last), "-f", "json").out)
    assert gnomon("drift", "--against", str(last)).err.startswith("0 new, 0 gone\n")


@pytest.mark.parametrize("text", ["", "[]", '{"items": [{"list": "ghost"}]}'])
def test_a_file_that_drift_did_not_write_is_refused(gnomon, known: Endpoint, tmp_path: Path, text: str) -> None:
    file = tmp_path / "last.json"
    file.write_text(text)
    ran = gnomon("drift", "--against", str(file))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "is not what `gnomon drift --format json` wrote" in ran.err


def test_a_registry_that_is_rightly_empty_is_withdrawn_by_a_persons_word(
    gnomon, known: Endpoint, approved: str
) -> None:
    assert gnomon("scan", approved).code == 0
    Path(approved.partition(":")[2]).write_text("name,url\n")
    ran = gnomon("scan", approved)
    assert ran.code == 3
    assert f"`gnomon declared withdraw {approved}` says that this is so" in " ".join(ran.err.split())
    assert gnomon("declared", "withdraw", approved).code == 2
    ran = gnomon("declared", "withdraw", approved, "--why", "a new list")
    assert (ran.code, ran.err) == (0, f"withdrawn: 2 declarations of {approved}\n")
    assert gnomon("scan", approved).code == 0
    ran = gnomon("declared", "withdraw", approved, "--why", "again")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
